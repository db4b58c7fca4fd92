"""Sentences, broken where the terminal ends."""

from __future__ import annotations

import textwrap

from exporter.programs.cli.terminal import Terminal, escape_control


def paragraph(text: str, terminal: Terminal) -> list[str]:
    """The text as lines that fit; its first word begins in the first column."""
    return _broken(text, terminal, "", "")


def bullet(text: str, terminal: Terminal) -> list[str]:
    """The text as one item of a list."""
    return _broken(text, terminal, "- ", "  ")


def hanging(text: str, terminal: Terminal) -> list[str]:
    """The text indented, and its further lines more so."""
    return _broken(text, terminal, "  ", "      ")


def message(text: str, terminal: Terminal) -> list[str]:
    """The text as a message: each of its lines broken on a terminal, and left whole where programs may read it."""
    lines = text.split("\n")
    if terminal.width is None:
        return lines
    return [piece for line in lines for piece in _broken(line, terminal, "", "  ")]


def _broken(text: str, terminal: Terminal, first: str, further: str) -> list[str]:
    # Names and timestamps have hyphens, and are to be copied whole.
    return textwrap.wrap(
        escape_control(text),
        width=terminal.wrap_width,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
