"""Meshes of one, two and five nodes: one dies, all go, a drain ends on a dead node. A second is a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.servers import Generation
from tests.support.scenario_play import Scenario, Stage, surprises_side_by_side

ONE, TWO, FIVE = Stage(seconds=52), Stage(seconds=44), Stage(seconds=52)


@ONE.scenario
def the_only_node_dies_and_later_is_dead_after_a_drain(play: Scenario) -> None:
    """It is named: there is no mesh beside it that could be suspect."""
    node = play.node("only", site="")
    play.at(1).do(node.stop)
    play.at(9).do(node.resume)
    play.at(22).do(lambda: node.maintain("4s", "drain"))
    play.at(23).do(node.stop)
    play.between(3, 7).expect("chat", "AuroraNodeWarning only firing")
    play.between(7, 11).expect("pager", "AuroraNodeOffline only firing")
    play.between(11.5, 19).expect("pager", "AuroraNodeOffline only resolved")
    play.between(11.5, 20).expect("chat", "AuroraNodeWarning only resolved")
    play.between(41, 49).expect("pager", "AuroraMaintenanceOverdue only firing")


@TWO.scenario
def one_of_two_is_dead_after_a_drain_and_then_the_other_goes(play: Scenario) -> None:
    """All are gone then: each was named in its own time, and the mesh is not suspect."""
    drained, other = play.node("first", site=""), play.node("second", site="")
    play.at(0).do(lambda: drained.maintain("4s", "drain"))
    play.at(1).do(drained.stop)
    play.at(30).do(other.stop)
    play.between(19, 27).expect("pager", "AuroraMaintenanceOverdue first firing")
    play.between(32, 36).expect("chat", "AuroraNodeWarning second firing")
    play.between(36, 40).expect("pager", "AuroraNodeOffline second firing")


@FIVE.scenario
def one_of_five_dies_and_later_all_go(play: Scenario) -> None:
    """The one is named; all together are one message about the mesh."""
    nodes = [*play.nodes_of("loft", 4), play.node("attic-1", site="attic")]
    play.concerns("AuroraMeshSuspect")
    play.at(0).do(lambda: nodes[4].maintain("4s", "drain"))
    play.at(1).do(nodes[0].stop, nodes[4].stop)
    play.at(9).do(nodes[0].resume)
    play.at(31).do(*(node.stop for node in nodes))
    play.at(39).do(*(node.resume for node in nodes[:4]))
    play.between(3, 7).expect("chat", "AuroraNodeWarning loft-1 firing")
    play.between(7, 11).expect("pager", "AuroraNodeOffline loft-1 firing")
    play.between(11.5, 19).expect("pager", "AuroraNodeOffline loft-1 resolved")
    play.between(11.5, 20).expect("chat", "AuroraNodeWarning loft-1 resolved")
    play.between(19, 27).expect("pager", "AuroraMaintenanceOverdue attic-1 firing")
    play.between(33, 37).expect("pager", "AuroraMeshSuspect firing")
    play.between(41, 51).expect("pager", "AuroraMeshSuspect resolved")


@pytest.mark.servers
@pytest.mark.timeout(900)  # three others may be waited for
def test_a_small_mesh_is_reported_node_by_node(tmp_path: Path, generation: Generation) -> None:
    """Every message, its receiver, its content and its time are as each scenario says. The meshes play side by side."""
    stages = {"one": ONE, "two": TWO, "five": FIVE}
    found = surprises_side_by_side(stages, tmp_path, generation)
    assert not found, found
