"""`aurora-cli rules`: the rule files for a configuration."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from exporter.alerting.files import rule_files
from exporter.alerting.setting import Setting
from exporter.configuration.loader import load
from exporter.domain.errors import Invalid
from exporter.programs.cli.failures import Failure


def write_rules(arguments: Namespace) -> Iterator[str]:
    """Write every rule file, or none; the paths of those that were written.

    Raises Failure where the configuration is refused, or a file that is there already would be lost.
    """
    try:
        config = load(arguments.config_file, os.environ, {})
    except Invalid as error:
        faults = "; ".join(map(str, error.faults))
        raise Failure(f"the configuration is refused: {faults}") from None
    setting = Setting.of(config, min_active_vram_gb=arguments.min_active_vram_gb)
    directory: Path = arguments.output
    files = {directory / name: text for name, text in rule_files(setting).items()}
    there = [str(path) for path in files if path.exists()]
    if there and not arguments.force:
        raise Failure(f"{', '.join(there)} would be overwritten: name another --output, or say --force")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
            yield str(path)
    except OSError as error:
        raise Failure(f"cannot write {error.filename}: {error.strerror}") from None
