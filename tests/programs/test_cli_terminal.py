from __future__ import annotations

import io
import re

import pytest

from exporter.programs.cli.humanize import duration
from exporter.programs.cli.tables import AddressCell, StatusCell, facts, table
from exporter.programs.cli.terminal import Terminal, be_tolerant, escape_control

HOSTILE = "a\x1b[2J\x07\r\n\x9b1m\u202egpj\u200b\x00\ud800"


@pytest.mark.parametrize("argv", [["nodes"], ["node", "vengeance"], ["topology"]], ids=" ".join)
def test_hostile_text_is_made_visible(registry, shows, on_terminal, seed, argv):
    """Whatever the registry answers, nothing but our own colours commands the terminal, and no line is forged."""
    node = seed["nodes"]["vengeance"]
    node |= {"role": HOSTILE[:-1], "vpn_ip": HOSTILE[:-1], "metadata": {HOSTILE[:-1]: HOSTILE[:-1]}}
    registry.answer("/nodes", seed)
    registry.answer("/nodes/vengeance", node)
    edge = {"source": HOSTILE[:-1], "target": HOSTILE[:-1], "type": HOSTILE[:-1]}
    registry.answer("/topology", {"nodes": [], "connections": [edge]})
    on_terminal(300)
    text = shows(*argv)
    for colour in ("\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"):
        text = text.replace(colour, "")
    assert text.replace("\n", "").isprintable()
    assert "a\\x1b[2J\\x07\\r\\n\\x9b1m\\u202egpj\\u200b\\x00" in text


def test_every_character_is_seen():
    """Letters of all scripts stay; what is invisible or commands is an escape, a lone surrogate included."""
    assert escape_control("größer 東京 🚀") == "größer 東京 🚀"
    assert escape_control(HOSTILE) == "a\\x1b[2J\\x07\\r\\n\\x9b1m\\u202egpj\\u200b\\x00\\ud800"


def test_status_has_its_colour_on_a_terminal(registry, shows, on_terminal, seed):
    """Green, amber, red; the padding belongs to it, so that columns stay."""
    seed["nodes"]["aurora"]["status"] = "offline"
    registry.answer("/nodes", seed)
    on_terminal()
    assert shows("nodes") == (
        "NAME          ROLE     STATUS   IP          GPU\n"
        "aurora        lead     \x1b[31moffline\x1b[0m  10.0.0.1    -\n"
        "runpod-tx     compute  \x1b[32mactive \x1b[0m  10.0.0.3    2x RTX 4090\n"
        "vengeance     compute  \x1b[32mactive \x1b[0m  10.0.0.4    1x RTX 4090\n"
        "robbiebook1   compute  \x1b[33mwarning\x1b[0m  10.0.0.5    -\n"
    )


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_colour_can_be_refused(registry, shows, on_terminal, seed, variables):
    registry.answer("/nodes", seed)
    on_terminal(**variables)
    assert "\x1b" not in shows("nodes")


def test_only_a_status_is_coloured(registry, shows, on_terminal, seed):
    """A role, or a word of the node's own, that outages like one is not."""
    seed["nodes"]["vengeance"] |= {"role": "active", "metadata": {"status": "offline"}}
    registry.answer("/nodes/vengeance", seed["nodes"]["vengeance"])
    on_terminal()
    lines = shows("node", "vengeance").splitlines()
    assert [line for line in lines if "\x1b" in line] == ["status      \x1b[32mactive\x1b[0m"]


def test_last_column_is_cut_where_the_terminal_ends():
    """Wide characters count as two; elsewhere than on a terminal all is written."""
    rows = [("NAME", "GPU"), ("vengeance", "東京" * 8)]
    assert list(table(rows, Terminal(width=20))) == ["NAME       GPU", "vengeance  東京東京…"]
    assert list(table(rows, Terminal())) == ["NAME       GPU", "vengeance  " + "東京" * 8]


def test_a_name_is_cut_at_last_and_a_status_never():
    """A name identifies a node: what stands behind it gives way first."""
    name = "a" * 63
    row = (name, "compute", StatusCell("active"), "x" * 20)
    assert list(table([row], Terminal(width=90))) == [f"{name}  compute  active  xxxxxxx…"]
    assert list(table([row], Terminal(width=60))) == [f"{'a' * 32}…  compute  active  xxxxxxx…"]


ADDRESSES = ("100.101.102.103", "fd7a:115c:a1e0:ab12:4843:cd96:626b:430e")


@pytest.mark.parametrize("width", [60, 72, 80, 100])
@pytest.mark.parametrize("options", [(), ("--wide",)])
def test_addresses_are_never_cut(registry, shows, on_terminal, seed, width, options):  # noqa: PLR0917 - fixtures
    """What leaves too little room for the rest is written on several lines, none of them too long."""
    facts = {"site": "lisbon-datacenter", "cost_per_hour": 1}
    for node, address in zip(seed["nodes"].values(), ADDRESSES, strict=False):
        node |= {"vpn_ip": address, "metadata": facts, "lifecycle": "maintenance", "lifecycle_reason": "new fans " * 9}
        node["capabilities"] = {"gpu": True, "gpu_count": 8, "gpu_type": "NVIDIA H100 80GB HBM3"}
    registry.answer("/nodes", seed)
    on_terminal(width=width)

    shown = shows("nodes", *options)

    assert set(ADDRESSES) < set(shown.split())
    assert max(map(len, re.sub(r"\x1b\[\d*m", "", shown).splitlines())) <= width


def test_a_row_of_several_lines_is_indented_and_has_no_empty_line():
    header = ("NAME", "STATUS", "IP", "NOTE")
    rows = [
        (name, StatusCell("active"), AddressCell(ADDRESSES[1]), note)
        for name, note in (("a", ""), ("b", "maintenance"))
    ]

    assert list(table([header, *rows], Terminal(width=60), least=(12, 7))) == [
        "NAME  STATUS  IP",
        "  NOTE",
        f"a     active  {ADDRESSES[1]}",
        f"b     active  {ADDRESSES[1]}",
        "  maintenance",
    ]


def test_output_fits_80_columns(registry, shows, on_terminal, seed):
    """With a long type in the last column, and whatever a node says of itself."""
    for node in seed["nodes"].values():
        node["capabilities"] = {"gpu": True, "gpu_count": 8, "gpu_type": "NVIDIA H100 80GB HBM3 " * 4}
        node["metadata"] = {"note": "n" * 200}
    registry.answer("/nodes", seed)
    registry.answer("/nodes/aurora", seed["nodes"]["aurora"])
    on_terminal(80)
    lines = shows("nodes").splitlines() + shows("node", "aurora").splitlines()
    plain = [line.replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[0m", "") for line in lines]
    assert max(map(len, plain)) == 80


def test_a_narrow_encoding_is_no_failure():
    """What it does not have is written as an escape."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    be_tolerant(stream)
    stream.write("64 °C")
    assert raw.getvalue() == b"64 \\xb0C"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.9, "less than a second"),
        (-5, "less than a second"),
        (1, "1 second"),
        (80.5, "1 minute 20 seconds"),
        (3600, "1 hour"),
        (3601, "1 hour"),
        (7500, "2 hours 5 minutes"),
        (3 * 86400 + 3600, "3 days 1 hour"),
    ],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_a_long_value_goes_on_below_itself():
    pairs = [
        ("name", "vengeance"),
        ("status", StatusCell("active")),
        ("reason", "new fans and a power supply, in the rack"),
    ]

    assert list(facts(pairs, Terminal(width=32))) == [
        "name    vengeance",
        "status  active",
        "reason  new fans and a power",
        "        supply, in the rack",
    ]
