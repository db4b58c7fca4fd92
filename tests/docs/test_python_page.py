"""The programs of docs/python.md run as they are written, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import REGISTRATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.servers
def test_the_programs_run(tmp_path, capsys):
    """In one namespace, as a reader types them, against the seed's mesh."""
    with RegistryProcess(tmp_path) as registry:
        for registration in REGISTRATIONS.values():
            registry.register(**registration)
        names: dict[str, Any] = {}
        clients = set()
        for program in PROGRAMS:
            exec(program.replace("10.0.0.1:9999", f"127.0.0.1:{registry.port}"), names)
            clients.add(names["registry"])
        for client in clients:
            client.close()
    out = capsys.readouterr().out
    assert "4 nodes are active\n" in out
    assert "Found 2 GPU nodes: runpod-tx, vengeance\n" in out
    assert "aurora -> runpod-tx (vpn_mesh)\n" in out
    assert "vengeance: 1x RTX 4090 at 10.0.0.4\n" in out
    assert "'http://10.0.0.1:8000', 'http://10.0.0.3:8000'" in out
    assert "a heartbeat every 30.0 s is expected\n" in out
    assert "404 no node is registered as 'nobody'" in out
    assert names["roomiest"] == "runpod-tx"


def test_a_use_case_is_a_few_lines():
    assert len(PROGRAMS) > 8
    assert max(len(program.splitlines()) for program in PROGRAMS) <= 6
