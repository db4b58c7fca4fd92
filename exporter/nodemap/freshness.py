"""Whether what arrives now was sent now: after a stop of the process, or in a flood, it may have waited in a buffer."""

from __future__ import annotations

from exporter.domain.clock import SECOND, Clock
from exporter.domain.errors import LeaseExpired
from exporter.domain.status import Thresholds, Transport
from exporter.nodemap.paths import NEVER, Path, Paths

CATCH_UP = SECOND
"""In which even a busy machine reads the requests that waited through a stop."""


class Freshness:
    """When this process last ran, and since when the bus has proven that it brings nothing old.

    All times are of the monotonic clock.
    """

    def __init__(self, clock: Clock, paths: Paths, thresholds: Thresholds) -> None:
        self._clock = clock
        self._paths = paths
        self.ticked_ns = clock.monotonic_ns()
        """When the last tick was."""
        self.settled_until_ns = 0
        """Until then, what arrives is of now, and `is_behind` need not be asked."""
        self._resumed_ns = 0
        """When we resumed after a stop so long that nodes may have died in it; 0 once the bus answered a ping since."""
        self._bus_behind = False
        """What the bus brings waited for longer than a gap; as of the last tick."""
        self.reconfigure(thresholds)

    def reconfigure(self, thresholds: Thresholds) -> None:
        """Other limits, from now on."""
        self._gap_ns, self._grace_ns = thresholds.gap, thresholds.grace
        self._catch_up_ns = max(thresholds.gap, min(CATCH_UP, thresholds.grace))
        self._settle()

    def tick(self, now_ns: int) -> None:
        """The process runs; a long time since the tick before was a stop."""
        if now_ns - self.ticked_ns > self._grace_ns:
            self._resumed_ns = now_ns
        self.ticked_ns = now_ns
        self._bus_behind = not self._bus_proven_since(now_ns - self._gap_ns)
        self._settle()

    def stalled(self) -> bool:
        """Whether the process was stopped or stalled, and no tick has noted it yet."""
        return self._clock.monotonic_ns() - self.ticked_ns > self._gap_ns

    def waited_on_bus(self) -> bool:
        """Whether what the bus brings now may have been sent before the last stop."""
        return bool(self._resumed_ns) and not self._bus_proven_since(self._resumed_ns)

    def bus_idle_since_ns(self) -> int | None:
        """The last proof of the bus, where it brought nothing for longer than a gap until now; None where it did.

        What it brings now was sent after that, and nothing says how long after. In a flood it brings something all the
        time, if late.
        """
        now_ns = self._clock.monotonic_ns()
        for source in self._paths.bus:
            if not source.lost and now_ns - source.heard_ns > self._gap_ns:
                return source.proof_ns
        return None

    def is_behind(self, path: Path, now_ns: int) -> bool:
        """Whether a heartbeat on the bus may have waited; over HTTP, raises LeaseExpired where none may be taken."""
        waited = self.waited_on_bus()
        early = bool(self._resumed_ns) and now_ns - self._resumed_ns < self._catch_up_ns
        if not early and not waited:
            self._resumed_ns = 0
            self._settle()
        # Over HTTP nothing proves that it is of now, and other registries may judge.
        over_http = path.transport is Transport.HTTP
        if now_ns > path.lease_until_ns or (over_http and early and path.lease_until_ns != NEVER):
            raise LeaseExpired
        return not over_http and (waited or not self._bus_proven_since(now_ns - self._gap_ns))

    def _bus_proven_since(self, moment_ns: int) -> bool:
        """Whether what the bus brings now was sent after that; nothing comes over one that was lost."""
        return all(source.lost or source.proof_ns >= moment_ns for source in self._paths.bus)

    def _settle(self) -> None:
        in_doubt = self._resumed_ns or self._bus_behind
        self.settled_until_ns = -1 if in_doubt else self.ticked_ns + self._gap_ns
