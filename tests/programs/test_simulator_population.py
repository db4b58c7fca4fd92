from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.registration import parse_registration
from exporter.programs.simulator.load import MAX_CELSIUS, reading
from exporter.programs.simulator.population import SiteKind, populate

SIZES = st.integers(1, 400)
SITES = st.integers(1, 40)
SEEDS = st.integers(0, 2**31)
MESH = [member for member in populate(300, 6, 1) if member.gpus]


@given(SIZES, SITES, SEEDS)
def test_a_mesh_has_the_nodes_asked_for_and_one_lead(nodes, sites, seed):
    """Names and addresses are unique, and the registry would take every registration."""
    members = populate(nodes, sites, seed)

    assert len({member.name for member in members}) == len({member.vpn_ip for member in members}) == nodes
    assert [member.name for member in members if member.role == "lead"] == ["aurora"]
    for member in members:
        facts = parse_registration(member.registration())
        assert (facts.name, facts.gpus, facts.site) == (member.name, member.gpus, member.site.name)
        assert facts.gpu_memory_bytes == (member.gpus * member.model.memory_bytes if member.model else 0)


@given(SIZES, SITES, SEEDS)
def test_the_same_numbers_make_the_same_mesh(nodes, sites, seed):
    assert populate(nodes, sites, seed) == populate(nodes, sites, seed)


def test_a_large_mesh_has_unique_names_addresses_and_sites():
    members = populate(70_000, 100, 1)

    assert len({member.name for member in members}) == len({member.vpn_ip for member in members}) == 70_000
    assert len({member.site for member in members}) == len({member.site.name for member in members}) == 100


def reported(member, gpu, hours, seed):
    """A reading without its optional types: a simulated GPU always reads everything."""
    return reading(member, gpu, hours, seed)


@given(st.sampled_from(MESH), st.integers(0, 7), st.floats(-1e5, 1e5), SEEDS)
def test_readings_stay_within_what_the_gpu_can_do(member, gpu, hours, seed):
    """Utilisation, memory, power and temperature, at any time; and the same again when asked again."""
    gpu %= member.gpus
    read = reported(member, gpu, hours, seed)

    assert 0 <= read.utilization <= 1
    assert 0 < read.memory_used_bytes <= member.model.memory_bytes
    assert member.model.idle_watts <= read.power_watts <= member.model.max_watts
    assert 20 < read.temperature_celsius <= MAX_CELSIUS
    assert (read.index, read.uuid) == (gpu, member.gpu_uuids[gpu])
    assert reading(member, gpu, hours, seed) == read


@given(st.sampled_from(MESH), st.floats(0, 1000))
def test_temperature_follows_smoothly(member, hours):
    """Within thirty seconds no GPU gets a third of its way hotter or colder."""
    before, after = (reported(member, 0, at, 1).temperature_celsius for at in (hours, hours + 1 / 120))

    assert abs(after - before) < 16


@pytest.mark.parametrize(
    ("kind", "first", "last"), [(SiteKind.RENTED, 0.5, 0.9), (SiteKind.LAB, 0.15, 0.55), (SiteKind.LAPTOPS, 0.01, 0.2)]
)
def test_a_day_looks_as_such_a_site_does(kind, first, last):
    members = [member for member in MESH if member.site.kind is kind]
    reads = [reported(member, 0, hour, 1) for member in members for hour in range(24)]
    mean = statistics.mean(read.utilization or 0.0 for read in reads)

    assert first < mean < last


def test_a_member_has_no_other_gpus():
    with pytest.raises(ValueError, match="has no GPU 8"):
        reading(MESH[0], 8, 0, 1)
