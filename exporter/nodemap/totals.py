"""Sums over the whole mesh, kept as nodes change, so that no scrape has to count."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from exporter.domain.lifecycle import Phase
from exporter.domain.node import Node
from exporter.domain.site import SiteRule
from exporter.domain.status import Status

_ACTIVE, _IN_SERVICE = Status.ACTIVE, Phase.IN_SERVICE
Key = TypeVar("Key")
MESH = ""
"""Stands for the whole mesh among sites: no site can be called so."""


class Totals:
    """Counts of nodes, GPUs and VRAM. A node is taken out before it changes and put back after."""

    def __init__(self, site_rule: SiteRule) -> None:
        self.site_rule = site_rule
        self.nodes: Counter[tuple[str, Status]] = Counter()
        """By role and status."""
        self.statuses: Counter[Status] = Counter()
        self.gpus: Counter[Status] = Counter()
        self.gpu_memory_bytes: Counter[Status] = Counter()
        self.sites: Counter[tuple[str, Status]] = Counter()
        """By site and status; nodes without a site are in none."""
        self._in_service: Counter[str] = Counter()
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
        facts, status = node.facts, node.status
        _move(self.nodes, (facts.role, before), (facts.role, status), 1)
        _move(self.statuses, before, status, 1)
        if facts.gpus:
            _move(self.gpus, before, status, facts.gpus)
        if facts.gpu_memory_bytes:
            _move(self.gpu_memory_bytes, before, status, facts.gpu_memory_bytes)
        if facts.site:
            _move(self.sites, (facts.site, before), (facts.site, status), 1)
        step = (status is not _ACTIVE) - (before is not _ACTIVE)
        if step and node.lifecycle.phase is _IN_SERVICE:
            _step(self._missing, MESH, step)
            if facts.site:
                _step(self._missing, facts.site, step)

    def _count(self, node: Node, step: int) -> None:
        facts, status = node.facts, node.status
        _step(self.nodes, (facts.role, status), step)
        _step(self.statuses, status, step)
        _step(self.gpus, status, step * facts.gpus)
        _step(self.gpu_memory_bytes, status, step * facts.gpu_memory_bytes)
        if facts.site:
            _step(self.sites, (facts.site, status), step)
        if node.lifecycle.phase is _IN_SERVICE:
            for site in {facts.site, MESH}:
                _step(self._in_service, site, step)
                if status is not _ACTIVE:
                    _step(self._missing, site, step)
                    if node.long_offline:
                        _step(self._long_offline, site, step)

    def roles(self) -> dict[str, int]:
        """Nodes by role."""
        roles: Counter[str] = Counter()
        for (role, _), count in self.nodes.items():
            roles[role] += count
        return dict(roles)

    def site_names(self) -> list[str]:
        """Every site that a node is registered in, sorted."""
        return sorted({site for site, _ in self.sites})

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


def _move(counter: Counter[Key], before: Key, after: Key, count: int) -> None:
    counter[before] -= count
    if not counter[before]:
        del counter[before]
    counter[after] += count


def _step(counter: Counter[Key], key: Key, step: int) -> None:
    counter[key] += step
    if not counter[key]:
        del counter[key]
