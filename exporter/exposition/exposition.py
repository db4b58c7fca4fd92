"""`/metrics`, as far as it is about nodes, sites and the mesh."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from exporter.domain.node import Node
from exporter.domain.topology import DEFAULT_RULES, EdgeRule
from exporter.exposition.chunk import SIZE, Chunk
from exporter.exposition.families import EDGE_INFO, EDGES_OMITTED, FAMILIES, HELD
from exporter.exposition.family import Family, LiveFamily, MeshFamily, NodeFamily
from exporter.exposition.gzipping import Piece, deflate, gzip_body, plain_body
from exporter.exposition.render import held
from exporter.exposition.topology import EdgeLines, edge_lines
from exporter.exposition.yielder import Yielder
from exporter.nodemap.changes import GONE, Change
from exporter.nodemap.nodemap import NodeMap

__all__ = ["FAMILIES", "Exposition"]

_APPEARED = Change.APPEARED


@dataclass(frozen=True, slots=True)
class _Settings:
    families: tuple[Family, ...]
    rules: tuple[EdgeRule, ...]
    max_edges: int


class Exposition:
    """Renders the node map, keeps what does not change, and lets the event loop go on meanwhile.

    A scrape shows the nodes that there were when it began; one that leaves meanwhile may be missing from it already.
    Scrapes may overlap. The families' names in `disabled_families` are those of their samples.
    """

    def __init__(
        self,
        node_map: NodeMap,
        *,
        disabled_families: Collection[str] = (),
        rules: tuple[EdgeRule, ...] = DEFAULT_RULES,
        max_edges: int = 10_000,
    ) -> None:
        self._node_map = node_map
        self._chunks: dict[int, Chunk] = {}
        self._edges: EdgeLines | None = None
        self.reconfigure(disabled_families=disabled_families, rules=rules, max_edges=max_edges)
        for node in node_map.nodes():
            self._note(Change.APPEARED, node)
        node_map.listeners.append(self._note)

    def close(self) -> None:
        """Stop listening to the node map."""
        self._node_map.listeners.remove(self._note)

    def reconfigure(self, *, disabled_families: Collection[str], rules: tuple[EdgeRule, ...], max_edges: int) -> None:
        """Other settings for the scrapes that begin from now on."""
        families = tuple(family for family in FAMILIES if family.name not in disabled_families)
        self._settings = _Settings(families, rules, max_edges)
        self._edges = None

    async def scrape(
        self, *, open_metrics: bool, gzip: bool, names: frozenset[str] | None = None, own: bytes = b""
    ) -> bytes:
        """The whole body, as OpenMetrics 1.0.0 or text 0.0.4, as one gzip member or plain.

        `names`: only families with such a sample name. `own`: text of the same format, without `# EOF`, to put last.
        """
        yielder = Yielder()
        settings = self._settings
        wanted = [family for family in settings.families if names is None or family.name in names]
        lines = await self._node_lines([f for f in wanted if isinstance(f, NodeFamily | LiveFamily)], yielder)
        lines |= await self._mesh_lines([f for f in wanted if isinstance(f, MeshFamily)], yielder)
        if EDGE_INFO in wanted or EDGES_OMITTED in wanted:
            edges = await self._edge_lines(settings, yielder)
            lines |= {EDGE_INFO.name: edges.info, EDGES_OMITTED.name: [edges.omitted]}
        pieces: list[Piece] = []
        for family in wanted:
            samples = lines[family.name]
            if any(piece.length for piece in samples):
                pieces += [deflate(family.metadata(open_metrics=open_metrics).encode()), *samples]
            await yielder.maybe_yield()
        pieces.append(deflate(own + (b"# EOF\n" if open_metrics else b"")))
        return await (gzip_body if gzip else plain_body)(pieces, yielder)

    async def _node_lines(self, families: list[NodeFamily | LiveFamily], yielder: Yielder) -> dict[str, list[Piece]]:
        lines: dict[str, list[Piece]] = {family.name: [] for family in families}
        # From the youngest to the oldest: a node that leaves and returns while the loop runs is put behind
        # what was passed already, so that no family has it twice.
        for chunk in reversed(list(self._chunks.values())):
            for family in families:
                lines[family.name].append(self._piece(chunk, family))
                await yielder.maybe_yield()
        for pieces in lines.values():
            pieces.reverse()
        return lines

    def _piece(self, chunk: Chunk, family: NodeFamily | LiveFamily) -> Piece:
        if isinstance(family, LiveFamily):
            return deflate(chunk.live(family, self._node_map.clock.monotonic_ns()))
        if family is HELD and self._node_map.anything_held(self._node_map.clock.monotonic_ns()):
            return deflate(held(family.template, list(chunk.nodes.values()), self._node_map).encode())
        return chunk.piece(family)

    async def _mesh_lines(self, families: list[MeshFamily], yielder: Yielder) -> dict[str, list[Piece]]:
        lines: dict[str, list[Piece]] = {}
        for family in families:
            pieces = lines[family.name] = []
            for text in family.texts(family.template, self._node_map):
                pieces.append(deflate(text.encode()))
                await yielder.maybe_yield()
        return lines

    async def _edge_lines(self, settings: _Settings, yielder: Yielder) -> EdgeLines:
        edges = self._edges
        if edges is None or edges.facts_version != self._node_map.facts_version:
            edges = await edge_lines(self._node_map, settings.rules, settings.max_edges, yielder)
            if settings is self._settings:
                self._edges = edges
        return edges

    def _note(self, change: Change, node: Node) -> None:
        index = node.order // SIZE
        chunk = self._chunks.get(index)
        if chunk is None:
            chunk = self._chunks[index] = Chunk()
        if change is _APPEARED:
            chunk.nodes[node.order] = node
        elif change in GONE:
            del chunk.nodes[node.order]
            if not chunk.nodes:
                del self._chunks[index]
        chunk.touch(change)
