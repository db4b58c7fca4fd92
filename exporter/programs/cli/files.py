"""`aurora-cli files`, `rules` and `dashboards`: all that the package carries, written out."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import exporter
from exporter.domain.errors import Invalid
from exporter.programs.cli.context import Context
from exporter.programs.cli.failures import Failure
from exporter.programs.cli.terminal import escape_control

_PACKAGE = Path(exporter.__file__).parent
PLACES = (_PACKAGE / "data", _PACKAGE.parent)
"""Inside the package once it is installed, beside it in a checkout."""
PARTS = {
    "rules": "alerts/*.rules.yml",
    "dashboards": "grafana/dashboards/*.json",
    "provisioning": "grafana/provisioning/*/*.yml",
    "runbooks": "alerts/runbooks/*.md",
    "alertmanager": "alerts/alertmanager.yml",
    "prometheus": "alerts/prometheus.yml",
    "config": "config.yaml",
}
"""The groups of files, and the files of each."""
INSTALL = "pip install 'aurora-node-registry[registry]'"


def write_files(context: Context) -> None:
    """Write the parts that were asked for, or all."""
    parts = context.arguments.parts or list(PARTS)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise Failure(f"there is no part {escape_control(unknown[0])}: there are {', '.join(PARTS)}", exit_status=2)
    texts = {name: text for part in parts for name, text in carried(part).items()}
    if context.arguments.list_only:
        _say(context, sorted(texts))
    else:
        _write(context, texts)


def write_dashboards(context: Context) -> None:
    """Write Grafana's dashboards, and the provisioning that finds them."""
    texts = {**carried("dashboards"), **carried("provisioning")}
    _write(context, {name.removeprefix("grafana/"): text for name, text in texts.items()})


def write_rules(context: Context) -> None:
    """Write the rule files for a configuration: that of a file, or the defaults with what the environment says."""
    try:
        from exporter.alerting.files import rule_files  # noqa: PLC0415 - what follows needs more than the CLI
        from exporter.alerting.parameters import RuleParameters  # noqa: PLC0415
        from exporter.configuration.loader import load  # noqa: PLC0415
    except ImportError as error:
        raise Failure(f"reading a configuration needs {error.name}: {INSTALL}") from None
    try:
        config = load(context.arguments.config_file, os.environ, {})
    except Invalid as error:
        faults = "; ".join(map(str, error.faults))
        raise Failure(f"the configuration is refused: {faults}") from None
    setting = RuleParameters.of(config, min_active_vram_gb=context.arguments.min_active_vram_gb)
    _write(context, rule_files(setting))


def carried(part: str) -> dict[str, str]:
    """The texts of a part by their paths; Failure where the package is not whole."""
    for place in PLACES:
        paths = sorted(place.glob(PARTS[part]))
        if paths:
            return {str(path.relative_to(place)): path.read_text(encoding="utf-8") for path in paths}
    raise Failure(f"this installation carries no {part}: install aurora-node-registry again")


def write_all(directory: Path, texts: Mapping[str, str], *, force: bool, secret: Collection[str] = ()) -> Iterator[str]:
    """Write each text under its name (which may have folders) in the directory; the paths as they are written.

    Only their owner may read those whose names are `secret`. Raises Failure, before anything is written, where a file
    that is there already would be lost and `force` is not given; and where the system refuses to write.
    """
    files = {directory / name: text for name, text in texts.items()}
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise Failure(f"{', '.join(there)} would be overwritten: name another --output, or say --force")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if str(path.relative_to(directory)) in secret:
                path.touch(mode=0o600)
                path.chmod(0o600)
            path.write_text(text, encoding="utf-8")
            yield str(path)
    except OSError as error:
        raise Failure(f"cannot write {error.filename}: {error.strerror}") from None


def _write(context: Context, texts: Mapping[str, str]) -> None:
    _say(context, write_all(context.arguments.output, texts, force=context.arguments.force))


def _say(context: Context, paths: Iterator[str] | list[str]) -> None:
    if context.arguments.json:
        context.show_json({"files": list(paths)})
    else:
        context.show(map(escape_control, paths))
