"""Incidents of an ordinary day, several at once, and the messages that people get. A second is a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.servers import Generation
from tests.support.scenario_play import Scenario, Stage, surprises

HOUR = 3600.0
DAY = Stage(seconds=40, bystanders=60, replicas=2)
"""Before two registries: nothing is sent twice."""


@DAY.scenario
def a_node_goes_missing_and_returns(play: Scenario) -> None:
    """The chat gets a warning first; the one on call gets one message, and one more when it is over."""
    node = play.node("attic-1", site="attic")
    play.at(1).do(node.stop)
    play.at(13).do(node.resume)
    play.between(3, 7).expect("chat", "AuroraNodeWarning attic-1 firing")
    play.between(7, 11).expect("pager", "AuroraNodeOffline attic-1 firing")
    play.between(16, 22).expect("pager", "AuroraNodeOffline attic-1 resolved")
    play.between(18, 26).expect("chat", "AuroraNodeWarning attic-1 resolved")


@DAY.scenario
def a_node_over_http_goes_missing(play: Scenario) -> None:
    """It is no matter over which transport a node sends."""
    node = play.node("web-1", site="web", http=True)
    play.at(1).do(node.stop)
    play.between(3, 7).expect("chat", "AuroraNodeWarning web-1 firing")
    play.between(7, 11).expect("pager", "AuroraNodeOffline web-1 firing")


@DAY.scenario
def a_laptop_says_that_it_sleeps(play: Scenario) -> None:
    """There is no message, neither when it sleeps nor when it wakes."""
    laptop = play.node("sofa-1", site="sofa")
    play.at(1).do(laptop.sleep)
    play.at(25).do(laptop.resume)


@DAY.scenario
def a_laptop_sleeps_without_a_word(play: Scenario) -> None:
    """It is warned of as any node is, and back before it counts as offline."""
    laptop = play.node("train-1", site="train")
    play.at(1).do(laptop.stop)
    play.at(4.8).do(laptop.resume)
    play.between(3, 7).expect("chat", "AuroraNodeWarning train-1 firing")
    play.between(8, 15).expect("chat", "AuroraNodeWarning train-1 resolved")


@DAY.scenario
def a_node_flaps(play: Scenario) -> None:
    """Ten outages, each in warning for less than a scrape takes, are one message."""
    node = play.node("radio-1", site="radio")
    for flap in range(10):
        play.at(1 + 3.1 * flap).do(node.breathe_out)
        play.at(3.3 + 3.1 * flap).do(node.breathe_in)
    play.between(8, 16).expect("chat", "AuroraNodeFlapping radio-1 firing")


@DAY.scenario
def a_gpu_falls_off_the_bus(play: Scenario) -> None:
    """The node lives and says itself how many GPUs it sees."""
    node = play.node("rack-1", site="rack", gpus=4)
    play.at(1).do(node.lose_gpu)
    play.between(3, 7).expect("chat", "AuroraNodeGpuMissing rack-1 firing")


@DAY.scenario
def a_site_goes_missing(play: Scenario) -> None:
    """Ten nodes are one message about their site, and one when they are back."""
    nodes = play.nodes_of("cellar", 10)
    play.at(1).do(*(node.stop for node in nodes))
    play.at(20).do(*(node.resume for node in nodes))
    play.between(3, 7).expect("pager", "AuroraSiteDisrupted cellar firing")
    play.between(22, 30).expect("pager", "AuroraSiteDisrupted cellar resolved")


@DAY.scenario
def a_server_dies_after_the_laptops_went_home(play: Scenario) -> None:
    """The laptops are one message about their site; the server that dies later pages as any other."""
    laptops, servers = play.nodes_of("notebook", 10, site="branch"), play.nodes_of("rack-server", 3, site="branch")
    play.at(1).do(*(laptop.stop for laptop in laptops))
    play.at(21).do(servers[0].stop)
    play.between(3, 7).expect("pager", "AuroraSiteDisrupted branch firing")
    play.between(23, 29).expect("chat", "AuroraNodeWarning rack-server-1 firing")
    both = ("AuroraNodeOffline rack-server-1 firing", "AuroraSiteDisrupted branch firing")
    play.between(26, 34).expect("pager", *both)


@DAY.scenario
def what_is_left_of_a_disruption_is_named(play: Scenario) -> None:
    """Most nodes of the site are back for the time of a reboot; one is not."""
    nodes = play.nodes_of("barn", 5)
    play.at(1).do(*(node.stop for node in nodes))
    play.at(9.4).do(*(node.resume for node in nodes[1:]))
    play.between(3, 7).expect("pager", "AuroraSiteDisrupted barn firing")
    play.between(22, 29).expect("pager", "AuroraNodeOffline barn-1 firing", "AuroraSiteDisrupted barn resolved")


@DAY.scenario
def two_nodes_without_a_site_die(play: Scenario) -> None:
    """They have nothing in common: each has its message in its own time."""
    first, second = play.node("loose-1", site=""), play.node("loose-2", site="")
    play.at(1).do(first.stop)
    play.at(2.5).do(second.stop)
    play.between(3, 7).expect("chat", "AuroraNodeWarning loose-1 firing")
    play.between(4.5, 8).expect("chat", "AuroraNodeWarning loose-2 firing")
    play.between(7, 10).expect("pager", "AuroraNodeOffline loose-1 firing")
    play.between(8, 11).expect("pager", "AuroraNodeOffline loose-2 firing")


@DAY.scenario
def a_drain_ends_and_the_node_is_dead(play: Scenario) -> None:
    """It should be alive, and pages."""
    node = play.node("drained-1", site="drained")
    play.at(0).do(lambda: node.maintain("8s", "drain"))
    play.at(1).do(node.stop)
    play.between(23, 29).expect("pager", "AuroraMaintenanceOverdue drained-1 firing")


@DAY.scenario
def the_lead_goes(play: Scenario) -> None:
    """The mesh without a lead has an alert of its own."""
    lead = play.node("aurora", site="hq", role="lead")
    play.concerns("AuroraMeshNoLead")
    play.at(1).do(lead.stop)
    play.between(3, 7).expect("chat", "AuroraNodeWarning aurora firing")
    play.between(6, 11).expect("pager", "AuroraMeshNoLead firing")


@DAY.scenario
def a_node_in_maintenance_goes_down(play: Scenario) -> None:
    """Planned work has no alert from its beginning to its end."""
    node = play.node("bench-1", site="bench", gpus=1)
    play.at(0).do(lambda: node.maintain("2h"))
    play.at(1).do(node.stop)
    play.at(30).do(node.resume)


@DAY.scenario
def a_node_overstays_its_maintenance(play: Scenario) -> None:
    """Once its time is up and it is not back, that is an alert of its own, and the only one."""
    node = play.node("garage-1", site="garage")
    play.at(0).do(lambda: node.maintain("8s"))
    play.at(1).do(node.stop)
    play.between(23, 29).expect("chat", "AuroraMaintenanceOverdue garage-1 firing")


@DAY.scenario
def a_server_dies_where_laptops_are_off_for_long(play: Scenario) -> None:
    """Laptops that are off for the weekend do not make a site disrupted, so they suppress no alerts."""
    laptops, servers = play.nodes_of("desk", 3, site="office"), play.nodes_of("server", 3, site="office")
    play.at(0).do(*(laptop.stop for laptop in laptops))
    play.at(24).do(servers[0].stop)
    warned = [f"AuroraNodeWarning {laptop.name} firing" for laptop in laptops]
    offline = [f"AuroraNodeOffline {laptop.name} firing" for laptop in laptops]
    play.between(2, 6).expect("chat", *warned)
    play.between(6, 10).expect("pager", *offline)
    play.between(27, 34).expect("chat", "AuroraNodeWarning server-1 firing")
    play.between(30, 37).expect("pager", "AuroraNodeOffline server-1 firing", *offline)


@DAY.scenario
def a_node_departs_as_planned(play: Scenario) -> None:
    """There is no message about a node that took its leave."""
    node = play.node("guest-1", site="guest")
    play.at(1).do(node.depart)


@DAY.scenario
def a_host_gets_another_name(play: Scenario) -> None:
    """The same machine lives on, so there is no message about its old name."""
    node = play.node("before-1", site="renamed", node_id="machine-1")
    play.nodes.add("after-1")
    play.at(1).do(lambda: node.rename("after-1"))


@DAY.scenario
def an_inventory_registers_a_dead_node_again_and_again(play: Scenario) -> None:
    """That is no heartbeat: the node has its alert as every other."""
    node = play.node("shelf-1", site="shelf")
    play.at(1).do(node.stop)
    for second in (2, 6, 10, 14, 18):
        play.at(second).do(node.be_inventoried)
    play.between(3, 7).expect("chat", "AuroraNodeWarning shelf-1 firing")
    play.between(7, 11).expect("pager", "AuroraNodeOffline shelf-1 firing")


@DAY.scenario
def a_node_for_testing_dies(play: Scenario) -> None:
    """It is for information, and pages nobody."""
    node = play.node("lab-1", site="lab", environment="staging")
    play.at(1).do(node.stop)
    play.between(3, 7).expect("quiet", "AuroraNodeWarning lab-1 firing")
    play.between(7, 13).expect("quiet", "AuroraNodeOffline lab-1 firing")


@DAY.scenario
def another_machine_claims_a_name(play: Scenario) -> None:
    """The claim is refused and reported; the node itself goes on."""
    node = play.node("twin-1", site="twin", node_id="one")
    play.at(1).do(node.be_impersonated)
    play.between(1, 5).expect("chat", "AuroraNodeNameConflict twin-1 firing")
    play.between(19, 26).expect("chat", "AuroraNodeNameConflict twin-1 resolved")


@DAY.scenario
def a_clock_is_an_hour_off(play: Scenario) -> None:
    """No status depends on a node's clock; that two are wrong at one site is one message."""
    early, late = play.nodes_of("clock", 2)
    play.at(1).do(lambda: early.set_clock(+HOUR), lambda: late.set_clock(-HOUR))
    wrong = [f"AuroraNodeClockSkew {node.name} firing" for node in (early, late)]
    play.between(11, 15).expect("chat", *wrong)


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_people_get_a_message_of_each_incident_once_and_of_nothing_else(tmp_path: Path, generation: Generation) -> None:
    """Every message, its receiver, its content and its time are as each scenario says."""
    found = surprises(DAY, tmp_path, generation)
    assert not found, found
