"""How often the mesh is judged for those who ask."""

from __future__ import annotations

import asyncio

import pytest

from exporter.api import verdict
from exporter.api.verdict import Verdicts


@pytest.fixture
def judged(monkeypatch):
    """Notes each look at the mesh."""
    looks = []
    look = verdict.verdict_of

    async def counted(service):
        looks.append(1)
        await asyncio.sleep(0)
        return await look(service)

    monkeypatch.setattr(verdict, "verdict_of", counted)
    return looks


async def ask(verdicts: Verdicts) -> None:
    """A hundred at the same time, and then one more."""
    await asyncio.gather(*(verdicts.get() for _ in range(100)))
    await verdicts.get()


def test_who_asks_at_the_same_time_shares_a_look(judged, service, monkeypatch):
    """Of a small mesh, a later caller gets a new one."""
    monkeypatch.setattr(verdict, "LARGE", 1_000_000)
    asyncio.run(ask(Verdicts(service)))
    assert len(judged) == 2


def test_the_verdict_on_a_large_mesh_is_kept_for_a_moment(judged, service, monkeypatch):
    """However many ask for it."""
    monkeypatch.setattr(verdict, "LARGE", 0)
    monkeypatch.setattr(verdict, "KEPT", 1e9)
    asyncio.run(ask(Verdicts(service)))
    assert len(judged) == 1
