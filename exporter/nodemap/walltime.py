"""The wall clock as the process saw it: which reading belonged to which moment, before and after it was set."""

from __future__ import annotations

from exporter.domain.clock import SECOND

MAX_JUMPS = 16


class WallTime:
    """Translates the monotonic clock into the wall's; a jump changes what comes after it and nothing before."""

    def __init__(self, now_ns: int, wall_ns: int) -> None:
        self.offset_ns = wall_ns - now_ns
        self._jumps: list[tuple[int, int]] = []
        """For each jump: when (monotonic), and the offset that was right until then."""

    def follow(self, now_ns: int, wall_ns: int) -> None:
        """Take the clock's reading; a difference of over a second is a jump, less is the slewing of NTP."""
        offset_ns = wall_ns - now_ns
        if abs(offset_ns - self.offset_ns) > SECOND:
            self._jumps = [*self._jumps, (now_ns, self.offset_ns)][-MAX_JUMPS:]
        self.offset_ns = offset_ns

    def at(self, monotonic_ns: int) -> int:
        """What the wall clock said at that moment."""
        for jump_ns, offset_ns in self._jumps:
            if monotonic_ns < jump_ns:
                return monotonic_ns + offset_ns
        return monotonic_ns + self.offset_ns
