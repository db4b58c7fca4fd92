"""`aurora-cli rules`: the rule files for a configuration."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator

from exporter.alerting.files import rule_files
from exporter.alerting.setting import Setting
from exporter.configuration.loader import load
from exporter.domain.errors import Invalid
from exporter.programs.cli.failures import Failure
from exporter.programs.cli.writing import write_all


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
    yield from write_all(arguments.output, rule_files(setting), force=arguments.force)
