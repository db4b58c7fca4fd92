"""From `config.yaml`, the environment and flags to one checked `Config`. Strict: nothing is ignored."""
