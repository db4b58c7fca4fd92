"""The table of attacks names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security.md"
NAMED = re.compile(r"`((?:\w+/)?test_\w+\.py)(?:::(test_\w+)\*?)?`")


def test_every_test_that_is_named_exists():
    """With its directory, or in that of the one before it; a name that ends in * begins several."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and "test_" in line]
    missing = []
    for row in rows:
        directory = ""
        for file, test in NAMED.findall(row):
            directory = file.rpartition("/")[0] or directory
            path = TESTS / directory / file.rpartition("/")[2]
            if not path.is_file() or f"def {test}" not in path.read_text():
                missing.append(f"{path.relative_to(TESTS)}::{test}")

    assert len(rows) > 15
    assert missing == []
