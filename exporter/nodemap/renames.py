"""Machines that registered again under another name: the old name is no dead node."""

from __future__ import annotations

from collections.abc import Callable

from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.nodemap.timelines import MeshTime


class Renames:
    """Knows which nodes share a `node_id`, and marks (`Node.renamed_to`) the one that a later one stands for.

    A node was renamed where it is missing and another one with its `node_id` was registered after its last heartbeat,
    or so shortly before that the heartbeat was still on its way. Two machines that are alive with one `node_id`, such
    as clones, go on sending after the other's registration.
    """

    def __init__(self, tolerance_ns: int, mesh_time: MeshTime, on_mark: Callable[[Node], None]) -> None:
        """`on_mark` is called for each node whose mark changed. `tolerance_ns`: a heartbeat interval."""
        self.tolerance_ns = tolerance_ns
        self._mesh_time = mesh_time
        self._on_mark = on_mark
        self._machines: dict[str, dict[str, Node]] = {}

    def add(self, node: Node) -> None:
        """The node is there, or has other facts; call `discard` before they change."""
        if node.facts.node_id:
            self._machines.setdefault(node.facts.node_id, {})[node.name] = node
            self.note(node)

    def discard(self, node: Node) -> None:
        """The node is gone, or is about to have other facts."""
        names = self._machines.get(node.facts.node_id)
        if names is not None and names.pop(node.name, None) is not None:
            if names:
                self._judge(names)
            else:
                del self._machines[node.facts.node_id]

    def note(self, node: Node) -> None:
        """The node's status changed."""
        names = self._machines.get(node.facts.node_id)
        if names is not None and (len(names) > 1 or node.renamed_to):
            self._judge(names)

    def _judge(self, names: dict[str, Node]) -> None:
        # By the epoch, the registration that a node appeared with, in mesh time: no wall clock decides it.
        latest = max(names.values(), key=lambda node: node.record.epoch)
        registered_ns = self._mesh_time.local(latest.record.epoch)
        for node in names.values():
            renamed = (
                node is not latest
                and node.status is not Status.ACTIVE
                and registered_ns >= node.last_heartbeat_ns - self.tolerance_ns
            )
            renamed_to = latest.name if renamed else ""
            if renamed_to != node.renamed_to:
                node.renamed_to = renamed_to
                self._on_mark(node)
