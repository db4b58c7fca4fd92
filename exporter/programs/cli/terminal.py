"""Where output goes: how wide it is, whether it has colours, and that nothing hostile reaches it."""

from __future__ import annotations

import io
import os
import shutil
import unicodedata
from dataclasses import dataclass
from typing import TextIO

WRAP_WIDTH = 80
ELLIPSIS = "…"
_COLOURS = {"active": "\x1b[32m", "warning": "\x1b[33m", "offline": "\x1b[31m", "ok": "\x1b[32m", "wrong": "\x1b[31m"}
_PLAIN = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Terminal:
    """`width` in columns, None where lines may have any length; `colour` whether a status may be coloured."""

    width: int | None = None
    colour: bool = False

    @property
    def wrap_width(self) -> int:
        """Where sentences are broken."""
        return min(self.width or WRAP_WIDTH, WRAP_WIDTH)

    def status(self, text: str) -> str:
        """The text in the colour of the status that it names; padding may surround it."""
        colour = _COLOURS.get(text.strip(), "")
        return f"{colour}{text}{_PLAIN}" if self.colour and colour else text

    def shorten(self, text: str, room: int) -> str:
        """The text, cut to this many columns with an ellipsis, where lines have an end."""
        if self.width is None or columns(text) <= room:
            return text
        while text and columns(text) > room - 1:
            text = text[:-1]
        return text + ELLIPSIS


def terminal_of(stream: TextIO) -> Terminal:
    """The terminal behind the stream; where there is none, COLUMNS alone says how wide the output is.

    Source for NO_COLOR: no-color.org.
    """
    if not stream.isatty():
        columns_given = os.environ.get("COLUMNS", "")
        narrow = columns_given.isascii() and columns_given.isdecimal() and 0 < len(columns_given) <= 5  # noqa: PLR2004
        return Terminal(width=int(columns_given) or None) if narrow else Terminal()
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Terminal(width=shutil.get_terminal_size().columns, colour=not plain)


def be_tolerant(*streams: TextIO) -> None:
    """Write what a stream's encoding does not have as an escape, rather than fail."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def escape_control(text: str) -> str:
    """The text with every character that is not plainly seen as its escape: no terminal obeys it, no eye misses it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def columns(text: str) -> int:
    """How many columns the text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
