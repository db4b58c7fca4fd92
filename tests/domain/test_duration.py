from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.clock import HOUR, MILLISECOND, MINUTE, SECOND
from exporter.domain.duration import DAY, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("90s", 90 * SECOND),
        ("2m", 2 * MINUTE),
        ("72h", 72 * HOUR),
        ("1h30m", 90 * MINUTE),
        ("100ms", 100 * MILLISECOND),
        ("1y2w3d4h5m6s7ms", 382 * DAY + 4 * HOUR + 5 * MINUTE + 6 * SECOND + 7 * MILLISECOND),
        ("0s", 0),
        ("007s", 7 * SECOND),
    ],
)
def test_a_duration_is_read_as_prometheus_reads_it(text, ns):
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    "text", ["", "0", "90", "1.5h", "-1s", "1s1m", "1m1m", "1 m", " 1m", "1m\n", "1M", "1us", "\u0661s", "1e3s"]
)
def test_what_prometheus_does_not_take_is_refused(text):
    with pytest.raises(
        ValueError, match=r"^expected a duration as Prometheus writes it, such as 90s, 2m or 1h30m, got "
    ):
        parse_duration(text)


def test_a_duration_that_no_clock_can_count_is_refused():
    """As in Prometheus, nanoseconds fit 64 bits."""
    assert parse_duration("292y") == 292 * 365 * DAY
    with pytest.raises(ValueError, match=r"^expected a duration of at most 292 years, got '293y'$"):
        parse_duration("293y")


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0s"), (2 * MINUTE, "2m"), (90 * MINUTE, "1h30m"), (72 * HOUR, "3d"), (100 * MILLISECOND, "100ms"), (1, "0s")],
)
def test_a_duration_is_written_shortly(ns, text):
    assert format_duration(ns) == text


@given(st.integers(min_value=0, max_value=(2**63 - 1) // MILLISECOND))
def test_what_is_written_is_read_back(milliseconds):
    ns = milliseconds * MILLISECOND

    assert parse_duration(format_duration(ns)) == ns


@given(st.text(alphabet="0123456789ywdhms ", max_size=20) | st.text() | st.text(min_size=300))
def test_any_text_is_a_duration_or_refused_in_one_short_line(text):
    try:
        message = str(parse_duration(text))
    except ValueError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    assert len(message) < 200
