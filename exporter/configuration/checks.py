"""What must hold between settings."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise

from exporter.configuration.keys import flatten
from exporter.domain.config import Config
from exporter.domain.duration import format_duration
from exporter.domain.errors import Fault

_RISING = ("thresholds.warning_after", "thresholds.offline_after", "thresholds.forget_after")


def check(config: Config, skip: Collection[str]) -> list[Fault]:
    """Every fault of a configuration whose settings are right one by one, but for those to `skip`."""
    return [fault for keys, fault in _faults(config) if not set(keys) & set(skip)]


def _faults(config: Config) -> Iterator[tuple[tuple[str, ...], Fault]]:
    settings = flatten(config)
    for earlier, later in pairwise(_RISING):
        if settings[earlier] >= settings[later]:
            limit, got = format_duration(settings[earlier]), format_duration(settings[later])
            yield (earlier, later), Fault(later, f"expected more than {earlier} ({limit}), got {got}")
