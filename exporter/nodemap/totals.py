"""Sums over the whole mesh, kept as nodes change, so that no scrape has to count."""

from __future__ import annotations

from collections import Counter

from exporter.domain.lifecycle import Phase
from exporter.domain.node import Node
from exporter.domain.site import SiteRule
from exporter.domain.status import Status

_ACTIVE, _IN_SERVICE = Status.ACTIVE, Phase.IN_SERVICE
MESH = ""
"""Stands for the whole mesh among sites: no site can be called so."""


class Totals:
    """Counts of nodes, GPUs and VRAM. A node is taken out before it changes and put back after."""

    def __init__(self, site_rule: SiteRule) -> None:
        self.site_rule = site_rule
        self.statuses: Counter[Status] = Counter()
        self.gpus: Counter[Status] = Counter()
        self.gpu_memory_bytes: Counter[Status] = Counter()
        self.by_role: dict[str, Counter[Status]] = {}
        """Nodes; of each role that there is."""
        self.by_site: dict[str, Counter[Status]] = {}
        """The same; nodes without a site are in none."""
        self._in_service: Counter[str] = Counter()
        """By site, and of the whole mesh; here and below."""
        self._missing: Counter[str] = Counter()
        """In service and not active."""
        self._long_offline: Counter[str] = Counter()
        """Those of the missing that have been offline for long."""

    def add(self, node: Node) -> None:
        """Count the node in."""
        self._count(node, 1)

    def discard(self, node: Node) -> None:
        """Count the node out, as it was counted in: call it before the node changes."""
        self._count(node, -1)

    def restate(self, node: Node, before: Status) -> None:
        """The node was counted in with this status, not for long offline, and has another one now."""
        facts, status = node.record.registration, node.status
        site, gpus, gpu_memory_bytes = facts.site, facts.gpus, facts.gpu_memory_bytes
        for counts in (self.statuses, self.by_role[facts.role], self.by_site[site] if site else None):
            if counts is not None:
                counts[before] -= 1
                counts[status] += 1
        if gpus:
            self.gpus[before] -= gpus
            self.gpus[status] += gpus
        if gpu_memory_bytes:
            self.gpu_memory_bytes[before] -= gpu_memory_bytes
            self.gpu_memory_bytes[status] += gpu_memory_bytes
        step = (status is not _ACTIVE) - (before is not _ACTIVE)
        if step and node.record.lifecycle.phase is _IN_SERVICE:
            self._missing[MESH] += step
            if site:
                self._missing[site] += step

    def _count(self, node: Node, step: int) -> None:
        facts, status = node.facts, node.status
        self.statuses[status] += step
        self.gpus[status] += step * facts.gpus
        self.gpu_memory_bytes[status] += step * facts.gpu_memory_bytes
        _step(self.by_role, facts.role, status, step)
        if facts.site:
            _step(self.by_site, facts.site, status, step)
        if node.lifecycle.phase is _IN_SERVICE:
            for site in {facts.site, MESH}:
                self._in_service[site] += step
                if status is not _ACTIVE:
                    self._missing[site] += step
                    if node.long_offline:
                        self._long_offline[site] += step
                if not self._in_service[site]:
                    del self._in_service[site], self._missing[site], self._long_offline[site]

    def of_role(self, role: str) -> Counter[Status]:
        """Nodes of the role, by status."""
        return self.by_role.get(role, Counter())

    def roles(self) -> dict[str, int]:
        """Nodes by role."""
        return {role: counts.total() for role, counts in self.by_role.items()}

    def site_names(self) -> list[str]:
        """Every site that a node is registered in, sorted."""
        return sorted(self.by_site)

    def disrupted(self, site: str) -> bool:
        """Whether the nodes of the site, or with MESH those of the mesh, went missing together."""
        long_offline = self._long_offline[site]
        return self.site_rule.disrupted(self._missing[site] - long_offline, self._in_service[site] - long_offline)

    def recovered(self, site: str) -> bool:
        """Whether most nodes of the site, or with MESH of the mesh, are there."""
        return self.site_rule.recovered(self._missing[site], self._in_service[site])

    def in_service(self, site: str) -> int:
        """How many nodes of the site, or with MESH of the mesh, are in service."""
        return self._in_service[site]

    @property
    def mesh_suspect(self) -> bool:
        """Whether the whole mesh went missing together: then our own connection is the likelier cause."""
        return self.disrupted(MESH)


def _step(counters: dict[str, Counter[Status]], key: str, status: Status, step: int) -> None:
    counts = counters.setdefault(key, Counter())
    counts[status] += step
    if not counts.total():
        del counters[key]
