"""A stretch of nodes, with their lines as they were last rendered."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.domain.node import Node
from exporter.exposition.families import FAMILIES
from exporter.exposition.family import Family, LiveFamily, NodeFamily
from exporter.exposition.gzipping import Piece, deflate
from exporter.nodemap.changes import Change

SIZE = 250
"""Positions in order of registration: few enough that rendering one family of them is a matter of a millisecond."""


def _bits(families: Iterable[Family]) -> int:
    return sum(_BIT[family.name] for family in families)


_KEPT = [family for family in FAMILIES if isinstance(family, NodeFamily | LiveFamily)]
_BIT = {family.name: 1 << position for position, family in enumerate(_KEPT)}
_ALL = _bits(_KEPT)
_STALE_BY = {
    change: _bits(family for family in _KEPT if isinstance(family, NodeFamily) and change in family.changed_by)
    for change in (Change.STATUS, Change.LIFECYCLE, Change.REPORT, Change.SUPPRESSION)
}


class Chunk:
    """Nodes by their position. What a change makes stale is only marked, and rendered when somebody scrapes."""

    __slots__ = ("_pieces", "_stale", "_templates", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self._stale = _ALL
        self._pieces: dict[str, Piece] = {}
        self._templates: dict[str, bytes] = {}

    def touch(self, change: Change) -> None:
        """Something of a node changed."""
        self._stale |= _STALE_BY.get(change, _ALL)

    def piece(self, family: NodeFamily) -> Piece:
        """The family's lines as they are now."""
        bit = _BIT[family.name]
        if self._stale & bit:
            self._pieces[family.name] = deflate(family.lines(family.template, list(self.nodes.values())).encode())
            self._stale &= ~bit
        return self._pieces[family.name]

    def live(self, family: LiveFamily, now_ns: int) -> bytes:
        """The family's lines at this moment of the monotonic clock."""
        nodes = list(self.nodes.values())
        bit = _BIT[family.name]
        if self._stale & bit:
            # Names hold no percent sign, so what is left to fill are the values.
            template = family.template
            self._templates[family.name] = "".join([template % (node.name, "%.3f") for node in nodes]).encode()
            self._stale &= ~bit
        return self._templates[family.name] % family.seconds(nodes, now_ns)
