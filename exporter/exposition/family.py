"""What a family is: its metadata, the form of its lines, and how its lines come from the nodes."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from exporter.domain.node import Node
from exporter.nodemap.changes import Change
from exporter.nodemap.nodemap import NodeMap

UNITS = ("seconds", "bytes", "ratio", "celsius", "watts", "hertz", "joules")


class Type(enum.StrEnum):
    """As OpenMetrics calls it; the older text format knows no `info` and says `gauge`."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """`name` is that of the samples, with its `_total` or `_info`."""

    name: str
    help: str
    type: Type = Type.GAUGE
    labels: tuple[str, ...] = ("node",)

    @property
    def unit(self) -> str:
        """The base unit that the name ends in, or nothing."""
        last = self.name.rpartition("_")[2]
        return last if last in UNITS else ""

    @property
    def template(self) -> str:
        """A sample's line for `%`: the labels' values in their order, already escaped, and then the value."""
        pairs = ",".join(f'{label}="%s"' for label in self.labels)
        return f"{self.name}{{{pairs}}} %s\n" if pairs else f"{self.name} %s\n"

    def metadata(self, *, open_metrics: bool) -> str:
        """The lines that come before the samples."""
        if not open_metrics:
            kind = Type.GAUGE if self.type is Type.INFO else self.type
            return f"# HELP {self.name} {_escape_help(self.help)}\n# TYPE {self.name} {kind}\n"
        name = self.name.removesuffix("_total").removesuffix("_info")
        lines = f"# HELP {name} {_escape_help(self.help, quotes=True)}\n# TYPE {name} {self.type}\n"
        return lines + f"# UNIT {name} {self.unit}\n" if self.unit else lines


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFamily(Family):
    """Lines of nodes that stand until one of them changes."""

    lines: Callable[[str, Sequence[Node]], str]
    """From the form and the nodes."""
    changed_by: frozenset[Change] = frozenset()
    """Beside coming, going and registering again, which change every node family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFamily(Family):
    """One line a node, whose value is another at each scrape."""

    seconds: Callable[[Sequence[Node], int], tuple[float, ...]]
    """From the nodes and the monotonic time, in whole milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshFamily(Family):
    """Lines about many nodes together."""

    texts: Callable[[str, NodeMap], Iterator[str]]
    """From the form and the node map; in pieces, between which the map may change."""


def _escape_help(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
