"""What all tests share."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from hypothesis import HealthCheck, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs us in the background has this; programs that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

from demo.servers import INSTALLED, Generation
from tests.support.generations import GENERATIONS, required

# Two busy cores make single examples slow at random: how long one takes is no property of ours.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("patient"), max_examples=25)  # what `make check` takes
settings.load_profile("patient")


Measured = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Notes how long a block takes for the table of faults: until something is `noticed`, or all is `back`."""

    @contextmanager
    def note(what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        record_property(what, time.monotonic() - began)

    return note


def pytest_report_header() -> list[str]:
    return [f"{each.name} servers: {each.versions()}" for each in GENERATIONS if each.available]


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(each, id=each.name, marks=() if each is INSTALLED else pytest.mark.servers) for each in GENERATIONS
    ],
)
def generation(request: pytest.FixtureRequest) -> Generation:
    """Each generation of servers in turn; without the `servers` mark the installed one, which needs no download."""
    return required(request.param)
