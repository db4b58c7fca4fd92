"""Aligned columns, two spaces apart, that fit the terminal where it is 60 columns wide or more."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from exporter.programs.cli.terminal import Terminal, columns, visible

GAP = "  "
LEAST_LAST = 8
"""Columns that the last one keeps, however narrow the terminal: a line that wraps says more than an ellipsis."""
LEAST_FIRST = 12
"""The same for the first one, which has the names."""

LEAST_VALUE = 20
"""With less room than this beside the names, values are cut rather than broken."""


class Status(str):
    """A cell that names a status: it has its colour, and is never cut."""

    __slots__ = ()


class Address(str):
    """A cell that is of no use when it is cut: other columns give way first."""

    __slots__ = ()


ROUNDS: tuple[tuple[int, tuple[type[str], ...]], ...] = (
    (10, (Status, Address)),
    (4, (Status, Address)),
    (4, (Status,)),
)
"""What columns in between keep, and cells that are not cut: each time less, as long as lines are too long."""


def table(rows: Sequence[Sequence[str]], terminal: Terminal, *, least: Sequence[int] = ()) -> Iterator[str]:
    """The rows as lines, the header being the first row. `least` are least widths of the columns but the last.

    Where lines have an end, cells are cut with an ellipsis: the last column's first, then from the right to the left,
    the first column's only at last.
    """
    seen = [[visible(cell) for cell in row] for row in rows]
    widths = [max(columns(row[column]) for row in seen) for column in range(len(seen[0]))]
    if terminal.width is not None:
        widths = _fitted(widths, terminal.width, rows)
    padded_widths = [max(pair) for pair in zip(widths, [*least, *[0] * (len(widths) - len(least))], strict=True)]
    if terminal.width is None or _total(padded_widths) <= terminal.width:
        widths = padded_widths
    last = len(widths) - 1
    for row, shown in zip(rows, seen, strict=True):
        cells = []
        for column, (cell, text, width) in enumerate(zip(row, shown, widths, strict=True)):
            fitting = terminal.shorten(text, width)
            padded = fitting if column == last else fitting + " " * (width - columns(fitting))
            cells.append(terminal.status(padded) if isinstance(cell, Status) else padded)
        yield GAP.join(cells).rstrip()


def facts(pairs: Sequence[tuple[str, str]], terminal: Terminal) -> Iterator[str]:
    """Names and values, those without a value left out; a value that is too long goes on below itself."""
    shown = [pair for pair in pairs if pair[1]]
    indent = max((columns(visible(name)) for name, _ in shown), default=0) + len(GAP)
    if terminal.width is None or terminal.width < indent + LEAST_VALUE:
        yield from table(shown, terminal)
        return
    for name, value in shown:
        pieces = textwrap.wrap(visible(value), terminal.width - indent, break_on_hyphens=False)
        first = terminal.status(pieces[0]) if isinstance(value, Status) else pieces[0]
        yield visible(name) + " " * (indent - columns(visible(name))) + first
        yield from (" " * indent + piece for piece in pieces[1:])


def _fitted(widths: list[int], width: int, rows: Sequence[Sequence[str]]) -> list[int]:
    fitted = list(widths)
    last = len(fitted) - 1
    for least, whole in ROUNDS:
        for column in (*range(last, 0, -1), 0):
            excess = _total(fitted) - width
            if excess > 0 and (column == last or not any(isinstance(row[column], whole) for row in rows)):
                kept = LEAST_LAST if column == last else least if column else LEAST_FIRST
                fitted[column] = max(min(kept, fitted[column]), fitted[column] - excess)
    return fitted


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)
