"""The rule files of `alerts/`, put together for a configuration, so that no threshold is written twice."""
