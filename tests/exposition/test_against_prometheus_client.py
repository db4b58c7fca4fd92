"""Whatever happens to the nodes, the exposition says what prometheus-client would say of them."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.domain.clock import HOUR
from exporter.domain.command import Depart, Register, SetLifecycle
from exporter.domain.errors import DepartedNode, UnknownNode
from exporter.domain.lifecycle import IN_SERVICE, Lifecycle, Phase
from exporter.domain.parsing import heartbeat_of
from exporter.domain.reception import Source
from exporter.domain.registration import parse_registration
from exporter.domain.status import Thresholds, Transport
from exporter.domain.text import text_fault
from exporter.domain.topology import DEFAULT_RULES, EdgeRule, Selector
from exporter.exposition import exposition
from exporter.exposition.exposition import Exposition
from exporter.nodemap.nodemap import NodeMap
from tests.exposition.reference import Reference, expected, read
from tests.support.clock import ManualClock
from tests.support.examples import examples

NAMES = st.sampled_from([*"abcdefgh", "gpu-1.lan", "A" * 63])
TEXTS = st.one_of(
    st.sampled_from(["", '"', "\\", "\\n", '\\"', "a\\", "%s %d %%", "{}", "🦙", "é" * 256, '"} 1', "#", " x "]),
    st.text(max_size=20).filter(lambda text: text_fault(text) is None),
)
LINKS = st.lists(
    st.fixed_dictionaries({"target": NAMES, "type": st.sampled_from(["vpn_mesh", "nfs", "gpu_mesh"])}), max_size=4
)
AGENTS = st.fixed_dictionaries({"name": st.just("agent") | TEXTS.filter(bool)}, optional={"version": TEXTS})
REGISTRATIONS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "role": st.sampled_from(["lead", "compute", "edge_cache"]),
        "vpn_ip": st.sampled_from(["10.0.0.1", "fd00::1", "dynamic"]),
        "public_ip": st.sampled_from(["203.0.113.9", "dynamic"]),
        "links": LINKS,
        "agent": AGENTS,
        "capabilities": st.fixed_dictionaries(
            {},
            optional={
                "gpu_count": st.integers(0, 1_000_000),
                "gpu_type": TEXTS,
                "gpu_memory": st.floats(0, 1e9),
            },
        ),
        "metadata": st.fixed_dictionaries(
            {},
            optional={"os": TEXTS, "environment": TEXTS, "site": TEXTS, "cost_per_hour": st.floats(0, 1e9)},
        ),
    },
)
FINITE = st.one_of(st.integers(-300, 300), st.floats(-1e12, 1e12))
TOTALS = st.integers(0, 1000)
HEALTH = st.fixed_dictionaries(
    {},
    optional={
        "xid_errors": st.dictionaries(st.sampled_from(["79", "13", "119"]), TOTALS),
        "throttled": st.lists(st.sampled_from(["sw_power_cap", "hw_thermal"]), max_size=3),
        **dict.fromkeys(["ecc_uncorrected_errors", "remapped_rows", "retired_pages", "processes"], TOTALS),
        **dict.fromkeys(["remap_pending", "remap_failed", "recovery_needed", "pcie_degraded"], st.booleans()),
        "fan": st.floats(0, 2),
        "energy_joules": st.floats(0, 1e9),
    },
)
READINGS = st.lists(
    st.fixed_dictionaries(
        {"index": st.integers(0, 65_535)},
        optional={
            "uuid": TEXTS,
            "utilization": st.floats(0, 1),
            "memory_used_bytes": st.integers(0, 2**60),
            "temperature_celsius": FINITE,
            "power_watts": FINITE,
            "health": HEALTH,
        },
    ),
    max_size=3,
    unique_by=lambda reading: reading["index"],
)
HEARTBEATS = st.fixed_dictionaries(
    {"node": NAMES, "status": st.sampled_from(["active", "active", "draining", "sleeping", "odd"])},
    optional={
        "sequence": st.integers(0, 100),
        "timestamp": st.integers(1_759_751_000, 1_759_753_000) | st.floats(1.7e9, 1.8e9),
        "gpus": READINGS,
    },
)
RULES = st.sampled_from([(), DEFAULT_RULES, (EdgeRule("nfs", Selector(gpu=True), Selector(roles=("compute",))),)])


class AnyMesh(RuleBasedStateMachine):
    """Segments of three nodes each, so that there are several."""

    def __init__(self) -> None:
        super().__init__()
        self.small_chunks = mock.patch.object(exposition, "SIZE", 3)
        self.small_chunks.start()
        self.clock = ManualClock()
        self.bus = Source("bus", self.clock.monotonic_ns())
        self.node_map = NodeMap(self.clock, Thresholds(), sources={Transport.BUS: (self.bus,)})
        self.exposition = Exposition(self.node_map)
        self.reference = Reference(self.node_map)

    def teardown(self) -> None:
        self.small_chunks.stop()

    @rule(keys=REGISTRATIONS, transport=st.sampled_from(Transport))
    def register(self, keys, transport):
        self.node_map.commit(self.node_map.plan(Register(parse_registration(keys), transport)))

    @rule(keys=HEARTBEATS, transport=st.sampled_from(Transport))
    def heartbeat(self, keys, transport):
        try:
            self.node_map.heartbeat(heartbeat_of(keys), transport, appear=True)
        except DepartedNode:
            assert keys["node"] in self.node_map.departed

    @rule(name=NAMES, phase=st.sampled_from([Phase.DRAINING, Phase.MAINTENANCE]), hours=st.integers(0, 2))
    def take_out_of_service(self, name, phase, hours):
        self.command(SetLifecycle(name, Lifecycle(phase, self.clock.wall_ns() + hours * HOUR)))

    @rule(name=NAMES)
    def put_back(self, name):
        self.command(SetLifecycle(name, IN_SERVICE))

    @rule(name=NAMES)
    def depart(self, name):
        self.command(Depart(name))

    @rule(name=NAMES)
    def refuse_a_claim(self, name):
        self.node_map.note_conflict(name)

    @rule(seconds=st.sampled_from([0.0004, 0.25, 30, 119, 120, 301]))
    def pass_time(self, seconds):
        while seconds > 0:
            self.clock.advance(min(seconds, 5))
            if not self.bus.lost:
                self.bus.mark_alive(self.clock.monotonic_ns())
            self.node_map.tick()
            seconds -= 5

    @rule(hours=st.integers(70, 74))
    def stall(self, hours):
        self.clock.advance(hours * 3600)
        self.node_map.tick()

    @rule()
    def jump_of_the_wall_clock(self):
        self.clock.jump_wall(-3600.5)

    @rule()
    def lose_the_bus(self):
        self.bus.mark_down()

    @rule()
    def receive_the_bus(self):
        self.bus.mark_alive(self.clock.monotonic_ns())
        self.node_map.tick()

    @rule(rules=RULES, max_edges=st.sampled_from([0, 1, 5, 10_000]))
    def reconfigure(self, rules, max_edges):
        self.exposition.reconfigure(disabled_families=(), rules=rules, max_edges=max_edges)
        self.reference = Reference(self.node_map, rules=rules, max_edges=max_edges)

    @rule(open_metrics=st.booleans())
    def scrape(self, open_metrics):
        plain, compressed = asyncio.run(self.both(open_metrics=open_metrics))
        assert read(plain, open_metrics=open_metrics) == expected(self.reference, open_metrics=open_metrics)
        assert gzip.decompress(compressed) == plain
        member = zlib.decompressobj(wbits=31)
        assert (member.decompress(compressed), member.eof, member.unused_data) == (plain, True, b"")

    async def both(self, *, open_metrics):
        return await asyncio.gather(
            self.exposition.scrape(open_metrics=open_metrics, gzip=False),
            self.exposition.scrape(open_metrics=open_metrics, gzip=True),
        )

    def command(self, command):
        try:
            self.node_map.commit(self.node_map.plan(command))
        except UnknownNode:
            assert self.node_map.find(command.name) is None

    @invariant()
    def no_chunk_is_empty(self):
        """What is gone leaves nothing behind."""
        kept = sum(len(chunk.nodes) for chunk in self.exposition._chunks.values())
        assert kept == len(self.node_map)
        assert all(chunk.nodes for chunk in self.exposition._chunks.values())


AnyMesh.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
TestAnyMesh = AnyMesh.TestCase
