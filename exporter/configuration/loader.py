"""Loading: a flag wins over the environment, which wins over the file, which wins over the defaults."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from exporter.configuration.faults import unknown_key
from exporter.configuration.settings import (
    ENVIRONMENT_PREFIX,
    KEYS,
    SECTIONS,
    SETTINGS,
    assemble,
    environment_name,
    flatten,
)
from exporter.configuration.yamlfile import read_yaml_file
from exporter.domain.config import Config
from exporter.domain.duration import format_duration
from exporter.domain.errors import Fault, Invalid, below, closest

NEARLY = 0.8
"""An unknown variable that is at least so like one of ours is taken for a slip; others are somebody else's."""

_RISING = ("thresholds.warning_after", "thresholds.offline_after", "thresholds.forget_after")

Stated = tuple[str, Any, str]
"""A dotted key, the value that a source states for it, and the source where it is not the file."""


def load(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]) -> Config:
    """The configuration from a file (None: no file), the environment and flags (by dotted key).

    Raises Invalid with every fault that there is, also in values that a stronger source overrules.
    """
    faults = _misspelt(environ)
    settings: dict[str, Any] = {}
    failed = set()
    for key, value, origin in (*_in_file(path, faults), *_in_environment(environ), *_in_flags(flags)):
        setting = SETTINGS[key]
        try:
            settings[key] = setting.parse(setting.written(value) if origin else value)
        except Invalid as error:
            failed.add(key)
            faults += [Fault(fault.field, fault.message + origin) for fault in below(key, error.faults)]
    config = assemble(settings)
    faults += _contradictions(config, skip=failed)
    if faults:
        raise Invalid(faults)
    return config


def refused_at_reload(old: Config, new: Config) -> list[Fault]:
    """The settings that differ and that only a restart changes; where there is one, the reload is refused whole."""
    before, after = flatten(old), flatten(new)
    return [
        Fault(key, "changed, and only a restart changes it: restart the registry, or put it back")
        for key, setting in SETTINGS.items()
        if setting.restart and before[key] != after[key]
    ]


def _in_file(path: Path | None, faults: list[Fault]) -> Iterator[Stated]:
    try:
        document = None if path is None else read_yaml_file(str(path))
    except Invalid as error:
        faults += error.faults
        return
    if not isinstance(document, dict | None):
        faults.append(Fault("", f"expected keys such as {KEYS[0].partition('.')[0]}: and store:, got something else"))
        return
    known = (*SECTIONS, *KEYS)
    for name, content in (document or {}).items():
        if name in KEYS:
            yield name, content, ""
        elif name not in SECTIONS:
            faults.append(unknown_key("", name, known))
        elif isinstance(content, dict):
            for inner, value in content.items():
                if f"{name}.{inner}" in KEYS:
                    yield f"{name}.{inner}", value, ""
                else:
                    faults.append(unknown_key(name, inner, known))
        elif content is not None:
            # Not shown: `event_bus: redis://...` is an easy slip, and the URL may hold a password.
            inner = next(key for key in KEYS if key.startswith(f"{name}.")).partition(".")[2]
            faults.append(Fault(name, f"expected keys such as {inner}: under it, got something else"))


def _in_environment(environ: Mapping[str, str]) -> Iterator[Stated]:
    for key in KEYS:
        if (name := environment_name(key)) in environ:
            yield key, environ[name], f" (from {name})"


def _in_flags(flags: Mapping[str, str]) -> Iterator[Stated]:
    for key, written in flags.items():
        yield key, written, " (from its flag)"


def _misspelt(environ: Mapping[str, str]) -> list[Fault]:
    names = [environment_name(key) for key in KEYS]
    bare = {name.removeprefix(ENVIRONMENT_PREFIX): name for name in names}
    faults = []
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in names:
            close = closest(name.removeprefix(ENVIRONMENT_PREFIX), bare, NEARLY)
            if close:
                faults.append(Fault(name, f"unknown variable; did you mean {bare[close]}?"))
    return faults


def _contradictions(config: Config, skip: Collection[str]) -> list[Fault]:
    """Contradictions between settings that are each right, except those to `skip`."""
    return [fault for keys, fault in _between_settings(config) if not set(keys) & set(skip)]


def _between_settings(config: Config) -> Iterator[tuple[tuple[str, ...], Fault]]:
    settings = flatten(config)
    for earlier, later in pairwise(_RISING):
        if settings[earlier] >= settings[later]:
            limit, got = format_duration(settings[earlier]), format_duration(settings[later])
            yield (earlier, later), Fault(later, f"expected more than {earlier} ({limit}), got {got}")
