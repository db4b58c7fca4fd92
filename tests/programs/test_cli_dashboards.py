"""`aurora-cli dashboards` writes what the package carries for Grafana."""

from __future__ import annotations

from pathlib import Path

GRAFANA = Path(__file__).parents[2] / "grafana"
SHIPPED = {
    str(path.relative_to(GRAFANA)): path.read_bytes()
    for kind in ("dashboards/*.json", "provisioning/*/*.yml")
    for path in GRAFANA.glob(kind)
}


def test_every_dashboard_and_its_provisioning_is_written(cli, registry, tmp_path):
    """Byte for byte, each path said; nobody is asked anything."""
    status, out, err = cli("dashboards", f"--output={tmp_path / 'new'}")
    assert (status, err) == (0, "")
    written = {str(path.relative_to(tmp_path / "new")): path for path in map(Path, out.split())}
    assert {name: path.read_bytes() for name, path in written.items()} == SHIPPED
    assert len(SHIPPED) >= len(("mesh", "node", "gpu", "topology", "registry", "data source", "provider"))
    assert registry.requests == []


def test_nothing_is_overwritten_unasked(cli, tmp_path):
    """One file in the way, and none is written; --force writes all."""
    mine = tmp_path / "dashboards" / "mesh.json"
    mine.parent.mkdir()
    mine.write_text("mine")
    status, out, err = cli("dashboards", f"--output={tmp_path}")
    assert (status, out) == (1, "")
    assert "would be overwritten: name another --output, or say --force" in " ".join(err.split())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert cli("dashboards", f"--output={tmp_path}", "--force")[0] == 0
    assert mine.read_bytes() == SHIPPED["dashboards/mesh.json"]
