"""`python -m grafana.source`: write grafana/dashboards/."""

from __future__ import annotations

from pathlib import Path

from grafana.source import dashboards

DIRECTORY = Path(__file__).resolve().parents[1] / "dashboards"


def main() -> None:
    """Write every dashboard, and remove files of dashboards that are gone."""
    DIRECTORY.mkdir(exist_ok=True)
    texts = dashboards()
    for path in DIRECTORY.glob("*.json"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
