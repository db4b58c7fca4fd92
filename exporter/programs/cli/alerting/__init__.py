"""`aurora-cli alerting init`: from where messages shall go to configurations that work."""
