"""How often the mesh is judged for those who ask."""

from __future__ import annotations

import asyncio

import pytest

from exporter.api import meshhealth
from exporter.api.meshhealth import SharedMeshHealth


@pytest.fixture
def judged(monkeypatch):
    """Notes each look at the mesh."""
    looks = []
    look = meshhealth.mesh_health

    async def counted(service):
        looks.append(1)
        await asyncio.sleep(0)
        return await look(service)

    monkeypatch.setattr(meshhealth, "mesh_health", counted)
    return looks


async def ask(shared: SharedMeshHealth) -> None:
    """A hundred at the same time, and then one more."""
    await asyncio.gather(*(shared.get() for _ in range(100)))
    await shared.get()


def test_who_asks_at_the_same_time_shares_a_look(judged, service, monkeypatch):
    """Of a small mesh, a later caller gets a new one."""
    monkeypatch.setattr(meshhealth, "LARGE", 1_000_000)
    asyncio.run(ask(SharedMeshHealth(service)))
    assert len(judged) == 2


def test_the_health_of_a_large_mesh_is_kept_for_a_moment(judged, service, monkeypatch):
    """However many ask for it."""
    monkeypatch.setattr(meshhealth, "LARGE", 0)
    monkeypatch.setattr(meshhealth, "KEPT", 1e9)
    asyncio.run(ask(SharedMeshHealth(service)))
    assert len(judged) == 1
