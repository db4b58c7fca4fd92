"""Aligned columns, two spaces apart. Only the last column may be cut, and only where lines have an end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporter.programs.cli.terminal import Terminal, columns, visible

GAP = "  "
LEAST_LAST = 8
"""Columns that the last one keeps, however narrow the terminal: a line that wraps tells more than an ellipsis."""


class Status(str):
    """A cell that names a status, and has its colour."""

    __slots__ = ()


def table(rows: Sequence[Sequence[str]], terminal: Terminal, *, least: Sequence[int] = ()) -> Iterator[str]:
    """The rows as lines, the header being the first row. `least` are least widths of the columns but the last."""
    seen = [[visible(cell) for cell in row] for row in rows]
    last = len(seen[0]) - 1
    widths = [max(columns(row[column]) for row in seen) for column in range(last)]
    widths = [max(pair) for pair in zip(widths, [*least, *[0] * (last - len(least))], strict=True)]
    room = max(LEAST_LAST, (terminal.width or 0) - sum(widths) - len(GAP) * last)
    for row, shown in zip(rows, seen, strict=True):
        padded = [cell + " " * (width - columns(cell)) for cell, width in zip(shown[:last], widths, strict=True)]
        padded.append(terminal.shorten(shown[last], room))
        cells = [
            terminal.status(text) if isinstance(cell, Status) else text for cell, text in zip(row, padded, strict=True)
        ]
        yield GAP.join(cells).rstrip()


def facts(pairs: Sequence[tuple[str, str]], terminal: Terminal) -> Iterator[str]:
    """Names and values, those without a value left out."""
    return table([pair for pair in pairs if pair[1]], terminal)
