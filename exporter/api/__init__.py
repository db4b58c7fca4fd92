"""The REST interface: one small handler a route, and in front of them what all requests share."""
