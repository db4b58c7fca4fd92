"""Parts that panels of several kinds have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

Overrides: TypeAlias = Mapping[str, Sequence[DynamicConfigValue]]
"""Properties of fields, by the field's name."""


def legend_below(*calculations: str) -> common.VizLegendOptions:
    """A legend in one line, with these calculations of each series."""
    legend = (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
    )
    return legend.calcs(list(calculations)) if calculations else legend


def override(panel: Any, overrides: Overrides) -> None:
    """Give the fields of these names these properties."""
    for name, properties in overrides.items():
        panel.override_by_name(name, list(properties))
