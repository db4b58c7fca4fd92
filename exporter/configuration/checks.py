"""What must hold between settings, and what is named already but not available yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise

from exporter.configuration.keys import flatten
from exporter.configuration.settings import SETTINGS
from exporter.domain.config import Config
from exporter.domain.duration import format_duration
from exporter.domain.errors import Fault

NOT_YET = "not available in this version yet: leave it empty"
_RISING = ("thresholds.warning_after", "thresholds.offline_after", "thresholds.forget_after")


def check(config: Config, skip: Collection[str]) -> list[Fault]:
    """Every fault of a configuration whose settings are right one by one, but for those to `skip`."""
    return [fault for keys, fault in _faults(config) if not set(keys) & set(skip)]


def _faults(config: Config) -> Iterator[tuple[tuple[str, ...], Fault]]:
    settings, defaults = flatten(config), flatten(Config())
    for earlier, later in pairwise(_RISING):
        if settings[earlier] >= settings[later]:
            limit, got = format_duration(settings[earlier]), format_duration(settings[later])
            yield (earlier, later), Fault(later, f"expected more than {earlier} ({limit}), got {got}")
    for key, setting in SETTINGS.items():
        if setting.later and settings[key] != defaults[key]:
            yield (key,), Fault(key, NOT_YET)
