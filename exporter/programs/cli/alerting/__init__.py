"""`aurora-cli alerting init`: from the receivers of messages to configurations that work."""
