"""A node's status and heartbeats change in one module."""

from __future__ import annotations

import ast
from pathlib import Path

EXPORTER = Path(__file__).parents[2] / "exporter"
FIELDS = {"status", "status_since_ns", "last_heartbeat_ns", "last_seen_ns", "last_transition", "path", "transport"}


def writers() -> set[str]:
    """The modules that assign to such a field of something called a node."""
    found = set()
    for module in EXPORTER.glob("**/*.py"):
        for target in ast.walk(ast.parse(module.read_text())):
            if (
                isinstance(target, ast.Attribute)
                and isinstance(target.ctx, ast.Store)
                and target.attr in FIELDS
                and isinstance(target.value, ast.Name)
                and target.value.id == "node"
            ):
                found.add(str(module.relative_to(EXPORTER)))
    return found


def test_only_the_node_map_writes_them() -> None:
    """What merges, plans, receives or shows reads them."""
    assert writers() == {"nodemap/nodemap.py"}
