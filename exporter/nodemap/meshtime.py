"""Mesh time: one timeline that the registries on a store share, and that no wall clock moves."""

from __future__ import annotations

from exporter.domain.recordchecks import LATEST_NS


class MeshTime:
    """Counts with the monotonic clock. It started at the wall clock's reading once, and never goes back since.

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
