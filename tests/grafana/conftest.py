"""The dashboards as they are committed, and what they show of a real mesh, which is played once for all who look."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.dashboard_faults import NEVER_FOUND, empty_twin
from tests.support.dashboard_live import record, save
from tests.support.dashboard_model import Json, loads
from tests.support.dashboard_names import known_labels

DIRECTORY = Path(__file__).resolve().parents[2] / "grafana" / "dashboards"


@pytest.fixture(scope="session")
def dashboards() -> dict[str, Json]:
    """Every dashboard, by its uid."""
    read = [loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("*.json"))]
    return {dashboard["uid"]: dashboard for dashboard in read}


@pytest.fixture(scope="session")
def known() -> dict[str, frozenset[str]]:
    """The labels of every metric that there is."""
    return known_labels()


@pytest.fixture(scope="session")
def recording(dashboards: dict[str, Json], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `dashboard_live.record` keeps, with one more dashboard that queries what does not exist.

    Several workers of pytest share it; AURORA_DASHBOARD_RESULTS names a file to write it to.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    path = shared / "dashboards-recording.json"
    with (shared / "dashboards-recording.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            twin = empty_twin(dashboards["aurora-mesh"])
            assert twin["uid"] == NEVER_FOUND
            save(record(tmp_path_factory.mktemp("mesh"), [*dashboards.values(), twin]), path)
    found: dict[str, Any] = json.loads(path.read_text())
    if wanted := os.environ.get("AURORA_DASHBOARD_RESULTS"):
        save(found, Path(wanted))
    return found
