from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.text import address_fault, has_surrogate, is_name, shown, text_fault


@pytest.mark.parametrize("text", ["a", "vengeance", "runpod-tx", "gpu_01.site-b", "7", "A" * 63])
def test_a_name_is_letters_digits_and_marks_inside(text):
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "_a", "a.", "a b", "a\n", "n\u00f6", "\u0661", "__name__", "A" * 64])
def test_anything_else_is_no_name(text):
    assert not is_name(text)


@pytest.mark.parametrize("text", ["", "RTX 4090", 'say "hi" \\ {x="y"}', "gr\u00fc\u00df \U0001f680", "x" * 256])
def test_text_that_people_can_read_has_no_fault(text):
    assert text_fault(text) is None


@pytest.mark.parametrize(
    "character", ["\0", "\n", "\r", "\t", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\u2069", "\ud800"]
)
def test_text_that_could_deceive_is_refused(character):
    """Controls, line separators, bidi overrides and isolates, and lone surrogates: shown escaped."""
    fault = text_fault(f"a{character}b")

    assert fault == f"expected no control, bidi-override or surrogate characters, got {character!a}"


def test_text_of_more_than_256_characters_is_refused():
    assert text_fault("x" * 257) == "expected at most 256 characters, got 257"


@given(st.text())
def test_accepted_text_is_one_line_that_can_be_encoded(text):
    if text_fault(text) is None:
        assert text.encode().decode() == text
        assert len(text.splitlines()) <= 1


@given(st.text(st.characters()))
def test_a_surrogate_is_what_utf8_cannot_encode(text):
    assert has_surrogate(text) == (text.encode(errors="ignore").decode() != text)


@pytest.mark.parametrize("text", ["10.0.0.4", "::1", "fd00::4", "::ffff:10.0.0.4"])
def test_an_address_has_no_fault(text):
    assert address_fault(text) is None


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.04", "10.0.0.4/8", "[::1]", "example.org", "10.0.0.4:80"])
def test_what_is_no_address_is_refused(text):
    assert address_fault(text) == f"expected an IP address or 'dynamic', got {text!r}"


def test_an_address_with_a_zone_is_refused():
    """A zone names an interface of one host and means nothing to another."""
    assert address_fault("fe80::1%eth0") == "expected an IP address without a zone, got 'fe80::1%eth0'"


@given(st.text(st.characters()) | st.integers() | st.lists(st.text()))
def test_a_refused_value_is_shown_in_one_short_line_of_ascii(value):
    text = shown(value)

    assert len(text) <= 90
    assert text.isascii()
    assert text.isprintable()
