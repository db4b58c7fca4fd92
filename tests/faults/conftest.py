"""Registries and servers, as the acceptance tests have them."""

from __future__ import annotations

from tests.acceptance.conftest import new_registry, pytest_runtest_makereport, redis_server

__all__ = ["new_registry", "pytest_runtest_makereport", "redis_server"]
