"""When many nodes go missing together, it is one incident and not many."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.domain.clock import MINUTE

LASTS_RECENT = 16
"""A disruption lasts for at most so many times `recent`: 4 hours by default, a pager's first repeat."""


@dataclass(frozen=True, slots=True)
class SiteRule:
    """A site, or the whole mesh, is disrupted when enough of its in-service nodes are missing at once.

    Nodes offline for longer than `recent` (nanoseconds) leave both sides of the fraction: laptops that are off for the
    weekend suppress nothing. Source: zone disruption in Kubernetes' node lifecycle controller.
    """

    min_nodes: int = 3
    disrupted_ratio: float = 0.55
    recent: int = 15 * MINUTE

    def disrupted(self, missing: int, considered: int) -> bool:
        """`missing`: in-service nodes in warning or recently offline; `considered`: those and the active ones."""
        # Not `missing >= ratio * considered`: 0.55 * 100 is a little more than 55, and 55 of 100 nodes are enough.
        return missing >= self.min_nodes and missing / considered >= self.disrupted_ratio

    def recovered(self, missing: int, in_service: int) -> bool:
        """Whether most nodes are there, however long ago the others went missing."""
        return not in_service or missing / in_service < self.disrupted_ratio

    @property
    def lasting(self) -> int:
        """The longest that a disruption lasts, in nanoseconds."""
        return LASTS_RECENT * self.recent
