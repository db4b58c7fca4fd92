"""Two timelines beside the monotonic clock: the wall clock as the process saw it, and the mesh time of registries."""

from __future__ import annotations

from exporter.domain.clock import SECOND
from exporter.domain.recordchecks import LATEST_NS

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


class MeshTime:
    """One timeline that the registries on a store share, and that no wall clock moves.

    It counts with the monotonic clock. It started at the wall clock's reading once, and never goes back since.

    Registries on one store follow the one that is ahead, so that they agree to within a message's way; a start goes on
    from what the store has. Stamps and revisions come from it. Source: hybrid logical clocks, with the monotonic clock
    in the place of the physical one. A time later than any clock may be believed is followed to that bound, so that
    there is room for all times to come.
    """

    def __init__(self, now_ns: int, start_ns: int) -> None:
        self._offset_ns = start_ns - now_ns

    def restart(self, now_ns: int, mesh_ns: int) -> None:
        """Set the mesh time of now: a process continues from what the store has."""
        self._offset_ns = min(mesh_ns, LATEST_NS) - now_ns

    def at(self, monotonic_ns: int) -> int:
        """The mesh time at a moment of the monotonic clock."""
        return monotonic_ns + self._offset_ns

    def local(self, stamp_ns: int) -> int:
        """The moment of the monotonic clock that had this mesh time."""
        return stamp_ns - self._offset_ns

    def advance(self, now_ns: int, mesh_ns: int) -> None:
        """The mesh time of now is at least this."""
        self._offset_ns = max(self._offset_ns, min(mesh_ns, LATEST_NS) - now_ns)
