"""Outages of what stands around the nodes: the network of most of them, the registry, Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.servers import Generation
from tests.support.scenario_play import Scenario, Stage, surprises_side_by_side

MOST = Stage(seconds=34)
OURSELVES = Stage(seconds=54, bystanders=20)
AGAIN = Stage(seconds=58, bystanders=20)
AROUND = Stage(seconds=44, bystanders=20)
TWINS = Stage(seconds=36, bystanders=30, replicas=2, instant=True)


@MOST.scenario
def most_of_the_mesh_goes_missing(play: Scenario) -> None:
    """One message says that we ourselves are suspect; none is about sites or nodes."""
    sites = [play.nodes_of(f"valley-{number}", 5) for number in range(4)]
    play.concerns("AuroraMeshSuspect")
    missing = [node for site in sites[:3] for node in site][:12]
    play.at(1).do(*(node.stop for node in missing))
    play.at(11).do(*(node.resume for node in missing))
    play.between(3, 6).expect("pager", "AuroraMeshSuspect firing")
    play.between(13, 22).expect("pager", "AuroraMeshSuspect resolved")


@OURSELVES.scenario
def the_registry_is_killed_and_started_again(play: Scenario) -> None:
    """Its absence is one message, and no node is blamed for it."""
    registry = play.stack.registries[0]
    play.concerns("AuroraRegistryDown")
    play.at(1).do(registry.kill)
    play.at(8).do(registry.start)
    play.between(3, 6).expect("pager", "AuroraRegistryDown firing")
    play.between(8, 17).expect("pager", "AuroraRegistryDown resolved")


@OURSELVES.scenario
def redis_is_killed_and_started_again(play: Scenario) -> None:
    """The lost bus has its alert, and neither the store nor any node, although all were missing for too long."""
    bus, store = "AuroraRegistryEventBusDown", "AuroraRegistryStoreDown"
    play.concerns(bus, store)
    play.at(20).do(play.stack.redis.kill)
    play.at(32).do(play.stack.redis.start)
    play.between(22, 27).expect("pager", f"{bus} firing")
    play.between(33, 42).expect("pager", f"{bus} resolved")


@OURSELVES.scenario
def a_dead_node_stays_dead_while_redis_is_away(play: Scenario) -> None:
    """Its frozen status is unknown, not repaired: it is resolved when it is back."""
    node = play.node("grave-1", site="grave")
    play.at(9).do(node.stop)
    play.at(40).do(node.resume)
    play.between(11, 15).expect("chat", "AuroraNodeWarning grave-1 firing")
    play.between(15, 19).expect("pager", "AuroraNodeOffline grave-1 firing")
    play.between(42, 50).expect("pager", "AuroraNodeOffline grave-1 resolved")
    play.between(42, 51).expect("chat", "AuroraNodeWarning grave-1 resolved")


@AGAIN.scenario
def a_node_dies_again_after_the_registry_was_down(play: Scenario) -> None:
    """It was repaired while nobody could know; its next death has its alert as every other."""
    node, registry = play.node("twice-1", site="twice"), play.stack.registries[0]
    play.concerns("AuroraRegistryDown")
    play.at(1).do(node.stop)
    play.at(11).do(registry.kill)
    play.at(32).do(registry.start)
    play.at(33).do(node.resume)
    play.at(46).do(node.stop)
    play.between(3, 7).expect("chat", "AuroraNodeWarning twice-1 firing")
    play.between(7, 11).expect("pager", "AuroraNodeOffline twice-1 firing")
    play.between(13, 17).expect("pager", "AuroraRegistryDown firing")
    play.between(32, 40).expect("pager", "AuroraRegistryDown resolved")
    play.between(35, 43).expect("pager", "AuroraNodeOffline twice-1 resolved")
    play.between(35, 44).expect("chat", "AuroraNodeWarning twice-1 resolved")
    play.between(48, 54).expect("chat", "AuroraNodeWarning twice-1 firing")
    play.between(51, 57.9).expect("pager", "AuroraNodeOffline twice-1 firing")


@AROUND.scenario
def alertmanager_and_prometheus_go_while_a_site_is_away(play: Scenario) -> None:
    """Neither makes its nodes page: a new start of Alertmanager sends nothing, one of Prometheus the site again."""
    nodes, prometheus = play.nodes_of("mill", 5), play.stack.prometheus
    site = "AuroraSiteDisrupted mill"
    play.at(1).do(*(node.stop for node in nodes))
    play.at(9).do(play.stack.alertmanager.stop, play.stack.alertmanager.start)
    play.at(15).do(prometheus.stop)
    play.at(33).do(prometheus.start)
    play.between(3, 7).expect("pager", f"{site} firing")
    play.between(19, 32).expect("pager", f"{site} resolved")
    play.between(34, 43).expect("pager", f"{site} firing")


@TWINS.scenario
def two_registries_report_a_node_beside_the_rules(play: Scenario) -> None:
    """All send the same alert: people get it sooner, and not more often."""
    node = play.node("quick-1", site="quick")
    play.at(1).do(node.stop)
    play.at(11).do(node.resume)
    play.between(3, 7).expect("chat", "AuroraNodeWarning quick-1 firing")
    play.between(6, 11).expect("pager", "AuroraNodeOffline quick-1 firing")
    play.between(11, 19).expect("pager", "AuroraNodeOffline quick-1 resolved")
    play.between(13, 23).expect("chat", "AuroraNodeWarning quick-1 resolved")


for number in range(1, 5):

    @TWINS.scenario
    def a_node_flaps_beside_the_rules(play: Scenario, number: int = number) -> None:
        """The rules keep its alert over a short return, and the registry leaves the end to them."""
        node = play.node(f"loose-{number}", site=f"loose-{number}")
        play.at(1).do(node.stop)
        play.at(5.0 + 0.1 * number).do(node.resume)
        play.at(5.8 + 0.1 * number).do(node.stop)
        play.at(8.2).do(node.resume)
        play.between(3, 7).expect("chat", f"AuroraNodeWarning loose-{number} firing")
        play.between(8, 18).expect("chat", f"AuroraNodeWarning loose-{number} resolved")


@TWINS.scenario
def one_of_two_registries_dies(play: Scenario) -> None:
    """The other one goes on: there is no message about nodes, and at most one about the registry."""
    play.concerns("AuroraRegistryDown")
    play.at(24).do(play.stack.registries[1].kill)


@pytest.mark.servers
@pytest.mark.timeout(900)  # three others may be waited for
def test_people_get_a_message_of_the_outage_and_of_no_node(tmp_path: Path, generation: Generation) -> None:
    """Every message, its receiver, its content and its time are as each scenario says. The stages play side by side."""
    stages = {"most": MOST, "ourselves": OURSELVES, "twins": TWINS, "again": AGAIN, "around": AROUND}
    found = surprises_side_by_side(stages, tmp_path, generation)
    assert not found, found
