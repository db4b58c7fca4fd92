"""What the registry exposes, taken apart, so that its peers hold the very same series."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

GROUP = 1_000
"""Nodes in one push to the Pushgateway."""
_ABOUT_NODES = re.compile(r"aurora_(?:node|mesh|site|topology)_")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_NODE = re.compile(r'\bnode="node-(\d+)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """One line. The benchmark's labels hold nothing that would be escaped."""

    name: str
    labels: dict[str, str]
    value: float


def about_nodes(text: str) -> list[str]:
    """The lines of samples that are about nodes, sites and the mesh: not those about the process that exposes them."""
    return [line for line in text.splitlines() if _ABOUT_NODES.match(line)]


def samples(text: str) -> Iterator[Sample]:
    """The samples of an exposition of lines as `about_nodes` gives them."""
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        yield Sample(name, dict(_LABEL.findall(labels)), float(value))


def pushes(lines: list[str]) -> dict[int, bytes]:
    """The lines in groups of many nodes, by the group's number; what is about no node stands in group -1."""
    groups: dict[int, list[str]] = {}
    for line in lines:
        node = _NODE.search(line)
        groups.setdefault(int(node[1]) // GROUP if node else -1, []).append(line)
    return {number: ("\n".join(group) + "\n").encode() for number, group in groups.items()}
