"""The notifier's own part: which Alertmanagers it sends to, and since when."""

from __future__ import annotations

from typing import Any

from exporter.domain.command import Register
from exporter.domain.config import Alertmanager, Config, Web
from exporter.domain.registration import Registration
from exporter.domain.status import Thresholds
from exporter.nodemap.nodemap import NodeMap
from exporter.notifier.notifier import Notifier
from exporter.telemetry.metrics import Telemetry
from tests.support.clock import ManualClock

ONE, OTHER = "http://10.0.0.1:9093", "http://10.0.0.2:9093"


def configured(*urls: Any, **settings: Any) -> Config:
    return Config(web=Web(listen_address=":9999"), alertmanager=Alertmanager(*urls, **settings))


class Mesh:
    """A node that is missing for long, and a notifier that nobody runs: what it would send waits."""

    def __init__(self, **settings: object) -> None:
        self.telemetry = Telemetry(
            version="1", revision="r", started_ns=0, store_up=lambda: True, event_bus_up=lambda: True
        )
        self.clock = ManualClock()
        self.map = NodeMap(self.clock, Thresholds())
        self.notifier = Notifier(
            configured(**settings),
            shared=False,
            telemetry=self.telemetry,
            clock=self.clock,
        )
        self.map.commit(self.map.plan(Register(Registration("ann"))))
        for _ in range(160):
            self.clock.advance(1)
            self.map.tick()
            self.notifier.look(self.map)

    def waiting(self) -> float:
        self.notifier.look(self.map)
        [family] = [
            each for each in self.telemetry.collect() if each.name == "aurora_registry_notifications_queue_length"
        ]
        return family.samples[0].value


def test_every_alertmanager_is_sent_to_on_its_own():
    """What waits for each is counted together."""
    assert Mesh(urls=(ONE, OTHER)).waiting() == 2


def test_without_an_alertmanager_nothing_waits_and_the_map_is_not_followed():
    """Neither before one is named nor after the last was left out."""
    mesh = Mesh()
    assert (mesh.waiting(), len(mesh.map.listeners)) == (0, 0)

    mesh.notifier.reconfigure(configured((ONE,)))
    assert (mesh.waiting(), len(mesh.map.listeners)) == (1, 1)

    mesh.notifier.reconfigure(configured())
    assert (mesh.waiting(), len(mesh.map.listeners)) == (0, 0)


def test_one_that_is_new_receives_what_fires():
    """So does one whose labels changed; what waited for a removed one is dropped."""
    mesh = Mesh(urls=(ONE,))
    mesh.notifier.reconfigure(configured((ONE, OTHER)))
    assert mesh.waiting() == 2

    mesh.notifier.reconfigure(configured((OTHER,), {"region": "eu"}))
    assert mesh.waiting() == 1
