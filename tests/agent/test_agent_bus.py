from __future__ import annotations

import pytest

from exporter.agent.bus import BusRegistry


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [("10.0.0.1", [("10.0.0.1", 26379)]), ("[fd00::1],sentinel-2:7", [("fd00::1", 26379), ("sentinel-2", 7)])],
)
def test_sentinels_without_a_port_are_asked_at_their_own(hosts: str, expected: list[tuple[str, int]]) -> None:
    """Whatever they are called; nothing is connected."""
    bus = BusRegistry(f"redis+sentinel://{hosts}/aurora", "aurora:events:global")
    sentinels = bus._client.connection_pool.sentinel_manager.sentinels
    asked = [each.connection_pool.connection_kwargs for each in sentinels]
    assert [(each["host"], each["port"]) for each in asked] == expected
