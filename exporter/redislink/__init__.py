"""From a URL to clients of redis-py that answer or fail in time, and to sentences for people when they fail."""
