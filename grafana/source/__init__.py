"""The dashboards as code; `python -m grafana.source` writes grafana/dashboards/ from it.

Built with Grafana's own foundation SDK, so that what is misspelt does not build. One module a dashboard; they share
`promql` (expressions), `look` (colours, mappings, thresholds), `ask` (queries), `charts` and `panels` (one function a
kind of panel, over time and of one moment) and `page` (variables, links, the grid).
"""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.source import gpu, mesh, node, registry, topology


def dashboards() -> dict[str, str]:
    """The text of each dashboard, by its file's name in grafana/dashboards/."""
    pages = {
        "mesh.json": mesh.page(),
        "node.json": node.page(),
        "gpu.json": gpu.page(),
        "topology.json": topology.page(),
        "registry.json": registry.page(),
    }
    return {
        name: json.dumps(page, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n" for name, page in pages.items()
    }
