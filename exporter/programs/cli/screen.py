"""A picture that is drawn again and again, in place on a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator

from exporter.client.errors import ClientError
from exporter.programs.cli.context import Context
from exporter.programs.cli.failures import failure_of
from exporter.programs.cli.wrap import message

HOME, REST_OF_LINE, BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
OTHER_SCREEN, OWN_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def redraw(context: Context, lines: Callable[[], Iterable[str]]) -> Iterator[Callable[[], None]]:
    """A function to draw with, again and again without end. That a registry does not answer is shown in place.

    On a terminal the picture has a screen of its own, which ends with the iteration; elsewhere pictures follow one
    another with an empty line between.
    """
    on_terminal = sys.stdout.isatty()
    if on_terminal:
        _write(OTHER_SCREEN)
    try:
        first = True
        while True:
            yield lambda first=first: _draw(context, lines, on_terminal=on_terminal, first=first)  # type: ignore[misc]
            first = False
    finally:
        if on_terminal:
            _write(OWN_SCREEN)


def _draw(context: Context, lines: Callable[[], Iterable[str]], *, on_terminal: bool, first: bool) -> None:
    try:
        picture = list(lines())
    except ClientError as error:
        picture = message(str(failure_of(error)), context.terminal)
    if not on_terminal:
        context.show(picture if first else ["", *picture])
        sys.stdout.flush()
        return
    height = shutil.get_terminal_size().lines
    if len(picture) > height - 1:
        picture = [*picture[: height - 2], f"... and {len(picture) - height + 2} more lines"]
    _write(HOME + "".join(f"{line}{REST_OF_LINE}\n" for line in picture) + BELOW)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
