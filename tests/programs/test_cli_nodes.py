from __future__ import annotations

import json

import pytest

SEED_TABLE = (
    "NAME          ROLE     STATUS   IP          GPU\n"
    "aurora        lead     active   10.0.0.1    -\n"
    "runpod-tx     compute  active   10.0.0.3    2x RTX 4090\n"
    "vengeance     compute  active   10.0.0.4    1x RTX 4090\n"
    "robbiebook1   compute  warning  10.0.0.5    -\n"
)


def test_nodes_are_the_table_of_the_seed(registry, shows, seed):
    """To the letter."""
    registry.answer("/nodes", seed)
    assert shows("nodes") == SEED_TABLE


def test_columns_grow_with_what_they_hold(registry, shows, seed):
    """A longer name, role or address moves what stands behind it; a missing address is a dash."""
    seed["nodes"]["aurora"] |= {"name": "aurora-in-the-attic", "role": "coordinator", "vpn_ip": "fd00::10:0:0:1"}
    del seed["nodes"]["vengeance"]["vpn_ip"]
    registry.answer("/nodes", seed)
    assert shows("nodes") == (
        "NAME                 ROLE         STATUS   IP              GPU\n"
        "aurora-in-the-attic  coordinator  active   fd00::10:0:0:1  -\n"
        "runpod-tx            compute      active   10.0.0.3        2x RTX 4090\n"
        "vengeance            compute      active   -               1x RTX 4090\n"
        "robbiebook1          compute      warning  10.0.0.5        -\n"
    )


@pytest.mark.parametrize(
    ("capabilities", "cell"),
    [
        ({}, "-"),
        ({"gpu": False, "gpu_type": "RTX 4090"}, "-"),
        ({"gpu": True}, "1x GPU"),
        ({"gpu_count": 2}, "2x GPU"),
        ({"gpu": True, "gpu_count": 0}, "-"),
        ({"gpu": True, "gpu_count": 8, "gpu_type": "H100"}, "8x H100"),
    ],
)
def test_gpus_at_a_glance(registry, shows, seed, capabilities, cell):
    """`gpu: true` without a count is one GPU; one without a type is a GPU all the same."""
    seed["nodes"] = {"vengeance": {**seed["nodes"]["vengeance"], "capabilities": capabilities}}
    registry.answer("/nodes", seed)
    assert shows("nodes").splitlines()[1] == f"vengeance     compute  active   10.0.0.4    {cell}"


def test_filters_are_the_registrys_own(registry, cli):
    """Each option becomes the query parameter of its name, its value as it was given."""
    cli(
        *("nodes", "--role=compute", "--status=active", "--gpu", "--environment=a b&c", "--site=home"),
        *("--min-free-vram-gb=23.5", "--min-gpus=1", "--sort=free_vram"),
    )
    assert registry.requests == [
        (
            "/nodes?role=compute&status=active&gpu=true&environment=a+b%26c&site=home"
            "&min_free_vram_gb=23.5&min_gpus=1&sort=free_vram"
        )
    ]


def test_nodes_without_a_gpu_can_be_asked_for(registry, cli):
    cli("nodes", "--no-gpu")
    assert registry.requests == ["/nodes?gpu=false"]


@pytest.fixture
def paged(registry, seed):
    """A registry that gives the seed's nodes two at a time."""
    nodes = list(seed["nodes"].items())
    registry.answer("/nodes?role=compute", {**seed, "nodes": dict(nodes[:2]), "next": "runpod-tx"})
    registry.answer("/nodes?role=compute&after=runpod-tx", {**seed, "nodes": dict(nodes[2:])})
    return registry


def test_all_pages_are_one_table(paged, shows):
    """Filters are kept on the way from page to page."""
    assert shows("nodes", "--role=compute") == SEED_TABLE
    assert paged.requests == ["/nodes?role=compute", "/nodes?role=compute&after=runpod-tx"]


@pytest.mark.usefixtures("paged")
def test_all_pages_are_one_document(shows, seed):
    """With --json, as if the registry had answered at once."""
    assert json.loads(shows("nodes", "--role=compute", "--json")) == seed


def test_pages_that_go_in_a_circle_end(registry, cli, seed):
    """No registry does so; something else must not keep us forever."""
    registry.answer("/nodes", {**seed, "next": "aurora"})
    registry.answer("/nodes?after=aurora", {**seed, "next": "aurora"})
    assert cli("nodes") == (
        1,
        "",
        f"aurora-cli: {registry.url}/nodes leads in a circle: its pages repeat. Is a registry at this address?\n",
    )


def test_pages_without_end_end(registry, cli, seed, monkeypatch):
    monkeypatch.setattr("exporter.client.client.MAX_PAGES", 2)
    registry.answer("/nodes", {**seed, "next": "a"})
    for name, following in (("a", "b"), ("b", "c"), ("c", "d")):
        registry.answer(f"/nodes?after={name}", {**seed, "next": following})
    status, out, error = cli("nodes")
    assert (status, out) == (1, "")
    assert "/nodes has more than 2 pages. Is a registry at this address?" in error


@pytest.mark.parametrize(
    ("argv", "query", "remark"),
    [
        ([], "", "no node is registered yet"),
        (["--sort=free_vram"], "?sort=free_vram", "no node is registered yet"),
        (["--role=lead"], "?role=lead", "no node passes these filters"),
    ],
)
def test_an_empty_list_says_so(registry, cli, argv, query, remark):
    """The table is empty, as programs expect; people see why, beside it."""
    registry.answer(f"/nodes{query}", {"nodes": {}, "total": 0, "active": 0, "timestamp": "2025-10-06T12:00:05Z"})
    header = "NAME          ROLE     STATUS   IP          GPU\n"
    assert cli("nodes", *argv) == (0, header, f"aurora-cli: {remark}\n")


def test_json_is_the_answer_for_people_and_programs(registry, shows, seed):
    """Pretty, letters as letters; what a terminal might obey stays an escape, and means the same."""
    seed["nodes"]["aurora"]["metadata"] = {"note": "größer \x1b[31m \x9b \u202e \U000e0041", "big": 10**30}
    registry.answer("/nodes", seed)
    text = shows("nodes", "--json")
    assert json.loads(text) == seed
    assert '"note": "größer \\u001b[31m \\u009b \\u202e \\udb40\\udc41"' in text
    assert text.startswith('{\n  "nodes": {\n    "aurora": {\n      "name": "aurora",\n')
