"""How many examples a property gets from Hypothesis."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100
"""What Hypothesis takes where nothing is said."""


def examples(count: int) -> int:
    """So many in the whole suite, and a part of them in `make check`, whose profile takes fewer of everything."""
    profile = settings.default
    assert profile is not None
    return max(1, count * profile.max_examples // USUAL)
