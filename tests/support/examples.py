"""How many examples a property gets from Hypothesis."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100
"""What Hypothesis takes where nothing is said."""


def examples(count: int) -> int:
    """So many in the whole suite, and a part of them in `make check`, whose profile takes fewer of everything."""
    of_profile: int = settings.default.max_examples
    return max(1, count * of_profile // USUAL)
