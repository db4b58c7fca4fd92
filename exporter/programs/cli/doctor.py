"""`aurora-cli doctor`: the whole way from heartbeat to message, looked at link by link."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from exporter.programs.cli.alertmanagerchecks import check_alertmanager
from exporter.programs.cli.findings import Finding
from exporter.programs.cli.httpendpoint import HttpEndpoint
from exporter.programs.cli.prometheuschecks import check_prometheus
from exporter.programs.cli.registrychecks import check_registry
from exporter.programs.cli.terminal import Terminal
from exporter.programs.cli.wrap import hanging

LEFT = len("warning  ")


def examine(arguments: Namespace) -> Iterator[Finding]:
    """Each finding as soon as it is made."""
    registry = HttpEndpoint(arguments.registry, arguments.timeout_ns)
    yield from check_registry(registry, arguments.metrics_path, arguments.event_bus, arguments.channel)
    if arguments.prometheus:
        yield from check_prometheus(HttpEndpoint(arguments.prometheus, arguments.timeout_ns))
    if arguments.alertmanager:
        alertmanager = HttpEndpoint(arguments.alertmanager, arguments.timeout_ns)
        yield from check_alertmanager(alertmanager, arguments.severity, arguments.hold_ns)


def report(finding: Finding, terminal: Terminal) -> Iterator[str]:
    """The finding in a line or a few of at most 80 columns, its state first."""
    text = f"{finding.check}: {finding.told}" + (f". {finding.next}" if finding.next else "")
    narrower = Terminal(width=terminal.prose_width - LEFT + 2)
    first, *further = (line[2:] for line in hanging(text, narrower))
    yield f"{terminal.status(finding.state.ljust(LEFT - 2))}  {first}"
    for line in further:
        yield f"{'':{LEFT}}{line.strip()}"
