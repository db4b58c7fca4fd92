from __future__ import annotations

import pytest

from exporter.domain.command import Register
from exporter.domain.registration import parse_registration

GPUS = {"gpu": True, "gpu_count": 2, "gpu_type": "RTX 4090", "gpu_memory": 48}


@pytest.fixture
def mesh(register, service):
    """Three nodes: a lead without GPUs; a node with two; one in staging, without a heartbeat for three minutes."""
    register("robbiebook1", vpn_ip="fd00::5", metadata={"environment": "staging", "site": "home"})
    service.pass_time(180)
    register("aurora", role="lead", vpn_ip="10.0.0.1", public_ip="45.32.194.172")
    register("runpod-tx", vpn_ip="10.0.0.3", capabilities=GPUS, metadata={"site": "texas"})


def names(answer):
    assert answer.status == 200, answer.body
    return list(answer.json()["nodes"])


@pytest.mark.usefixtures("mesh")
def test_all_nodes_are_listed_in_order_of_registration(client):
    """The seed's answer: by name, with the totals and the time."""
    answer = client.get("/nodes")

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert list(answer.json()) == ["nodes", "total", "active", "timestamp"]
    assert names(answer) == ["robbiebook1", "aurora", "runpod-tx"]
    assert answer.json()["nodes"]["aurora"] == client.get("/nodes/aurora").json()
    assert {key: answer.json()[key] for key in ("total", "active", "timestamp")} == {
        "total": 3,
        "active": 2,
        "timestamp": "2025-10-06T12:03:00Z",
    }


def test_no_nodes_are_an_empty_object(client):
    """Not null, nor an error."""
    assert client.get("/nodes").json()["nodes"] == {}


@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize(
    ("query", "expected", "active"),
    [
        ("role=lead", ["aurora"], 1),
        ("role=nobody", [], 0),
        ("status=warning", ["robbiebook1"], 0),
        ("status=active", ["aurora", "runpod-tx"], 2),
        ("gpu=true", ["runpod-tx"], 1),
        ("gpu=false", ["robbiebook1", "aurora"], 1),
        ("gpu=True", ["runpod-tx"], 1),
        ("gpu=FALSE", ["robbiebook1", "aurora"], 1),
        ("environment=staging", ["robbiebook1"], 0),
        ("environment=production", ["aurora", "runpod-tx"], 2),
        ("site=texas", ["runpod-tx"], 1),
        ("vpn_ip=10.0.0.1", ["aurora"], 1),
        ("vpn_ip=FD00:0::5", ["robbiebook1"], 0),
        ("min_free_vram_gb=48", ["runpod-tx"], 1),
        ("min_free_vram_gb=48.5", [], 0),
        ("min_gpus=2", ["runpod-tx"], 1),
        ("min_gpus=0", ["robbiebook1", "aurora", "runpod-tx"], 2),
        ("role=compute&status=active", ["runpod-tx"], 1),
    ],
)
def test_filters_choose_nodes(client, query, expected, active):
    """All that are given must hold; the totals are of what they choose."""
    answer = client.get(f"/nodes?{query}")

    assert names(answer) == expected
    assert (answer.json()["total"], answer.json()["active"]) == (len(expected), active)


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("colour=red", "colour", "not a known query parameter here; known: role, status, gpu"),
        ("role=", "role", "expected 1 to 63 letters"),
        ("role=a&role=b", "role", "expected once"),
        ("status=dead", "status", "expected active, warning, offline, got 'dead'"),
        ("gpu=1", "gpu", "expected true or false, got '1'"),
        ("environment=a%0Ab", "environment", "no control"),
        ("site=%E2%80%AE", "site", "no control"),
        ("vpn_ip=dynamic", "vpn_ip", "expected an IP address, got 'dynamic'"),
        ("min_free_vram_gb=nan", "min_free_vram_gb", "expected a number of GB"),
        ("min_free_vram_gb=-1", "min_free_vram_gb", "expected a number of GB"),
        ("min_gpus=x", "min_gpus", "expected a whole number from 0 to 1000000, got 'x'"),
        ("min_gpus=\u0663", "min_gpus", "expected a whole number"),
        ("sort=name", "sort", "expected free_vram, got 'name'"),
        ("limit=0", "limit", "expected a whole number from 1"),
        ("limit=" + "9" * 5000, "limit", "expected a whole number from 1"),
        ("after=%00", "after", "expected 1 to 63 letters"),
        ("after=gone", "after", "start again without after"),
        ("&".join(f"a{n}=1" for n in range(100)), "", "at most 64"),
    ],
)
def test_what_a_query_must_not_say_is_named(client, query, field, message):
    """400 with the parameter's name: a misspelt filter must not choose every node."""
    answer = client.get(f"/nodes?{query}")

    assert answer.status == 400
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert message in error["message"]


def test_every_fault_of_a_query_is_named(client):
    """One round is enough to put it right."""
    answer = client.get("/nodes?gpu=1&limit=0&x=y")

    assert [error["field"] for error in answer.json()["errors"]] == ["gpu", "limit", "x"]


def test_pages_follow_each_other(client, register):
    """`next` goes on where the page ended, as long as more remain; totals are of all."""
    for number in range(5):
        register(f"n{number}")

    first = client.get("/nodes?limit=2")
    second = client.get(f"/nodes?limit=2&after={first.json()['next']}")
    third = client.get(f"/nodes?limit=2&after={second.json()['next']}")

    assert [names(page) for page in (first, second, third)] == [["n0", "n1"], ["n2", "n3"], ["n4"]]
    assert "next" not in third.json()
    assert {page.json()["total"] for page in (first, second, third)} == {5}
    assert list(first.json()) == ["nodes", "total", "active", "next", "timestamp"]


def test_a_last_page_that_is_full_has_no_next(client, register):
    """Nobody is sent to an empty page."""
    register("n1")
    register("n2")

    assert "next" not in client.get("/nodes?limit=2").json()


def test_pages_of_chosen_nodes(client, register):
    """A page goes on behind a node that the filters do not choose, too."""
    for number in range(6):
        register(f"n{number}", role="lead" if number % 2 else "compute")

    page = client.get("/nodes?role=lead&limit=1&after=n2")

    assert (names(page), page.json()["total"], page.json()["next"]) == (["n3"], 3, "n3")


def test_a_page_goes_on_where_a_node_that_left_stood(client, register, service):
    """No node is skipped, and none comes twice."""
    for number in range(4):
        register(f"n{number}")
        service.pass_time(1)
    client.delete("/nodes/n1")

    assert names(client.get("/nodes?limit=1&after=n1")) == ["n2"]


def test_a_node_that_left_has_no_place_in_an_order_by_vram(client, register):
    """400 that says what to do: nobody knows its VRAM any more."""
    register("n1")
    client.delete("/nodes/n1")

    answer = client.get("/nodes?sort=free_vram&after=n1")
    assert (answer.status, [error["field"] for error in answer.json()["errors"]]) == (400, ["after"])


def test_nodes_by_free_vram(client, register):
    """Most first; of equals the one registered first; what heartbeats say is used is not free."""
    for name, gigabytes in (("small", 8), ("none", 0), ("large", 80), ("small2", 8), ("busy", 100)):
        register(name, capabilities={"gpu_count": 1, "gpu_memory": gigabytes})
    client.post("/nodes/busy/heartbeat", {"gpus": [{"index": 0, "memory_used_bytes": 90 * 2**30}]})

    assert names(client.get("/nodes?sort=free_vram")) == ["large", "busy", "small", "small2", "none"]
    page = client.get("/nodes?sort=free_vram&limit=2&after=busy")
    assert (names(page), page.json()["next"]) == (["small", "small2"], "small2")


def test_pages_of_nodes_by_free_vram_are_one_order(client, service):
    """Whether a page is short, and kept in a heap, or long, and sorted whole; totals are of all that match."""
    sizes = [number * 7919 % 61 for number in range(1_300)]
    for number, size in enumerate(sizes):
        role = "edge" if number % 3 else "compute"
        facts = {"name": f"n{number}", "role": role, "capabilities": {"gpu_count": 1, "gpu_memory": size}}
        service.node_map.commit(service.node_map.plan(Register(parse_registration(facts))))
    expected = [f"n{number}" for number in sorted(range(1_300), key=lambda number: -sizes[number]) if number % 3]
    for limit in (37, 600):
        found: list[str] = []
        query = f"/nodes?sort=free_vram&role=edge&limit={limit}"
        page, more = client.get(query), True
        while more:
            found += names(page)
            more = "next" in page.json()
            page = client.get(f"{query}&after={page.json()['next']}") if more else page
        assert (found, page.json()["total"], page.json()["active"]) == (expected, len(expected), len(expected))


def test_an_unchanged_list_is_not_sent_again(client, register, service):
    """304 by a weak ETag, which a heartbeat that brings nothing but itself leaves alone."""
    register("n1")
    etag = client.get("/nodes").headers["etag"]
    service.pass_time(5)
    client.post("/nodes/n1/heartbeat", {"status": "active"})
    answer = client.get("/nodes", if_none_match=f'"other", {etag}')

    assert etag.startswith('W/"')
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert client.get("/nodes", if_none_match="*").status == 304


@pytest.mark.parametrize("change", ["register", "status", "maintenance", "delete", "readings", "registry"])
def test_a_changed_list_is_sent(client, register, service, change):
    """Whatever a document shows changes the ETag; so does another process, whose versions start at zero."""
    register("n1")
    etag = client.get("/nodes").headers["etag"]
    match change:
        case "register":
            register("n2")
        case "status":
            service.pass_time(121)
        case "maintenance":
            client.put("/nodes/n1/maintenance")
        case "delete":
            client.delete("/nodes/n1")
        case "readings":
            client.post("/nodes/n1/heartbeat", {"gpus": [{"index": 0}]})
        case "registry":
            etag = etag.replace(etag[3], "0" if etag[3] != "0" else "1", 1)

    assert client.get("/nodes", if_none_match=etag).status == 200


def test_another_query_has_another_etag(client):
    """A cache that mixes them up shows nothing wrong."""
    assert client.get("/nodes").headers["etag"] != client.get("/nodes?gpu=true").headers["etag"]


def test_only_the_head(client, register):
    """HEAD has the ETag and no body."""
    register("n1")
    answer = client.call("HEAD", "/nodes")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["etag"] == client.get("/nodes").headers["etag"]


def test_a_long_list_comes_in_pieces(client, service):
    """None is large, so that rendering them holds nobody up; together they are one document."""
    for number in range(2_500):
        registration = parse_registration({"name": f"n{number}"})
        service.node_map.commit(service.node_map.plan(Register(registration)))
    answer = client.get("/nodes")

    assert answer.pieces > 25
    assert names(answer) == [f"n{number}" for number in range(2_500)]
    assert len(names(client.get("/nodes?sort=free_vram"))) == 2_500


def test_nodes_may_come_and_go_while_a_list_is_rendered(client, service):
    """The answer is a whole document all the same."""
    for number in range(300):
        service.node_map.commit(service.node_map.plan(Register(parse_registration({"name": f"n{number}"}))))

    async def both():
        listing = client.runner.get_loop().create_task(client.request("GET", "/nodes"))
        for number in range(300):
            await client.request("DELETE", f"/nodes/n{number}")
        return await listing

    answer = client.runner.run(both())
    assert len(names(answer)) == answer.json()["total"]


def test_nothing_is_listed_before_the_map_is_loaded(client, service):
    """503 with Retry-After: never an empty map."""
    service.loaded = False
    for path in (
        "/nodes",
        "/nodes/n1",
        "/nodes/n1/transitions",
        "/nodes/n1/why",
        "/topology",
        "/stats",
        "/sd/prometheus",
    ):
        answer = client.get(path)
        assert (answer.status, answer.headers["retry-after"]) == (503, "2"), path


def test_one_node(client, register):
    """Its document; 404 for a name never registered."""
    document = register("n1")
    del document["heartbeat_interval_seconds"]

    assert client.get("/nodes/n1").json() == document
    assert client.get("/nodes/n2").status == 404


def test_transitions_newest_first(client, register, service):
    """With the time at which each threshold passed."""
    register("n1")
    service.pass_time(301)
    client.post("/nodes/n1/heartbeat")
    transitions = [
        {"from": "offline", "to": "active", "at": "2025-10-06T12:05:01Z"},
        {"from": "warning", "to": "offline", "at": "2025-10-06T12:05:00Z"},
        {"from": "active", "to": "warning", "at": "2025-10-06T12:02:00Z"},
    ]

    assert client.get("/nodes/n1/transitions").json() == {"node": "n1", "transitions": transitions}
    assert client.get("/nodes/n1/transitions?limit=1").json()["transitions"] == transitions[:1]
    assert client.get("/nodes/n1/transitions?limit=1001").status == 400


def test_transitions_of_a_node_that_is_gone(client, register, service):
    """As long as they are kept; 404 where there never were any."""
    register("n1")
    service.pass_time(121)
    client.delete("/nodes/n1")

    assert len(client.get("/nodes/n1/transitions").json()["transitions"]) == 1
    assert client.get("/nodes/n2/transitions").status == 404


def test_transitions_need_the_store(client, register, service):
    """503 while it is down; other reads go on."""
    register("n1")
    service.store_up = False

    assert client.get("/nodes/n1/transitions").status == 503
    assert client.get("/nodes/n1").status == 200


def test_a_held_node_says_so(client, register, service):
    """Its status is frozen until the registry receives again; last_seen stays the truth."""
    register("n1")
    service.clock.advance(600)
    service.node_map.tick()
    document = client.get("/nodes/n1").json()

    assert (document["status"], document["held"], document["held_since"], document["last_seen"]) == (
        "active",
        True,
        "2025-10-06T12:00:00Z",
        "2025-10-06T12:00:00Z",
    )
