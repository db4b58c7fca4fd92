"""`aurora-cli doctor`: the whole way from heartbeat to message, looked at link by link."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from exporter.programs.cli.alertmanagerchecks import check_alertmanager
from exporter.programs.cli.asking import Peer
from exporter.programs.cli.findings import Finding
from exporter.programs.cli.prometheuschecks import check_prometheus
from exporter.programs.cli.prose import hanging
from exporter.programs.cli.registrychecks import check_registry
from exporter.programs.cli.terminal import Terminal

LEFT = len("warning  ")


def examine(arguments: Namespace) -> Iterator[Finding]:
    """Each finding as soon as it is made."""
    registry = Peer(arguments.registry, arguments.timeout_ns)
    yield from check_registry(registry, arguments.metrics_path, arguments.event_bus, arguments.channel)
    if arguments.prometheus:
        yield from check_prometheus(Peer(arguments.prometheus, arguments.timeout_ns))
    if arguments.alertmanager:
        alertmanager = Peer(arguments.alertmanager, arguments.timeout_ns)
        yield from check_alertmanager(alertmanager, arguments.severity, arguments.hold_ns)


def report(finding: Finding, terminal: Terminal) -> Iterator[str]:
    """The finding in a line or a few of at most 80 columns, its state first."""
    text = f"{finding.check}: {finding.told}" + (f". {finding.next}" if finding.next else "")
    narrower = Terminal(width=terminal.prose_width - LEFT + 2)
    first, *further = (line[2:] for line in hanging(text, narrower))
    yield f"{terminal.status(finding.state.ljust(LEFT - 2))}  {first}"
    for line in further:
        yield f"{'':{LEFT}}{line.strip()}"
