"""Where nodes wait for their next threshold: in order of their last heartbeat, so that only the front is looked at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from heapq import merge

from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.nodemap.paths import NEVER, Path


class Queue:
    """Nodes of one path and one status, with heartbeats in the same stretch between two outages, oldest first.

    An outage starts a new generation: a node without a heartbeat since has a grace that one with a heartbeat does not
    have, so that the two would not wait in order.
    """

    __slots__ = ("nodes", "path", "siblings", "status")

    def __init__(self, path: Path, status: Status | None, siblings: dict[Status | None, Queue]) -> None:
        self.path = path
        self.status = status
        """None: nodes that wait for no threshold, since a deadline of their own forgets them."""
        self.siblings = siblings
        """The queues of the same path and generation, by status."""
        self.nodes: OrderedDict[int, Node] = OrderedDict()

    def push(self, node: Node) -> None:
        """Move the node from its queue to the end of this one: its heartbeat, or its threshold, is the latest."""
        self.discard(node)
        self.nodes[node.order] = node
        node.queue = self

    def enqueue(self, node: Node) -> None:
        """Put the node at the end of the queue, among this one's siblings, that its status belongs in."""
        parked = node.status is Status.OFFLINE and node.facts.ttl_ns
        self.siblings[None if parked else node.status].push(node)

    @staticmethod
    def to_front(node: Node) -> None:
        """Of all in its queue, the node's heartbeat is the oldest."""
        if isinstance(node.queue, Queue):
            node.queue.nodes.move_to_end(node.order, last=False)

    @staticmethod
    def discard(node: Node) -> None:
        """Take the node out of whatever queue it is in."""
        if isinstance(node.queue, Queue):
            del node.queue.nodes[node.order]
            node.queue = None

    def front(self) -> Node | None:
        """The node with the oldest heartbeat."""
        return next(iter(self.nodes.values()), None)


class Queues:
    """All queues; `current[path]` is where a node goes with a heartbeat of now."""

    def __init__(self) -> None:
        self._generations: list[dict[Status | None, Queue]] = []
        self.current: dict[Path, Queue] = {}
        self.generations = 0
        """How many were begun so far for nodes with a heartbeat of now."""

    def new_generation(self, path: Path) -> Queue:
        """Begin a generation: an outage ended. Its first queue."""
        self.generations += 1
        self.current[path] = queue = self.side_generation(path)
        return queue

    def side_generation(self, path: Path) -> Queue:
        """One beside the current, for nodes of which we learn late; the queue of those that are active."""
        generation: dict[Status | None, Queue] = {}
        for status in (*Status, None):
            generation[status] = Queue(path, status, generation)
        self._generations.append(generation)
        return generation[Status.ACTIVE]

    def arrange(self, nodes: list[Node], recent_ns: int) -> None:
        """Queue nodes whose heartbeats we learned of from others: those since `recent_ns` are in line with ours.

        Late ones wait by their age, in line with nobody else.
        """
        late: dict[Path, list[Node]] = {}
        for node in nodes:
            path = node.path
            assert isinstance(path, Path)  # noqa: S101 - a node of the map has one
            current, outages = self.current[path], path.reception.outages
            begun_ns = outages[-1].to_ns if outages else 0
            if node.status is not Status.ACTIVE or node.last_heartbeat_ns < max(recent_ns, begun_ns):
                late.setdefault(path, []).append(node)
            elif node.queue is not current:
                current.push(node)
        for path, waiting in late.items():
            waiting.sort(key=lambda node: node.last_heartbeat_ns, reverse=True)
            # What lies between two outages is a generation, as if the nodes had been here then.
            ends = [outage.to_ns for outage in path.reception.outages]
            for end_ns in [*ends, NEVER]:
                queue = self.side_generation(path)
                while waiting and waiting[-1].last_heartbeat_ns < end_ns:
                    queue.enqueue(waiting.pop())

    def earliest_heartbeat(self, path: Path, now_ns: int) -> int:
        """The oldest last heartbeat of the path's nodes; now, if it has none."""
        fronts = [queue.front() for queue in self if queue.path is path]
        return min((node.last_heartbeat_ns for node in fronts if node is not None), default=now_ns)

    def missing(self) -> Iterator[Node]:
        """Those that are missing now, the latest heartbeat first."""
        queues = [reversed([*queue.nodes.values()]) for queue in self if queue.status is not Status.ACTIVE]
        return merge(*queues, key=lambda node: -node.last_heartbeat_ns)

    def __iter__(self) -> Iterator[Queue]:
        """Every queue that has nodes; generations that emptied are dropped on the way."""
        currents = {id(queue.siblings) for queue in self.current.values()}
        self._generations = [
            generation
            for generation in self._generations
            if id(generation) in currents or any(queue.nodes for queue in generation.values())
        ]
        return iter([queue for generation in self._generations for queue in generation.values() if queue.nodes])
