"""From parsed arguments to lines on stdout, and from failures to one message and an exit status."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from exporter.programs.cli.arguments import FILTERS
from exporter.programs.cli.client import Client, Reply
from exporter.programs.cli.dashboards import write_dashboards
from exporter.programs.cli.digest import show_digest
from exporter.programs.cli.doctor import examine, report
from exporter.programs.cli.failures import Failure, NoRegistry
from exporter.programs.cli.nodes import list_nodes, show_node
from exporter.programs.cli.overview import show_stats, show_topology
from exporter.programs.cli.responses import Node, NodePage, Recent, Stats, Topology, Why
from exporter.programs.cli.rules import write_rules
from exporter.programs.cli.terminal import Terminal, be_tolerant, terminal_of
from exporter.programs.cli.why import tell_why
from exporter.programs.cli.wrap import message

WRITERS = {"rules": write_rules, "dashboards": write_dashboards}
"""Commands that write files, and ask nobody."""


def run(arguments: Namespace) -> int:
    """Do what was asked; the exit status."""
    be_tolerant(sys.stdout, sys.stderr)
    try:
        if arguments.command == "doctor":
            return _print_doctor(arguments)
        if arguments.command in WRITERS:
            _print(WRITERS[arguments.command](arguments))
        else:
            with Client(arguments.registry, arguments.timeout_ns) as client:
                _print(_lines(arguments, client, terminal_of(sys.stdout)))
        sys.stdout.flush()
    except Failure as failure:
        _complain(str(failure))
        return failure.exit_status
    except BrokenPipeError:
        # The reader has seen enough. What is still buffered would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _complain(f"cannot write the output: {error.strerror or error}")
        return 1
    return 0


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _print_doctor(arguments: Namespace) -> int:
    findings = []
    for finding in examine(arguments):
        findings.append(finding)
        if not arguments.json:
            for line in report(finding, terminal_of(sys.stdout)):
                print(line, flush=True)
    fine = all(finding.state != "wrong" for finding in findings)
    if arguments.json:
        checks = [asdict(finding) for finding in findings]
        for line in _pretty({"status": "ok" if fine else "wrong", "checks": checks}):
            print(line)
    return 0 if fine else 1


def _complain(text: str) -> None:
    for line in message(f"aurora-cli: {text}", terminal_of(sys.stderr)):
        print(line, file=sys.stderr)


def _lines(arguments: Namespace, client: Client, terminal: Terminal) -> Iterator[str]:
    if arguments.command == "nodes":
        return _nodes(arguments, client, terminal)
    if arguments.command == "digest":
        return _digest(arguments, client, terminal)
    path = {
        "node": "/nodes/{name}",
        "why": "/nodes/{name}/why",
        "topology": "/topology",
        "stats": "/stats",
    }[arguments.command].format(name=getattr(arguments, "name", ""))
    answer = client.get(path)
    return _pretty(answer.document()) if arguments.json else _told(arguments.command, answer, terminal)


def _told(command: str, answer: Reply, terminal: Terminal) -> Iterator[str]:
    if command == "node":
        return show_node(answer.of(Node), answer.at_ns, terminal)
    if command == "why":
        return tell_why(answer.of(Why), terminal)
    if command == "topology":
        return show_topology(answer.of(Topology), terminal)
    return show_stats(answer.of(Stats), terminal)


def _nodes(arguments: Namespace, client: Client, terminal: Terminal) -> Iterator[str]:
    query = {name: _text(getattr(arguments, name)) for name in FILTERS if getattr(arguments, name) is not None}
    pages = _pages(client, query)
    if arguments.json:
        documents = [answer.document() for answer, _ in pages]
        nodes = {name: node for document in documents for name, node in document["nodes"].items()}
        yield from _pretty({**documents[-1], "nodes": nodes})
        return
    nodes_by_name = {name: node for _, page in pages for name, node in page.nodes.items()}
    yield from list_nodes(nodes_by_name.values(), terminal)
    if not nodes_by_name:
        _complain("no node passes these filters" if query.keys() - {"sort"} else "no node is registered yet")


def _digest(arguments: Namespace, client: Client, terminal: Terminal) -> Iterator[str]:
    answer = client.get("/transitions", {"since": arguments.since, "limit": str(arguments.limit)})
    pages = list(_pages(client, {}))
    if arguments.json:
        nodes = {name: node for page, _ in pages for name, node in page.document()["nodes"].items()}
        return _pretty({**answer.document(), "nodes": nodes})
    return show_digest(answer.of(Recent), [node for _, page in pages for node in page.nodes.values()], terminal)


def _pages(client: Client, query: dict[str, str]) -> Iterator[tuple[Reply, NodePage]]:
    seen: set[str] = set()
    after: dict[str, str] = {}
    while True:
        answer = client.get("/nodes", {**query, **after})
        page = answer.of(NodePage)
        yield answer, page
        if not page.next:
            return
        if page.next in seen:
            raise NoRegistry(f"{answer.url} leads in a circle: its pages repeat. Is a registry at this address?")
        seen.add(page.next)
        after = {"after": page.next}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pretty(document: Any) -> Iterator[str]:
    # Within texts only: outside of them JSON has nothing that is not printable but the line breaks, which end here.
    for line in json.dumps(document, ensure_ascii=False, indent=2).split("\n"):
        yield "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
