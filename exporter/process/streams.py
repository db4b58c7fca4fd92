"""Standard streams that were closed when the program started."""

from __future__ import annotations

import os
import sys

FIRST_FREE = 3
"""The lowest number that is no standard stream's."""


def open_closed_streams() -> None:
    """Discard what is written there: it must neither raise nor reach a socket or file that reuses the descriptor."""
    # A file that is opened gets the lowest number that is free.
    while (number := os.open(os.devnull, os.O_RDWR)) < FIRST_FREE:
        pass
    os.close(number)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
