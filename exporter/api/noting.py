"""What the node map reports, as events: what happened to which node, and how it stood before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.api.documents import Renderer, timestamp
from exporter.api.eventlog import Subject, frame
from exporter.api.responses import encode
from exporter.domain.eventnames import (
    DEREGISTERED,
    FORGOTTEN,
    LIFECYCLE_CHANGED,
    REGISTERED,
    STATUS_CHANGED,
    UPDATED,
)
from exporter.domain.lifecycle import IN_SERVICE, Lifecycle
from exporter.domain.node import Node
from exporter.domain.registration import Registration
from exporter.domain.status import Status
from exporter.exposition.yielder import Yielder
from exporter.nodemap.changes import Change
from exporter.nodemap.nodemap import NodeMap

_GONE = {Change.DEPARTED: DEREGISTERED, Change.FORGOTTEN: FORGOTTEN}
_USUAL = (Status.ACTIVE, IN_SERVICE)


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that happened; it is encoded later, so that noting it costs its cause nothing."""

    type: str
    node: Node
    at_ns: int
    subject: Subject
    before: Subject
    """As the node stood before; the same where nothing that filters look at changed."""


class Noter:
    """Compares each change with how the node stood: the map reports that something changed, not from what."""

    def __init__(self, node_map: NodeMap) -> None:
        self._map = node_map
        self._unusual: dict[str, tuple[Status, Lifecycle]] = {}
        """How nodes stand that are not active and in service."""
        self._facts: dict[str, Registration] = {}
        """What the map replaces when a node registers with other facts."""

    async def remember_all(self) -> None:
        """How all nodes stand; changes are to be noted from before it on, and are events from its end on."""
        yielder = Yielder()
        for node in tuple(self._map.nodes()):
            if self._map.find(node.name) is node:
                self._remember(node)
            await yielder.maybe_yield()

    def note(self, change: Change, node: Node) -> Iterator[Noted]:
        """The events that the change is, in order; none where nothing that documents state as set changed."""
        if change is Change.REPORT:
            return
        wall_ns = self._map.clock.wall_ns()
        status, lifecycle = self._unusual.get(node.name, _USUAL)
        subject = Subject(node.facts, node.status, node.free_vram_bytes)
        if change in _GONE:
            self._unusual.pop(node.name, None)
            self._facts.pop(node.name, None)
            yield Noted(_GONE[change], node, wall_ns, subject, subject)
            return
        facts = self._facts.get(node.name, node.facts)
        self._remember(node)
        if change is Change.APPEARED:
            yield Noted(REGISTERED, node, wall_ns, subject, subject)
            return
        before = subject
        if facts is not node.facts or status is not node.status:
            before = Subject(facts, status, node.free_vram_bytes)
        if change is Change.FACTS:
            yield Noted(UPDATED, node, wall_ns, subject, before)
        if node.status is not status:
            yield Noted(STATUS_CHANGED, node, self._map.wall_time.at(node.status_since_ns), subject, before)
        if node.lifecycle != lifecycle:
            yield Noted(LIFECYCLE_CHANGED, node, wall_ns, subject, before)

    def _remember(self, node: Node) -> None:
        self._facts[node.name] = node.facts
        stands = (node.status, node.lifecycle)
        if stands == _USUAL:
            self._unusual.pop(node.name, None)
        else:
            self._unusual[node.name] = stands


def encoded(noted: Noted, renderer: Renderer) -> tuple[bytes, tuple[Subject, ...]]:
    """The event as the stream has it, the node's document with what happened; and what filters see of it."""
    happened = {"node": noted.node.name, "at": timestamp(noted.at_ns)}
    if noted.type == STATUS_CHANGED:
        happened |= {"from": noted.before.status, "to": noted.subject.status}
    data = b"%b,%b" % (encode(happened)[:-1], renderer.document(noted.node)[1:])
    subjects = (noted.subject,) if noted.before is noted.subject else (noted.subject, noted.before)
    return frame(noted.type, data), subjects
