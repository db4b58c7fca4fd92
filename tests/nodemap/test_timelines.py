"""Mesh time goes on from what the store has, within what stores take."""

from __future__ import annotations

import pytest

from exporter.domain.duration import DAY
from exporter.domain.recordchecks import MAX_TIME_NS
from exporter.nodemap.timelines import MeshTime


@pytest.mark.parametrize("follow", [MeshTime.restart, MeshTime.advance])
@pytest.mark.parametrize("far_ns", [MAX_TIME_NS - 1, MAX_TIME_NS, 10**19])
def test_a_time_that_is_far_ahead_leaves_room_for_what_follows(follow, far_ns):
    """Else every stamp from then on would be one that no store takes."""
    mesh_time = MeshTime(1_000, 5_000)
    follow(mesh_time, 2_000, far_ns)
    assert 6_000 < mesh_time.at(2_000) < mesh_time.at(2_000 + 3650 * DAY) < MAX_TIME_NS


def test_it_follows_who_is_ahead_and_never_goes_back():
    mesh_time = MeshTime(1_000, 5_000)
    mesh_time.advance(2_000, 9_000)
    mesh_time.advance(3_000, 9_500)
    assert (mesh_time.at(2_000), mesh_time.local(9_000)) == (9_000, 2_000)
