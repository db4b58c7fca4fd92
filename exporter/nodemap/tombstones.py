"""What stays of nodes that are gone, so that neither a late heartbeat nor a re-seeded store brings them back."""

from __future__ import annotations

from exporter.domain.node import Removal, Tombstone
from exporter.domain.status import Thresholds
from exporter.nodemap.timelines import MeshTime

LATE_INTERVALS = 2
"""For so many heartbeat intervals the late heartbeats of a departed node are ignored."""
MAX_DEPARTED = 50_000
"""We remember at most this many gone nodes, the latest: otherwise new names would fill the memory for days."""


class Tombstones:
    """At most one for each name. Times are of the monotonic clock."""

    def __init__(self, mesh_time: MeshTime) -> None:
        self._mesh_time = mesh_time
        self.by_name: dict[str, Tombstone] = {}
        """Oldest first."""
        self._late_until_ns: dict[str, int] = {}

    def add(self, tombstone: Tombstone, now_ns: int, thresholds: Thresholds, *, down_ns: int = 0) -> None:
        """The node is gone; where it departed, its late heartbeats are ignored for a while.

        `down_ns`: for so long since then nobody could have received them.
        """
        self.by_name.pop(tombstone.name, None)
        self.by_name[tombstone.name] = tombstone
        if tombstone.removal is Removal.DEPARTED:
            self._late_until_ns.pop(tombstone.name, None)
            left_ns = min(self._mesh_time.local(tombstone.revision_ns) + down_ns, now_ns)
            self._late_until_ns[tombstone.name] = left_ns + LATE_INTERVALS * thresholds.heartbeat_interval

    def drop(self, name: str) -> None:
        """A node of this name is there again."""
        self.by_name.pop(name, None)
        self._late_until_ns.pop(name, None)

    def is_late(self, name: str, now_ns: int) -> bool:
        """Whether a heartbeat of this name would be a late one of the node that departed."""
        return now_ns < self._late_until_ns.get(name, 0)

    def expire(self, now_ns: int, forget_after_ns: int) -> None:
        """Drop those that are older than that, and the oldest above MAX_DEPARTED."""
        late = self._late_until_ns
        while late and (len(late) > MAX_DEPARTED or next(iter(late.values())) <= now_ns):
            del late[next(iter(late))]
        while len(self.by_name) > MAX_DEPARTED:
            del self.by_name[next(iter(self.by_name))]
        while self.by_name:
            oldest = next(iter(self.by_name.values()))
            if self._mesh_time.at(now_ns) - oldest.revision_ns <= forget_after_ns:
                return
            del self.by_name[oldest.name]
