"""The node map as Prometheus reads it: text 0.0.4 and OpenMetrics 1.0.0."""
