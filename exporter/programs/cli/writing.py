"""Files for the user: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from exporter.programs.cli.failures import Failure


def write_all(directory: Path, texts: Mapping[str, str], *, force: bool) -> Iterator[str]:
    """Write each text under its name (which may have folders) in the directory; the paths as they are written.

    Raises Failure, before anything is written, where a file that is there already would be lost and `force` is not
    given; and where the system refuses to write.
    """
    files = {directory / name: text for name, text in texts.items()}
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise Failure(f"{', '.join(there)} would be overwritten: name another --output, or say --force")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            yield str(path)
    except OSError as error:
        raise Failure(f"cannot write {error.filename}: {error.strerror}") from None
