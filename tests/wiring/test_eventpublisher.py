"""What is said of transitions in the log: each, or how many."""

from __future__ import annotations

from collections import Counter

import pytest

from exporter.domain.clock import SECOND
from exporter.domain.durable import Batch
from exporter.domain.status import Status
from exporter.domain.transition import Transition
from exporter.stores.base import Saved
from exporter.wiring.eventpublisher import LOGGED_A_SECOND, LOGGED_EACH, EventPublisher
from tests.support.clock import ManualClock


def test_a_change_of_the_mesh_is_a_few_lines_however_it_is_cut_into_batches(caplog: pytest.LogCaptureFixture) -> None:
    """So many at once have a line each, and fewer of those that follow."""
    clock = ManualClock()
    announce = EventPublisher(None, clock)
    some = [Transition(f"n{number}", Status.ACTIVE, Status.WARNING, SECOND) for number in range(LOGGED_EACH // 2)]

    def lines() -> Counter[str]:
        caplog.clear()
        announce(Batch(transitions=some), Saved(transitions=some))
        announce.flush()
        return Counter(record.getMessage() for record in caplog.records)

    each, counted = {"node_status_changed": len(some)}, {"many nodes changed their status": 1}
    with caplog.at_level("INFO", "aurora.nodes"):
        assert [lines() for _ in range(4)] == [each, each, counted, counted]
        clock.advance(1)
        assert lines() == counted
        clock.advance(len(some) / LOGGED_A_SECOND)
        assert [lines(), lines()] == [each, counted]
