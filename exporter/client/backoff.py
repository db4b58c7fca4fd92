"""How long to wait before trying again."""

from __future__ import annotations

import random
from collections.abc import Iterator

FIRST_SECONDS, LONGEST_SECONDS = 0.5, 30.0


def waits(first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> Iterator[float]:
    """Seconds to wait: twice as long each time, up to `longest`, each somewhat shortened at random.

    Many clients of one registry that was away do not come back at the same moment.
    """
    wait = first
    while True:
        yield wait * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret
        wait = min(2 * wait, longest)
