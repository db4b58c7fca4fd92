"""Where nodes wait for their next threshold: in order of their last heartbeat, so that only the front is looked at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from exporter.domain.node import Node
from exporter.domain.status import Status, Transport


class Queue:
    """Nodes of one transport and one status, heard in the same stretch between two blind outages, longest silent first.

    A blind spell starts a new generation: a node that was not heard since has a grace that one heard since does not
    have, so that the two would not wait in order.
    """

    __slots__ = ("nodes", "siblings", "status", "transport")

    def __init__(self, transport: Transport, status: Status | None, siblings: dict[Status | None, Queue]) -> None:
        self.transport = transport
        self.status = status
        """None: nodes that wait for no threshold, since an appointment of their own forgets them."""
        self.siblings = siblings
        """The queues of the same transport and generation, by status."""
        self.nodes: OrderedDict[int, Node] = OrderedDict()

    def push(self, node: Node) -> None:
        """Take the node out of its queue and put it at this one's end: it was heard last, or crossed last."""
        self.discard(node)
        self.nodes[node.order] = node
        node.queue = self

    @staticmethod
    def discard(node: Node) -> None:
        """Take the node out of whatever queue it is in."""
        if isinstance(node.queue, Queue):
            del node.queue.nodes[node.order]
            node.queue = None

    def front(self) -> Node | None:
        """The node that is silent for longest."""
        return next(iter(self.nodes.values()), None)


class Queues:
    """All queues; `current[transport]` is where a node goes that was heard just now."""

    def __init__(self) -> None:
        self._generations: list[dict[Status | None, Queue]] = []
        self.current: dict[Transport, Queue] = {}
        for transport in Transport:
            self.new_generation(transport)

    def new_generation(self, transport: Transport) -> None:
        """Begin a generation: hearing returned after a blind spell."""
        generation: dict[Status | None, Queue] = {}
        for status in (*Status, None):
            generation[status] = Queue(transport, status, generation)
        self._generations.append(generation)
        self.current[transport] = generation[Status.ACTIVE]

    def earliest_heartbeat(self, transport: Transport, now_ns: int) -> int:
        """When the transport's longest silent node was heard; now, if it has none."""
        fronts = [queue.front() for queue in self if queue.transport is transport]
        return min((node.last_heartbeat_ns for node in fronts if node is not None), default=now_ns)

    def __iter__(self) -> Iterator[Queue]:
        """Every queue that has nodes; generations that emptied are dropped on the way."""
        currents = {id(queue.siblings) for queue in self.current.values()}
        self._generations = [
            generation
            for generation in self._generations
            if id(generation) in currents or any(queue.nodes for queue in generation.values())
        ]
        return iter([queue for generation in self._generations for queue in generation.values() if queue.nodes])
