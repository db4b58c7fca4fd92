"""What Alertmanager would say of each node is what `why`, the digest, the status page and the dashboards say."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from demo.servers import Generation
from tests.support.scenario_mesh import SimulatedNode
from tests.support.scenario_stack import Stack, stack
from tests.support.scenario_views import (
    SENT,
    SUPPRESSED,
    Views,
    dashboard_counts,
    dashboard_verdict,
    differing,
    show_prometheus,
)
from tests.support.server_process import until

BYSTANDERS = 24
PATIENCE = 40.0
"""Seconds; what is settled is looked at as soon as it is."""

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def agree(servers: Stack, expected: Views) -> None:
    """Every view says this, of these nodes and of no other."""
    until(lambda: differing(servers, expected), {}, within=PATIENCE)


def test_every_view_says_what_alertmanager_says(tmp_path: Path, generation: Generation) -> None:
    """In each situation in which alerts are suppressed, or are not although one might think so."""
    with stack(tmp_path, generation=generation) as servers:
        mesh = servers.mesh
        for number in range(BYSTANDERS):
            mesh.node(f"backbone-{number}", site="backbone")
        site = [mesh.node(f"cellar-{number}", site="cellar") for number in range(6)]
        early, loose, bench, drained, lab = (
            mesh.node(name, site=where, **facts)
            for name, where, facts in (
                ("early", "cellar", {}),
                ("loose", "", {}),
                ("bench", "bench", {}),
                ("drained", "bench", {}),
                ("lab", "lab", {"environment": "staging"}),
            )
        )
        old = mesh.node("old-name", site="desk", node_id="machine-1")
        lead = mesh.node("lead", site="hq", role="lead")
        servers.open_curtain()
        show_prometheus(servers)
        agree(servers, {})
        assert dashboard_verdict(servers) == 1

        bench.maintain("2h")
        drained.maintain("4s", "drain")  # ends while it is in warning
        for node in (early, loose, bench, drained, lab, lead):
            node.stop()
        old.rename("new-name")
        singles: Views = {
            "early": SENT,
            "loose": SENT,
            "bench": SUPPRESSED,  # planned work
            "drained": SUPPRESSED,  # AuroraMaintenanceOverdue stands for it, once it is due
            "lab": SENT,  # as info
            "lead": SUPPRESSED,  # AuroraMeshNoLead stands for it
            "old-name": SUPPRESSED,  # the machine lives on
        }
        wait_for_offline(servers, early, loose, bench, drained, lab, lead)
        agree(servers, singles)
        assert dashboard_verdict(servers) == 3

        for node in site[:5]:
            node.stop()
        victims = dict.fromkeys((node.name for node in site[:5]), SUPPRESSED)
        wait_for_offline(servers, *site[:5])
        agree(servers, {**singles, **victims})
        assert dashboard_verdict(servers) == 4

        site[5].stop()
        later = {site[5].name: SENT}
        agree(servers, {**singles, **victims, **later})
        until(lambda: dashboard_counts(servers)["B"], float(len([*victims, "bench", "drained", "lead", "old-name"])))

        backbone = [node for node in mesh.nodes if node.name.startswith("backbone")]
        for node in backbone:
            node.stop()
        suspects = dict.fromkeys((node.name for node in backbone), SUPPRESSED)
        wait_for_offline(servers, *backbone)
        everything = {**singles, **victims, **later, **suspects}
        agree(servers, everything)
        assert dashboard_verdict(servers) == 5

        servers.redis.kill()
        until(lambda: all(node.get("held") for node in servers.registries[0].nodes().values()), expected=True)
        time.sleep(5)  # longer than alerts go on without their series
        agree(servers, everything)
        assert dashboard_verdict(servers) == 6

        sent = firing_nodes(servers)
        servers.registries[0].kill()
        until(lambda: "AuroraRegistryDown" in firing_names(servers), expected=True, within=PATIENCE)
        assert firing_nodes(servers) == sent


def wait_for_offline(servers: Stack, *nodes: SimulatedNode) -> None:
    """All of them count as offline."""
    names = {node.name for node in nodes}
    until(lambda: {servers.registries[0].statuses()[name] for name in names}, {"offline"}, within=PATIENCE)


def firing_names(servers: Stack) -> set[str]:
    """The alerts that Alertmanager has."""
    return {labels["alertname"] for labels in servers.alertmanager.labels()}


def firing_nodes(servers: Stack) -> set[tuple[str, str]]:
    """The node alerts that it has."""
    return {(labels["alertname"], labels["node"]) for labels in servers.alertmanager.labels() if "node" in labels}
