"""Where requests, events and readers meet the node map; edges know the map, never the inside of a store."""
