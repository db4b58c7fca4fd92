"""What happens, line by line, with the time since the start; 80 columns, and as readable in a file."""

from __future__ import annotations

import textwrap
import time

WIDTH = 80


class Timeline:
    """Prints to standard output, each line at once."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, kind: str, text: str) -> None:
        """Print one event: its kind and its text."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        head = f"{minutes:3}:{seconds:02}  {kind:<6} "
        print(textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=len(head) * " "), flush=True)
