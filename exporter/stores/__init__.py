"""Where the node map outlives the process: SQLite, Redis, or nothing but memory."""
