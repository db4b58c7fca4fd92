from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.site import SiteRule


@pytest.mark.parametrize(
    ("missing", "considered", "disrupted"),
    [
        (0, 0, False),
        (2, 2, False),
        (3, 3, True),
        (3, 5, True),
        (3, 6, False),
        (10, 20, False),
        (11, 20, True),
        (55, 100, True),
        (54, 100, False),
    ],
)
def test_a_site_is_disrupted_when_enough_of_its_nodes_are_missing(missing, considered, disrupted):
    """Three at least, and 55 % of them at least, by the defaults."""
    assert SiteRule().disrupted(missing, considered) is disrupted


def test_a_ratio_of_one_means_every_node():
    rule = SiteRule(min_nodes=1, disrupted_ratio=1)

    assert rule.disrupted(7, 7)
    assert not rule.disrupted(6, 7)


@given(st.integers(1, 100), st.integers(1, 100_000), st.integers(1, 100_000))
def test_exactly_the_ratio_is_enough(percent, hundredths, considered):
    """A percentage is met by as many nodes as it says, whatever binary fractions make of it."""
    rule = SiteRule(min_nodes=1, disrupted_ratio=percent / 100)
    missing = max(1, min(considered, hundredths))

    assert rule.disrupted(missing, considered) is (Fraction(missing, considered) >= Fraction(percent, 100))
