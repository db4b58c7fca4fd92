"""Python's garbage collector: when it looks, and at what. Each of its looks is a pause for everybody."""

from __future__ import annotations

import gc

from exporter.domain.clock import SECOND

COLLECT_AFTER = (10_000, 5, 60)
"""When it looks at the youngest objects, the middle-aged and all: a millisecond for a thousand objects that are alive,
and there is hardly a cycle to find."""
FREEZE_EVERY = 1000
"""Nodes."""
FREEZE_PAUSE = 10 * SECOND
"""Where one outage follows another. A queue is small at first: it is frozen before it has the whole mesh."""


class LongLived:
    """Nodes and their queues live long: the collector need not go through them again and again.

    A queue of the whole mesh alone costs it 60 ms. What is frozen is freed as ever, unless it is a cycle.
    """

    def __init__(self) -> None:
        gc.set_threshold(*COLLECT_AFTER)
        self._nodes = self._generations = self._frozen_ns = 0

    def look(self, nodes: int, generations: int, now_ns: int) -> None:
        """Freeze what there is, if many nodes are new, or queues. `generations`: of queues, begun so far."""
        is_new = generations != self._generations and now_ns - self._frozen_ns > FREEZE_PAUSE
        if is_new or nodes > self._nodes + FREEZE_EVERY:
            self._nodes, self._generations, self._frozen_ns = nodes, generations, now_ns
            gc.freeze()
