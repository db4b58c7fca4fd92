"""When many nodes fall silent together, it is one incident and not many."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.domain.clock import MINUTE


@dataclass(frozen=True, slots=True)
class SiteRule:
    """A site, or the whole mesh, is disrupted when enough of its in-service nodes are silent at once.

    Nodes offline for longer than `recent` (nanoseconds) leave both sides of the fraction: laptops that are off for the
    weekend mute nobody. Source: zone disruption in Kubernetes' node lifecycle controller.
    """

    min_nodes: int = 3
    disrupted_ratio: float = 0.55
    recent: int = 15 * MINUTE

    def disrupted(self, silent: int, considered: int) -> bool:
        """`silent`: in-service nodes in warning or recently offline; `considered`: those and the active ones."""
        # Not `silent >= ratio * considered`: 0.55 * 100 is a little more than 55, and 55 of 100 nodes are enough.
        return silent >= self.min_nodes and silent / considered >= self.disrupted_ratio
