"""The rule files by name."""

from __future__ import annotations

from exporter.alerting.meshalerts import mesh, recording
from exporter.alerting.nodealerts import nodes
from exporter.alerting.registryalerts import registry
from exporter.alerting.setting import Setting


def rule_files(setting: Setting) -> dict[str, str]:
    """The text of each rule file, by its name in `alerts/`."""
    return {
        "nodes.rules.yml": nodes(setting),
        "mesh.rules.yml": mesh(setting),
        "registry.rules.yml": registry(setting),
        "recording.rules.yml": recording(setting),
    }
