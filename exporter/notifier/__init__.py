"""Instant notification: transitions sent to Alertmanager, in the rules' own words."""
