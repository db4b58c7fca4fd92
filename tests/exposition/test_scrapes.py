"""Segments and their borders, scrapes that overlap, and a node map that changes under a scrape."""

from __future__ import annotations

import asyncio
import functools
import gzip
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from exporter.exposition import exposition, yielder
from exporter.exposition.chunk import SIZE
from tests.exposition.reference import Reference, expected, read
from tests.exposition.rendered import Mesh


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes each."""
    monkeypatch.setattr(exposition, "SIZE", 2)


@pytest.fixture
def always_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape lets others go first at each opportunity, however little time it took until there."""
    monkeypatch.setattr(yielder, "STRETCH_NS", -1)


def series(body: str) -> list[str]:
    return [line.rpartition(" ")[0] for line in body.splitlines() if not line.startswith("#")]


def nodes_in(body: str, family: str = "aurora_node_gpus") -> list[str]:
    """The nodes of a family, in order."""
    return [line.split('"')[1] for line in body.splitlines() if line.startswith(f"{family}{{")]


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """Runs scrapes one by one on the registry's own event loop, whose turns cost less than those of asyncio's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.run


async def disturbed(mesh: Mesh, step: int, disturb: Callable[[], None]) -> tuple[str, bool]:
    """The body of a scrape during whose given step something happens, and whether it came to that."""
    task = asyncio.create_task(mesh.exposition.scrape(open_metrics=False, gzip=True))
    for _ in range(step):
        await asyncio.sleep(0)
        if task.done():
            return gzip.decompress(task.result()).decode(), False
    disturb()
    return gzip.decompress(await task).decode(), True


def leave_and_return(mesh: Mesh, name: str) -> None:
    mesh.depart(name)
    mesh.register(name, role="lead")


@pytest.mark.parametrize("count", [0, 1, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE, 2 * SIZE + 1])
def test_every_node_stands_once_whatever_the_number(count: int) -> None:
    """On both sides of a segment's border, and after nodes at its edges left."""
    mesh = Mesh()
    names = [f"node-{number}" for number in range(count)]
    for name in names:
        mesh.register(name)
    assert nodes_in(mesh.scrape()) == names
    for name in {*names[:1], *names[SIZE - 1 : SIZE + 1], *names[-1:]}:
        mesh.depart(name)
        names.remove(name)
    mesh.register("late")
    assert nodes_in(mesh.scrape()) == [*names, "late"]
    assert read(mesh.scrape().encode(), open_metrics=False) == expected(Reference(mesh.node_map), open_metrics=False)


@pytest.mark.usefixtures("small_chunks")
def test_a_segment_that_lost_all_nodes_is_dropped() -> None:
    """A mesh of short-lived nodes costs no more than those that live."""
    mesh = Mesh()
    for number in range(20):
        mesh.register(f"node-{number}")
        mesh.scrape()
        mesh.depart(f"node-{number}")
    assert mesh.exposition._chunks == {}


def test_nodes_that_are_there_already_are_taken_in() -> None:
    """The exposition may be made after the map was loaded."""
    mesh = Mesh()
    mesh.register("early")
    mesh.exposition = exposition.Exposition(mesh.node_map)
    assert nodes_in(mesh.scrape()) == ["early"]


@pytest.mark.usefixtures("small_chunks")
def test_only_what_changed_is_rendered_again() -> None:
    """A heartbeat alone renders nothing that is kept; a refused claim, one family of one segment."""
    mesh = Mesh()
    for name in "abcdef":
        mesh.register(name)
    mesh.scrape()
    before = [dict(chunk._pieces) for chunk in mesh.exposition._chunks.values()]
    mesh.clock.advance(1)
    mesh.heartbeat("a")
    mesh.scrape()
    after = [dict(chunk._pieces) for chunk in mesh.exposition._chunks.values()]
    assert all(new[name] is old[name] for old, new in zip(before, after, strict=True) for name in old)
    mesh.node_map.note_conflict("c")
    mesh.scrape()
    after = [dict(chunk._pieces) for chunk in mesh.exposition._chunks.values()]
    changed = [
        (number, name)
        for number, (old, new) in enumerate(zip(before, after, strict=True))
        for name in old
        if new[name] != old[name]
    ]
    assert changed == [(1, "aurora_node_name_conflicts_total")]


@pytest.mark.usefixtures("small_chunks", "always_rest")
@pytest.mark.parametrize("name", ["a", "c", "e"])
def test_a_node_that_leaves_and_returns_during_a_scrape_never_stands_twice(name: str, run: Callable[..., Any]) -> None:
    """At whichever moment: no series is there twice, and no other node suffers."""
    step, came_to_it = 0, True
    while came_to_it:
        mesh = Mesh()
        for each in "abcde":
            mesh.register(each, links=[{"target": "b", "type": "nfs"}], role="lead")

        step += 1
        body, came_to_it = run(disturbed(mesh, step, functools.partial(leave_and_return, mesh, name)))
        assert len(series(body)) == len(set(series(body)))
        for family in ("aurora_node_gpus", "aurora_node_last_seen_age_seconds"):
            assert set("abcde") - set(nodes_in(body, family)) <= {name}
    assert step > 50


@pytest.mark.usefixtures("small_chunks", "always_rest")
def test_a_node_that_leaves_during_a_scrape_does_not_break_it(run: Callable[..., Any]) -> None:
    """Even when its chunk goes with it; the next scrape does not have it."""
    step, came_to_it = 0, True
    while came_to_it:
        mesh = Mesh()
        for each in "abc":
            mesh.register(each, metadata={"site": f"site-{each}"})
        step += 1
        body, came_to_it = run(disturbed(mesh, step, functools.partial(mesh.depart, "c")))
        assert set(nodes_in(body)) in ({"a", "b"}, {"a", "b", "c"})
        if came_to_it:
            assert 'node="c"' not in mesh.scrape()


@pytest.mark.usefixtures("small_chunks", "always_rest")
def test_scrapes_that_overlap_are_each_right() -> None:
    """They share what is rendered, in whatever format and selection each is wanted."""
    mesh = Mesh()
    for each in "abcdefg":
        mesh.register(each, role="lead" if each == "a" else "compute")
    alone = [mesh.scrape(open_metrics=open_metrics) for open_metrics in (False, True)]
    selected = mesh.scrape(names=frozenset({"aurora_node_gpus"}))
    mesh.exposition.close()
    mesh.exposition = exposition.Exposition(mesh.node_map)

    async def together() -> tuple[bytes, ...]:
        scrape = mesh.exposition.scrape
        return await asyncio.gather(
            scrape(open_metrics=False, gzip=False),
            scrape(open_metrics=True, gzip=True),
            scrape(open_metrics=False, gzip=False, names=frozenset({"aurora_node_gpus"})),
            scrape(open_metrics=True, gzip=False),
        )

    text, open_metrics, gpus, plain = asyncio.run(together())
    assert [text.decode(), gzip.decompress(open_metrics).decode(), plain.decode()] == [*alone, alone[1]]
    assert gpus.decode() == selected


@pytest.mark.usefixtures("always_rest")
def test_a_reload_during_a_scrape_is_the_next_ones(run: Callable[..., Any]) -> None:
    """A scrape keeps to the settings that it began with, and leaves no edges of theirs behind."""
    mesh = Mesh()
    for each in "ab":
        mesh.register(each, role="lead")
    before = mesh.scrape()
    mesh.register("a", role="lead", links=[{"target": "b", "type": "nfs"}])

    def reload() -> None:
        mesh.exposition.reconfigure(disabled_families=["aurora_node_gpus"], rules=(), max_edges=0)

    body, came_to_it = run(disturbed(mesh, 5, reload))
    assert came_to_it
    assert 'type="vpn_mesh"' in body
    assert nodes_in(body) == nodes_in(before)
    assert "aurora_topology_edges_omitted 1\n" in mesh.scrape()
    assert nodes_in(mesh.scrape()) == []


@pytest.mark.usefixtures("always_rest")
def test_others_have_their_turn_during_a_scrape() -> None:
    """A thousand nodes are many turns; this states that it rests, not how long its stretches are."""
    mesh = Mesh()
    for number in range(1000):
        mesh.register(f"node-{number}", role="lead" if number == 0 else "compute")

    async def turns() -> int:
        task = asyncio.create_task(mesh.exposition.scrape(open_metrics=False, gzip=True))
        count = 0
        while not task.done():
            await asyncio.sleep(0)
            count += 1
        return count

    assert asyncio.run(turns()) > 1000
