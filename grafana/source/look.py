"""How things look, and what colours mean: green, amber and red are status, and nothing else uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    DynamicConfigValue,
    FieldColorModeId,
    MatcherConfig,
    RangeMap,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

from exporter.domain.clock import SECOND
from exporter.domain.config import Config

GOOD, SUSPICIOUS, BAD = "green", "orange", "red"
HELD = "purple"
"""What is frozen because no registry receives it."""
PLANNED = "blue"
"""What people or nodes themselves announced."""
PLAIN = "text"
AMOUNT = "light-blue"
"""Quantities, which are neither good nor bad."""
OTHER_AMOUNT = "purple"
"""A second quantity beside the first."""
FAINT = "dark-blue"
CALM = "#4a5563"
"""What is as it should be, beside states that matter more."""

STATUS_COLOURS = {"active": GOOD, "warning": SUSPICIOUS, "offline": BAD}
STATUS_CODES = {"active": 1, "warning": 2, "offline": 3}
"""How a status is drawn over time; the worse the higher."""
LIFECYCLE_CODES = {"in_service": 11, "draining": 12, "maintenance": 13}
HELD_CODES = {"no": 20, "yes": 21}

UNKNOWN = "–"
"""What a panel or a cell without a value shows."""

WARNING_AFTER = Config().thresholds.warning_after / SECOND
OFFLINE_AFTER = Config().thresholds.offline_after / SECOND
"""Seconds without heartbeats, as config.yaml has them."""


def mapping(options: Mapping[Any, tuple[str, str]]) -> ValueMap:
    """Values shown as text in a colour."""
    return ValueMap(
        {
            f"{value}": ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(options.items())
        }
    )


def below_zero(text: str, colour: str) -> RangeMap:
    """Negative values shown as text in a colour."""
    return RangeMap(
        DashboardRangeMapOptions(from_val=None, to=0, result=ValueMappingResult(text=text, color=colour, index=0))
    )


def matcher(kind: str, options: object) -> MatcherConfig:
    """Which fields an override is for: `byName`, `byType`, `byRegexp`."""
    return MatcherConfig(kind, options)


HOT = 87
"""Degrees Celsius, as AuroraNodeGpuHot has it."""
DASHED = DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]})
"""The property of an override that makes a line dashed."""

STATUS_TEXTS = mapping({status: (status, colour) for status, colour in STATUS_COLOURS.items()})
"""For labels: the word keeps its spelling, and gets its colour."""
STATUS_HISTORY = mapping({STATUS_CODES[status]: (status, colour) for status, colour in STATUS_COLOURS.items()})
LIFECYCLE_LOOK: dict[Any, tuple[str, str]] = {
    LIFECYCLE_CODES["in_service"]: ("in service", CALM),
    LIFECYCLE_CODES["draining"]: ("draining", "light-blue"),
    LIFECYCLE_CODES["maintenance"]: ("maintenance", PLANNED),
}
LIFECYCLE_HISTORY = mapping(LIFECYCLE_LOOK)
LIFECYCLE = mapping({**LIFECYCLE_LOOK, LIFECYCLE_CODES["in_service"]: ("in service", PLAIN)})
HELD_HISTORY = mapping({HELD_CODES["no"]: ("receiving", CALM), HELD_CODES["yes"]: ("frozen", HELD)})
UP = mapping({1: ("up", GOOD), 0: ("down", BAD)})


def steps(base: str, *above: tuple[float, str]) -> ThresholdsConfig:
    """A colour from each value up."""
    return (
        ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(None, base), *(Threshold(value, colour) for value, colour in above)])
    )


HEARTBEAT_AGE = steps(GOOD, (WARNING_AFTER, SUSPICIOUS), (OFFLINE_AFTER, BAD))


def shades(colour: str) -> FieldColor:
    """Series that differ by brightness: many of one kind."""
    return FieldColor().mode(FieldColorModeId.SHADES).fixed_color(colour)


def by_thresholds() -> FieldColor:
    """The colour of the step that the value has reached."""
    return FieldColor().mode(FieldColorModeId.THRESHOLDS)


def colour(name: str) -> DynamicConfigValue:
    """The property of an override that sets one colour."""
    return DynamicConfigValue("color", {"mode": "fixed", "fixedColor": name})


def unit(name: str, decimals: int | None = None) -> list[DynamicConfigValue]:
    """The properties of an override that set a unit."""
    places = [] if decimals is None else [DynamicConfigValue("decimals", decimals)]
    return [DynamicConfigValue("unit", name), *places]


def mapped(*mappings: ValueMapping) -> list[DynamicConfigValue]:
    """The properties of an override that show a cell as coloured text."""
    return [
        DynamicConfigValue("mappings", list(mappings)),
        DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]


def width(pixels: int) -> DynamicConfigValue:
    """The property of an override that fixes a column's width."""
    return DynamicConfigValue("custom.width", pixels)


def none(text: str) -> DynamicConfigValue:
    """The property of an override that sets the text for a missing value."""
    return DynamicConfigValue("noValue", text)


def links(*targets: Mapping[str, Any]) -> DynamicConfigValue:
    """The property of an override that makes a cell a link."""
    return DynamicConfigValue("links", list(targets))


def status_overrides() -> dict[str, list[DynamicConfigValue]]:
    """Fields that are named by a status, in its colour."""
    return {status: [colour(name)] for status, name in STATUS_COLOURS.items()}
