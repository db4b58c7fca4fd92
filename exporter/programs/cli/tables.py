"""Aligned columns, two spaces apart, that fit the terminal where it is 60 columns wide or more."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from exporter.programs.cli.terminal import Terminal, columns, escape_control

GAP = "  "
LEAST_LAST = 8
"""Columns that the last one keeps, however narrow the terminal: a line that wraps says more than an ellipsis."""
LEAST_FIRST = 12
"""The same for the first one, which has the names."""

LEAST_VALUE = 20
"""With less room than this beside the names, values are cut rather than broken."""


class StatusCell(str):
    """A cell that names a status: it has its colour, and is never cut."""

    __slots__ = ()


class AddressCell(str):
    """A cell that would be useless when cut, so it is never cut."""

    __slots__ = ()


LEAST_BETWEEN = (10, 4)
"""What columns in between keep: first the one, then the other, where lines are still too long."""


def table(rows: Sequence[Sequence[str]], terminal: Terminal, *, least: Sequence[int] = ()) -> Iterator[str]:
    """The rows as lines, the header being the first row. `least` are least widths of the columns but the last.

    Where lines have an end, cells are cut with an ellipsis: the last column's first, then from the right to the left,
    the first column's only at last. Addresses are not cut: where they leave too little room, each row takes several
    lines.
    """
    seen = [[escape_control(cell) for cell in row] for row in rows]
    widths = [max(columns(row[column]) for row in seen) for column in range(len(seen[0]))]
    lines = [range(len(widths))]
    if terminal.width is not None:
        whole = [
            any(isinstance(row[column], (StatusCell, AddressCell)) for row in rows) for column in range(len(widths))
        ]
        lines = _lines(widths, whole, terminal.width, foldable=any(isinstance(cell, AddressCell) for cell in rows[-1]))
        for number, line in enumerate(lines):
            room = terminal.width - (len(GAP) if number else 0)
            for column, width in zip(line, _fitted(widths, whole, line, room), strict=True):
                widths[column] = width
    padded_widths = [max(pair) for pair in zip(widths, [*least, *[0] * (len(widths) - len(least))], strict=True)]
    if terminal.width is None or (len(lines) == 1 and _total(padded_widths) <= terminal.width):
        widths = padded_widths
    for row, shown in zip(rows, seen, strict=True):
        for number, line in enumerate(lines):
            cells = []
            for column in line:
                fitting = terminal.shorten(shown[column], widths[column])
                padded = fitting if column == line[-1] else fitting + " " * (widths[column] - columns(fitting))
                cells.append(terminal.status(padded) if isinstance(row[column], StatusCell) else padded)
            text = GAP.join(cells).rstrip()
            if text or not number:
                yield (GAP if number else "") + text


def facts(pairs: Sequence[tuple[str, str]], terminal: Terminal) -> Iterator[str]:
    """Names and values, those without a value left out; a value that is too long goes on below itself."""
    shown = [pair for pair in pairs if pair[1]]
    indent = max((columns(escape_control(name)) for name, _ in shown), default=0) + len(GAP)
    if terminal.width is None or terminal.width < indent + LEAST_VALUE:
        yield from table(shown, terminal)
        return
    for name, value in shown:
        pieces = textwrap.wrap(escape_control(value), terminal.width - indent, break_on_hyphens=False)
        first = terminal.status(pieces[0]) if isinstance(value, StatusCell) else pieces[0]
        yield escape_control(name) + " " * (indent - columns(escape_control(name))) + first
        yield from (" " * indent + piece for piece in pieces[1:])


def _lines(widths: list[int], whole: list[bool], width: int, *, foldable: bool) -> list[range]:
    """The columns of each line of a row: one line wherever they fit, or where nothing is lost by cutting."""
    every = range(len(widths))
    if not foldable or _total(_fitted(widths, whole, every, width)) <= width:
        return [every]
    lines, used = [range(1)], min(widths[0], LEAST_FIRST)
    for column in every[1:]:
        least = widths[column] if whole[column] else min(widths[column], LEAST_BETWEEN[0])
        used += len(GAP) + least
        if used <= width:
            lines[-1] = range(lines[-1].start, column + 1)
        else:
            lines.append(range(column, column + 1))
            used = len(GAP) + least
    return lines


def _fitted(widths: list[int], whole: list[bool], line: range, width: int) -> list[int]:
    fitted = [widths[column] for column in line]
    last = len(fitted) - 1
    for least in LEAST_BETWEEN:
        for place in (*range(last, 0, -1), 0):
            excess = _total(fitted) - width
            if excess > 0 and not whole[line[place]]:
                kept = LEAST_LAST if place == last else least if place else LEAST_FIRST
                fitted[place] = max(min(kept, fitted[place]), fitted[place] - excess)
    return fitted


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)
