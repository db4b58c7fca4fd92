"""Standard streams that were closed when the program started."""

from __future__ import annotations

import os


def open_closed_streams() -> None:
    """Keep the numbers of standard input, output and error from sockets and files, which would get what is written."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_RDWR)
