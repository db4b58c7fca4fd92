"""The part of a Python module that somebody uses: its own lines, and only those.

NVIDIA's binding has a function for all that a driver can do. The agent asks a few dozen of them, and a module that is
read from a zipapp is compiled at each start: the rest would cost more memory than all of the agent.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator


def excerpt(source: str, wanted: Iterable[str]) -> str:
    """The module, with the top-level names that are wanted and all that these need; what is wanted and not there is
    passed over. Statements that bind no name are kept, as is the comment at the top.
    """  # noqa: D205 - one sentence
    body = ast.parse(source).body
    bound = [set(_bound(statement)) for statement in body]
    places: dict[str, list[int]] = {}
    for place, names in enumerate(bound):
        for name in names:
            places.setdefault(name, []).append(place)
    waiting = [place for place, names in enumerate(bound) if not names]
    waiting += [place for name in wanted for place in places.get(name, ())]
    waiting += places.get("*", ())
    kept: set[int] = set()
    while waiting:
        place = waiting.pop()
        if place not in kept:
            kept.add(place)
            waiting += [other for name in _identifiers(body[place]) for other in places.get(name, ())]
    lines = source.splitlines(keepends=True)
    parts = lines[: _first_line(body[0]) - 1] if body else lines
    for place in sorted(kept):
        parts += lines[_first_line(body[place]) - 1 : body[place].end_lineno]
    return "".join(parts)


def identifiers(source: str) -> set[str]:
    """Every name that stands in the code, of variables and of attributes, and every text that may be one."""
    return set(_identifiers(ast.parse(source)))


def _identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement gives a value to; none for what is there for its effect."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if not isinstance(target, ast.Name):
                return
            yield target.id


def _first_line(statement: ast.stmt) -> int:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return min([statement.lineno, *(decorator.lineno for decorator in statement.decorator_list)])
    return statement.lineno
