"""What Alertmanager gets, and when: decided from the node map alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from exporter.alerting.parameters import RuleParameters
from exporter.domain.clock import HOUR, SECOND
from exporter.domain.command import Depart, Register, SetLifecycle
from exporter.domain.config import Config
from exporter.domain.durable import LastHeartbeat, Snapshot, StoredNode
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.lifecycle import Lifecycle, Phase
from exporter.domain.reception import Source
from exporter.domain.registration import parse_registration
from exporter.domain.status import Thresholds, Transport
from exporter.nodemap import merging
from exporter.nodemap.loading import load
from exporter.nodemap.nodemap import NodeMap
from exporter.notifier.alerts import alert_of
from exporter.notifier.tracker import AlertTracker
from tests.support.clock import ManualClock

RULES = Path(__file__).parents[2] / "alerts" / "nodes.rules.yml"


class Mesh:
    """A node map, its clock, and what Alertmanager got: (alertname, node, fires) of each look."""

    def __init__(self, *, shared: bool = False, thresholds: Thresholds | None = None) -> None:
        """`shared`: what is received depends on a store that others share."""
        config = Config(thresholds=thresholds or Thresholds())
        self.clock = ManualClock()
        self.store = Source("store", self.clock.monotonic_ns())
        self.map = NodeMap(self.clock, config.thresholds, sources={Transport.HTTP: (self.store,)} if shared else None)
        self.shared = shared
        self.book = AlertTracker(self.map, shared=shared, setting=RuleParameters.of(config))

    def register(self, *names: str, **metadata: object) -> None:
        for name in names:
            registration = parse_registration({"name": name, "metadata": metadata})
            self.map.commit(self.map.plan(Register(registration)))

    def look(self) -> list[tuple[str, str, bool]]:
        self.store.mark_alive(self.clock.monotonic_ns())
        self.map.tick()
        return [(alert.name, alert.node, alert.ended_ns is None) for alert in self.book.look()]

    def after(self, seconds: float, *, awake: tuple[str, ...] = ()) -> list[tuple[str, str, bool]]:
        """Time passes second by second, these nodes being alive, and all that was sent meanwhile."""
        reported = []
        for _ in range(round(seconds)):
            self.clock.advance(1)
            for name in awake:
                self.map.heartbeat(Heartbeat(node=name), Transport.HTTP)
            reported += self.look()
        return reported


WARNING, OFFLINE = "AuroraNodeWarning", "AuroraNodeOffline"


def test_the_alerts_are_those_of_the_rules():
    """Names, labels and annotations are word for word what Prometheus makes of alerts/nodes.rules.yml."""
    mesh = Mesh()
    mesh.register("ann", environment="staging", site="lab")
    mesh.register("bob")
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"] if "alert" in rule}

    for missing, name in ((120, WARNING), (181, OFFLINE)):
        mesh.after(missing)
        for node, severity, site in (("ann", "info", {"site": "lab"}), ("bob", None, {})):
            alert = alert_of(mesh.map, mesh.map.get(node))
            assert alert is not None
            lenient, usual = re.findall(r"}}(\w+){{", rules[name]["labels"]["severity"])
            labels = {
                "alertname": name,
                "severity": severity or usual,
                "node": node,
                "role": "compute",
                "environment": "staging" if severity else "production",
                **site,
            }
            assert alert.labels == labels
            assert lenient == "info"
            assert alert.annotations == {
                key: re.sub(r"{{ \$labels\.(\w+) }}", lambda match, labels=labels: labels[match[1]], text)  # type: ignore[misc]
                for key, text in rules[name]["annotations"].items()
            }


def test_a_warning_waits_for_a_heartbeat_interval_and_starts_with_the_transition():
    """By then the disruption of its site would have begun."""
    mesh = Mesh()
    mesh.register("ann")
    began_ns = mesh.clock.wall_ns()

    assert mesh.after(149) == []
    assert mesh.after(1) == [(WARNING, "ann", True)]
    alert = alert_of(mesh.map, mesh.map.get("ann"))
    assert alert is not None
    assert alert.starts_ns == began_ns + 120 * SECOND
    assert mesh.after(59) == []


def test_an_alert_is_resent_each_minute():
    """So it does not lapse while it stands."""
    mesh = Mesh()
    mesh.register("ann")
    mesh.after(150)

    assert mesh.after(149) == [(WARNING, "ann", True)] * 2
    assert mesh.after(2) == [(OFFLINE, "ann", True)]
    assert mesh.after(60) == [(OFFLINE, "ann", True)]


def test_a_young_alert_ends_at_once():
    """The rules cannot have made it yet."""
    mesh = Mesh()
    mesh.register("ann")
    mesh.after(305)

    assert mesh.after(1, awake=("ann",)) == [(OFFLINE, "ann", False)]
    assert mesh.after(60, awake=("ann",)) == []


def test_an_alert_that_the_rules_may_have_made_lapses_as_theirs_does():
    """To end it while theirs goes on for keep_firing_for would make two messages of one."""
    mesh = Mesh()
    mesh.register("ann")
    mesh.after(170)

    assert mesh.after(600, awake=("ann",)) == []


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.MAINTENANCE])
def test_planned_work_makes_no_alert(phase):
    """It ends an alert, and none fires while it lasts."""
    mesh = Mesh()
    mesh.register("ann", "bob")
    lifecycle = Lifecycle(phase, mesh.clock.wall_ns() + HOUR)
    mesh.map.commit(mesh.map.plan(SetLifecycle("ann", lifecycle)))

    assert mesh.after(302) == [(WARNING, "bob", True)] * 3 + [(OFFLINE, "bob", True)]
    mesh.map.commit(mesh.map.plan(SetLifecycle("bob", lifecycle)))
    assert mesh.after(400) == [(OFFLINE, "bob", False)]


def test_a_planned_leave_ends_the_alert():
    """Nobody waits for a node that is gone."""
    mesh = Mesh()
    mesh.register("ann")
    mesh.after(305)
    mesh.map.commit(mesh.map.plan(Depart("ann")))

    assert mesh.look() == [(OFFLINE, "ann", False)]


def test_a_site_that_goes_missing_makes_no_alerts_of_nodes():
    """They come once the disruption is over, of those that are still missing."""
    mesh = Mesh()
    others = tuple(f"other-{number}" for number in range(9))
    mesh.register(*others)
    mesh.register("ann", "bob", "cid", site="lab")

    assert mesh.after(400, awake=others) == []
    assert mesh.after(590, awake=(*others, "ann", "bob")) == []
    assert mesh.after(15, awake=(*others, "ann", "bob")) == [(OFFLINE, "cid", True)]


def test_a_mesh_that_goes_missing_makes_no_alerts_of_nodes():
    """Our own connection is the likelier cause; one that was alerted on before is an incident of its own."""
    mesh = Mesh()
    mesh.register("ann", "bob", "cid")
    assert mesh.after(150, awake=("ann", "bob")) == [(WARNING, "cid", True)]

    assert set(mesh.after(200)) == {(WARNING, "cid", True), (OFFLINE, "cid", True)}


def test_what_fires_goes_on_while_we_are_blind():
    """A held status neither fires again nor ends."""
    mesh = Mesh(shared=True)
    mesh.book.close()
    mesh.book = AlertTracker(mesh.map, shared=False, setting=RuleParameters.of(Config()))
    mesh.register("ann", "bob")
    mesh.after(150, awake=("bob",))
    mesh.store.mark_down()
    reported = []
    for _ in range(180):
        mesh.clock.advance(1)
        mesh.map.tick()
        reported += [(alert.name, alert.node, alert.ended_ns is None) for alert in mesh.book.look()]

    assert reported == [(WARNING, "ann", True)] * 3


def test_a_blind_replica_holds_its_tongue():
    """Others may receive what it does not; it goes on once it receives again."""
    mesh = Mesh(shared=True)
    mesh.register("ann", "bob")
    mesh.after(150, awake=("bob",))
    mesh.store.mark_down()
    for _ in range(180):
        mesh.clock.advance(1)
        mesh.map.tick()
        assert mesh.book.look() == []

    assert mesh.after(1) == [(WARNING, "ann", True)]


def test_what_lapsed_while_we_were_stopped_is_not_sent_before_it_is_true():
    """It waits for the grace, as every age does; the node is back by then."""
    mesh = Mesh()
    mesh.register("ann", "bob")
    mesh.after(400, awake=("bob",))
    mesh.clock.advance(900)

    assert mesh.after(30, awake=("bob",)) == []
    assert mesh.after(60, awake=("ann", "bob")) == []


def restarted(mesh: Mesh, seconds: float) -> Mesh:
    """The same mesh in a new process, which begins so much later."""
    nodes = [
        StoredNode(
            node.record,
            LastHeartbeat(node.last_seen_ns, node.transport),
            node.last_transition,
        )
        for node in mesh.map.nodes()
    ]
    snapshot = Snapshot(nodes, [], merging.mark_of(mesh.map))
    mesh.clock.advance(seconds)
    after = Mesh()
    after.clock = mesh.clock
    after.map = NodeMap(mesh.clock, Thresholds())
    load(after.map, snapshot)
    after.book = AlertTracker(after.map, shared=False, setting=RuleParameters.of(Config()))
    return after


def test_what_fired_before_a_restart_goes_on():
    """It is sent at once, before it expires, although the status is frozen."""
    mesh = Mesh()
    mesh.register("ann", "bob")
    mesh.after(150, awake=("bob",))

    assert restarted(mesh, 10).after(1) == [(WARNING, "ann", True)]


def test_what_lapsed_before_a_start_waits_until_it_is_still_true():
    """Nothing fires in the first moments; it does after the grace."""
    mesh = Mesh()
    mesh.register("ann", "bob")
    mesh.after(400, awake=("bob",))
    later = restarted(mesh, 1800)

    assert later.after(59, awake=("bob",)) == []
    assert later.after(2, awake=("bob",)) == [(OFFLINE, "ann", True)]


def test_new_alertmanagers_receive_all_that_fires():
    """The next look sends it again, once."""
    mesh = Mesh()
    mesh.register("ann")
    mesh.after(150)
    mesh.book.resend()

    assert mesh.look() == [(WARNING, "ann", True)]
    assert mesh.look() == []


@pytest.mark.parametrize("back_for", [5, 60, 110])
def test_a_node_that_flaps_ends_with_the_rules_alert(back_for):
    """They go on for three minutes after each return and take up again at once: our end would be followed by theirs."""
    mesh = Mesh(thresholds=Thresholds(10 * SECOND, 30 * SECOND, 60 * SECOND))
    mesh.register("ann", "bob")
    mesh.after(90, awake=("bob",))
    reported = mesh.after(back_for, awake=("ann", "bob"))
    reported += mesh.after(65, awake=("bob",))
    reported += mesh.after(60, awake=("ann", "bob"))

    assert [alert for alert in reported if not alert[2]] == []


def test_a_node_that_was_back_for_long_ends_at_once_again():
    """By then the rules have ended theirs."""
    mesh = Mesh()
    mesh.register("ann", "bob")
    mesh.after(400, awake=("bob",))
    mesh.after(300, awake=("ann", "bob"))
    mesh.after(305, awake=("bob",))

    assert mesh.after(1, awake=("ann", "bob")) == [(OFFLINE, "ann", False)]
