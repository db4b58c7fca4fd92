"""The lines of roles, of sites and of the whole mesh, from the node map's totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from exporter.domain.status import Status
from exporter.exposition.render import escape, seconds
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.totals import MESH, Totals


def by_role(template: str, node_map: NodeMap) -> Iterator[str]:
    """For each role that a node has, every status."""
    for role, counts in sorted(node_map.totals.by_role.items()):
        yield "".join(template % (role, status.value, counts[status]) for status in Status)


def by_status(of: Callable[[Totals], Counter[Status]]) -> Callable[[str, NodeMap], Iterator[str]]:
    """A sum for every status."""

    def texts(template: str, node_map: NodeMap) -> Iterator[str]:
        counts = of(node_map.totals)
        yield "".join(template % (status.value, counts[status]) for status in Status)

    return texts


def by_site(template: str, node_map: NodeMap) -> Iterator[str]:
    """For each site that a node has, every status."""
    for site, counts in sorted(node_map.totals.by_site.items()):
        yield "".join(template % (escape(site), status.value, counts[status]) for status in Status)


def disrupted(template: str, node_map: NodeMap) -> Iterator[str]:
    """Whether each site is disrupted."""
    for site in node_map.totals.site_names():
        yield template % (escape(site), int(node_map.totals.disrupted(site)))


def site_disruptions(template: str, node_map: NodeMap) -> Iterator[str]:
    """Since when each disrupted site is."""
    for site in node_map.totals.site_names():
        disruption = node_map.disruptions.of(site)
        if disruption:
            yield template % (escape(site), seconds(disruption.began_ns))


def mesh_disruption(template: str, node_map: NodeMap) -> Iterator[str]:
    """Since when the whole mesh is disrupted."""
    disruption = node_map.disruptions.of(MESH)
    if disruption:
        yield template % seconds(disruption.began_ns)
