"""The code blocks of the documents, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "alerts").rglob("*.md")),
]
_BLOCK = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *languages: str) -> list[str]:
    """The texts of a page's blocks that are in one of these languages."""
    return [text for language, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


def languages() -> set[str]:
    """Of all pages' blocks; the empty one is of pictures and of what programs print."""
    return {language for page in PAGES for language, _ in _BLOCK.findall(page.read_text(encoding="utf-8"))}


def typed(page: Path) -> Iterator[str]:
    """Every command of a page, whole: on as many lines as its quotes and backslashes take.

    In a `console` block commands stand behind a prompt; a `sh` block has nothing else.
    """
    for language, prompt in (("console", "$ "), ("sh", "")):
        for block in blocks(page, language):
            rest = block.splitlines()
            while rest:
                line = rest.pop(0).strip()
                if not line.startswith(prompt) or not line:
                    continue
                command = line.removeprefix(prompt)
                while not _is_whole(command):
                    command += "\n" + rest.pop(0)
                yield command.replace("\\\n", " ")


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return not command.endswith("\\")
