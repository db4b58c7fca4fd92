"""What nodes state alike is held once, and shows no difference."""

from __future__ import annotations

import msgspec

from exporter.domain import alike
from exporter.domain.alike import LONGEST, OBJECTS, TEXTS, hold_once
from exporter.domain.registration import Registration, parse_registration

MANY = 2 * (TEXTS + OBJECTS)


def registration(name: str, **more: str) -> Registration:
    """As it comes from a node: each time of texts of its own."""
    text = msgspec.json.encode(
        {
            "name": name,
            "role": "storage-server",
            "capabilities": {"gpu_type": "RTX 4090", "gpu_count": 2, "gpu_memory": 48},
            "metadata": {"os": "ubuntu", "environment": "staging", "site": "site-1", **more},
            "agent": {"name": "aurora-agent", "version": "1.2.3"},
        }
    )
    return parse_registration(msgspec.json.decode(text))


def test_equal_parts_are_the_same_objects():
    """Whatever else differs, and what is said stays."""
    first, second = registration("n1"), registration("n2")
    assert first.metadata is not second.metadata
    for each in (first, second):
        hold_once(each)

    assert second == registration("n2")
    for field in ("role", "gpu_type", "os", "environment", "site", "gpu_memory_bytes", "capabilities", "metadata"):
        assert getattr(first, field) is getattr(second, field), field
    assert first.agent is not None
    assert second.agent is not None
    assert first.agent.version is second.agent.version


def test_new_texts_without_end_fill_a_bounded_place():
    for number in range(MANY):
        hold_once(registration("n", site=f"site-{number}"))

    assert alike._object.cache_info().currsize == OBJECTS
    assert alike._text.cache_info().currsize == TEXTS


def test_a_large_object_is_not_remembered():
    before = alike._object.cache_info().misses
    large = registration("n", note="x" * LONGEST)
    hold_once(large)

    assert large == registration("n", note="x" * LONGEST)
    assert alike._object.cache_info().misses - before <= 1, "its capabilities alone"
