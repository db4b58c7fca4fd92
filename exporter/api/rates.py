"""How often callers that are not trusted may ask: token buckets by source."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from exporter.api.problems import Problem
from exporter.domain.clock import MINUTE, SECOND, Clock
from exporter.domain.config import Limits

MAX_SOURCES = 10_000
"""So many are remembered; the one that asked longest ago is forgotten first."""
BURST_SECONDS = 5
NEW_NODE = "new_node"
"""The key of a request's scope under which stands what to call before a node that is new, if the caller is limited."""


class Buckets:
    """One bucket per source; each fills at `rate` tokens a second and holds at most `burst`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, source: str, rate: float, burst: float) -> float:
        """Take one token; the seconds until there is one, 0 if it was taken."""
        now_ns = self._clock.monotonic_ns()
        tokens, then_ns = self._buckets.pop(source, (burst, now_ns))
        tokens = min(burst, tokens + (now_ns - then_ns) / SECOND * rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / rate
        self._buckets[source] = (tokens if wait else tokens - 1), now_ns
        if len(self._buckets) > MAX_SOURCES:
            self._buckets.popitem(last=False)
        return wait


class RateLimits:
    """The rates of `limits`, for callers that are not trusted. Trusted ones are not asked."""

    def __init__(self, clock: Clock, refused: Callable[[str], None]) -> None:
        """`refused` is called with the reason of each refusal."""
        self._requests = Buckets(clock)
        self._new_nodes = Buckets(clock)
        self._refused = refused

    def request(self, source: str, limits: Limits) -> None:
        """Count a request; raises Problem (429) when there were too many."""
        rate = limits.untrusted_requests_per_second
        if wait := self._requests.take(source, rate, max(1, rate * BURST_SECONDS)):
            self._refuse("request_rate", "requests", "limits.untrusted_requests_per_second", wait)

    def new_node(self, source: str, limits: Limits) -> None:
        """Count the registration of a node that is new; raises Problem (429) when there were too many."""
        per_minute = limits.untrusted_new_nodes_per_minute
        if wait := self._new_nodes.take(source, per_minute * SECOND / MINUTE, per_minute):
            self._refuse("new_node_rate", "new nodes", "limits.untrusted_new_nodes_per_minute", wait)

    def _refuse(self, reason: str, what: str, setting: str, wait: float) -> None:
        self._refused(reason)
        seconds = max(1, math.ceil(wait))
        detail = f"too many {what} from one caller ({setting}): try again in {seconds} s"
        raise Problem(429, detail, kind="rate", headers={"Retry-After": str(seconds)})
