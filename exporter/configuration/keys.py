"""The dotted keys of the configuration, as the dataclasses of `exporter.domain.config` have them, and their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from exporter.domain.config import Config

ENVIRONMENT_PREFIX = "AURORA_"


def flatten(config: Config) -> dict[str, Any]:
    """Every setting by its dotted key (`web.listen_address`, `store`), in the order of `config.yaml`."""
    settings = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                settings[f"{field.name}.{inner.name}"] = getattr(value, inner.name)
        else:
            settings[field.name] = value
    return settings


def assemble(settings: Mapping[str, Any]) -> Config:
    """The configuration with these settings, by dotted key; all others are the defaults."""
    config = Config()
    grouped: dict[str, dict[str, Any]] = {}
    plain: dict[str, Any] = {}
    for key, value in settings.items():
        section, dot, name = key.partition(".")
        if dot:
            grouped.setdefault(section, {})[name] = value
        else:
            plain[key] = value
    changed = {section: dataclasses.replace(getattr(config, section), **values) for section, values in grouped.items()}
    return dataclasses.replace(config, **plain, **changed)


KEYS = tuple(flatten(Config()))
SECTIONS = tuple(dict.fromkeys(key.partition(".")[0] for key in KEYS if "." in key))


def environment_name(key: str) -> str:
    """The variable that sets a key: `web.listen_address` is `AURORA_WEB_LISTEN_ADDRESS`; a last `.url` is left out."""
    return ENVIRONMENT_PREFIX + key.removesuffix(".url").replace(".", "_").upper()
