from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.clock import SECOND
from exporter.domain.timestamp import format_timestamp, parse_timestamp

NOON = 1_759_752_005


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2025-10-06T12:00:05Z", NOON * SECOND),
        ("2025-10-06T12:00:05z", NOON * SECOND),
        ("2025-10-06t12:00:05z", NOON * SECOND),
        ("2025-10-06T14:00:05+02:00", NOON * SECOND),
        ("2025-10-06 12:00:05.25Z", NOON * SECOND + SECOND // 4),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.5Z", -SECOND // 2),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * SECOND),
        ("2016-12-31 15:59:60.5-08:00", 1_483_228_800 * SECOND + SECOND // 2),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200 * SECOND),
    ],
)
def test_a_time_with_its_offset_is_read(text, ns):
    assert parse_timestamp(text) == ns


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2025-13-06T12:00:05Z", "1759752005", "2025-10-06T12:00:05+25:00", "2025-10-06T12:00:60Z"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"^expected a time such as 2025-10-06T12:00:05Z, got "):
        parse_timestamp(text)


def test_a_time_without_an_offset_is_refused():
    """It would mean another moment in each time zone."""
    with pytest.raises(ValueError, match="with its Z or offset, got '2025-10-06T12:00:05'"):
        parse_timestamp("2025-10-06T12:00:05")


def test_a_time_is_written_in_utc_and_rounded_down():
    assert format_timestamp(NOON * SECOND + SECOND - 1) == "2025-10-06T12:00:05Z"


@given(st.integers(min_value=-62_135_596_800, max_value=253_402_300_799))
def test_what_is_written_is_read_back(seconds):
    assert parse_timestamp(format_timestamp(seconds * SECOND)) == seconds * SECOND


@given(st.text() | st.text(min_size=300) | st.datetimes(timezones=st.timezones()).map(lambda when: when.isoformat()))
def test_any_text_is_a_time_or_refused_in_one_short_line(text):
    try:
        message = str(parse_timestamp(text))
    except ValueError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    assert len(message) < 200
