"""What all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Two busy cores make single examples slow at random: how long one takes is no property of ours.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
