"""The rule files by name."""

from __future__ import annotations

from exporter.alerting.meshalerts import mesh, recording
from exporter.alerting.nodealerts import nodes
from exporter.alerting.parameters import RuleParameters
from exporter.alerting.registryalerts import registry


def rule_files(parameters: RuleParameters) -> dict[str, str]:
    """The text of each rule file, by its name in `alerts/`."""
    return {
        "nodes.rules.yml": nodes(parameters),
        "mesh.rules.yml": mesh(parameters),
        "registry.rules.yml": registry(parameters),
        "recording.rules.yml": recording(parameters),
    }
