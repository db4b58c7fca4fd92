"""What the registry exposes, taken apart, so that its peers hold the very same series."""

from __future__ import annotations

import re

GROUP = 1_000
"""Nodes in one push to the Pushgateway."""
_ABOUT_NODES = re.compile(r"aurora_(?:node|mesh|site|topology)_")
_NODE = re.compile(r'\bnode="node-(\d+)"')


def about_nodes(text: str) -> list[str]:
    """The lines of samples that are about nodes, sites and the mesh: not those about the process that exposes them."""
    return [line for line in text.splitlines() if _ABOUT_NODES.match(line)]


def pushes(lines: list[str]) -> dict[int, bytes]:
    """The lines in groups of many nodes, by the group's number; what is about no node stands in group -1."""
    groups: dict[int, list[str]] = {}
    for line in lines:
        node = _NODE.search(line)
        groups.setdefault(int(node[1]) // GROUP if node else -1, []).append(line)
    return {number: ("\n".join(group) + "\n").encode() for number, group in groups.items()}
