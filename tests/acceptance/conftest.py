"""Processes for the acceptance tests; a failing test shows the logs of those that run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.server_process import ServerProcess

MAX_LOG_SHOWN = 10_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for process in ServerProcess.opened:
            report.sections.append((f"log of {process.name} at {process.url}", process.log[-MAX_LOG_SHOWN:]))
    return report


@pytest.fixture
def new_registry(tmp_path: Path) -> Iterator[Callable[..., RegistryProcess]]:
    """Makes registries, with what RegistryProcess takes after the directory; they are closed when the test is over."""
    with ExitStack() as processes:

        def make(*arguments: str, **keywords: Any) -> RegistryProcess:
            registry = RegistryProcess(tmp_path, *arguments, **keywords)
            processes.callback(registry.close)
            return registry

        yield make


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server
