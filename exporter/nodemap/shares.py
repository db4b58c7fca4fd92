"""Who records a transition first, where several registries see the same change: so that not each writes all of them.

It is about order alone: what no other registry recorded, each records in the end. So it does no harm where two do not
agree on who is there, and where one of them ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from zlib import crc32

from exporter.domain.clock import SECOND
from exporter.domain.node import Node
from exporter.domain.transition import Transition

PATIENCE = 5 * SECOND
"""So long a transition is left to others that go on recording, though the one that it falls to may have ended."""
LULL = 1 * SECOND
"""Others that recorded nothing for so long do not go on. Looks come much closer while we write one batch after the
other, and what others wrote waits to be read meanwhile."""


class Share:
    """The nodes that fall to one registry, by their names."""

    def __init__(self, instance: str = "", others: Iterable[str] = ()) -> None:
        """`instance`: who we are, beside the `others`; all nodes are ours where there are none."""
        self.instances = tuple(sorted({instance, *others}))
        self._position = self.instances.index(instance)

    def has(self, name: str) -> bool:
        """Whether the node of this name falls to us."""
        return len(self.instances) == 1 or crc32(name.encode()) % len(self.instances) == self._position


class LeftToOthers:
    """Transitions of nodes that fall to others, until those recorded them. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self.share = Share()
        self.heartbeats: set[Node] = set()
        """Who is back by one of the transitions: who records that writes the heartbeat too, which all receive."""
        self.progress = False
        """Whether others recorded some of late, as of the last look: then it is worth while to leave them the rest."""
        self._recorded = False
        """Since the last look."""
        self._recorded_ns = 0
        self._waiting: dict[tuple[str, int], tuple[int, Transition]] = {}
        """By node and number, oldest first: since when, and what."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Transition]:
        """In order."""
        return (transition for _, transition in self._waiting.values())

    def keep(self, transition: Transition, now_ns: int) -> bool:
        """Leave it to others, if its node falls to one of them."""
        if self.share.has(transition.node):
            return False
        self._waiting[transition.node, transition.sequence] = now_ns, transition
        return True

    def note_recorded(self, transition: Transition) -> Transition | None:
        """It stands in the store: nobody need write it again, unless it is our own, whose acknowledgement was lost.

        Where ours of the same number led elsewhere, our next may lead to where the recorded one did already. It follows
        from nothing then, and will not be recorded: it is the answer.
        """
        key, next_key = (transition.node, transition.sequence), (transition.node, transition.sequence + 1)
        _, kept = self._waiting.get(key, (0, transition))
        if kept.by == transition.by:
            return None
        del self._waiting[key]
        self._recorded = True
        _, following = self._waiting.get(next_key, (0, kept))
        if kept.to is transition.to or following.to is not transition.to:
            return None
        del self._waiting[next_key]
        return following

    def look(self, now_ns: int) -> None:
        """See whether others go on."""
        if self._recorded:
            self._recorded, self._recorded_ns = False, now_ns
        oldest_ns = next((since_ns for since_ns, _ in self._waiting.values()), now_ns)
        self.progress = now_ns - max(oldest_ns, self._recorded_ns) < LULL and now_ns - oldest_ns < PATIENCE

    def take(self, at_most: int) -> list[Transition]:
        """The oldest: they are not left to others any more."""
        return [self._waiting.pop(key)[1] for key in [*islice(self._waiting, at_most)]]
