"""The checks in their order, and how their findings are written."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict, replace

from exporter.client.credentials import Credentials
from exporter.programs.cli.context import Context
from exporter.programs.cli.doctor.alertmanager import TestAlert, check_alertmanager
from exporter.programs.cli.doctor.endpoint import Finding, HttpEndpoint
from exporter.programs.cli.doctor.prometheus import Sending, check_prometheus
from exporter.programs.cli.doctor.registry import check_bus, check_registry
from exporter.programs.cli.terminal import Terminal
from exporter.programs.cli.wrap import hanging

LEFT = len("not checked  ")
PAGES = "critical"


def diagnose(context: Context) -> int:
    """Print each finding as soon as it is made; the exit status."""
    findings = []
    for finding in examine(context.arguments, context.credentials):
        findings.append(finding)
        if not context.arguments.json:
            for line in report(finding, context.terminal):
                print(line, flush=True)
    fine = all(finding.state != "wrong" for finding in findings)
    if context.arguments.json:
        checks = [asdict(finding) for finding in findings]
        context.show_json({"status": "ok" if fine else "wrong", "checks": checks})
    return 0 if fine else 1


def examine(arguments: Namespace, credentials: Credentials) -> Iterator[Finding]:
    """Each finding as soon as it is made."""
    registry = HttpEndpoint(arguments.registry, arguments.timeout_ns, credentials)
    yield from check_registry(registry, arguments.metrics_path)
    if arguments.event_bus:
        yield check_bus(registry, arguments.metrics_path, arguments.event_bus, arguments.channel)
    # The token is the registry's business; the certificates may be everybody's.
    others = replace(credentials, token="")
    sending = Sending()
    if arguments.prometheus:
        prometheus = HttpEndpoint(arguments.prometheus, arguments.timeout_ns, others)
        yield from prometheus.findings("Prometheus", "--prometheus", check_prometheus(prometheus, sending))
    else:
        yield Finding("not checked", "Prometheus", "whether it scrapes and has the rules", "Name it: --prometheus URL.")
    urls = [arguments.alertmanager] if arguments.alertmanager else sending.alertmanagers
    if not urls:
        next_step = "Name it: --alertmanager URL, or --prometheus URL, which knows it."
        yield Finding("not checked", "Alertmanager", "whether alerts arrive, and where they go", next_step)
    test = _test_alert(arguments)
    for url in urls:
        alertmanager = HttpEndpoint(url, arguments.timeout_ns, others)
        checks = check_alertmanager(alertmanager, test, watchdog_is_coming=sending.watchdog_is_coming)
        yield from alertmanager.findings("Alertmanager", "--alertmanager", checks)
    if test is None and urls:
        next_step = "--send lets a real message arrive; --alertmanager URL shows the route alone."
        yield Finding("not checked", "test alert", "where an alert goes, and whether its message arrives", next_step)


def _test_alert(arguments: Namespace) -> TestAlert | None:
    """The test alert that was asked for: by naming an Alertmanager, or by --send."""
    if not (arguments.send or arguments.alertmanager):
        return None
    severity = arguments.severity or (PAGES if arguments.send else "info")
    return TestAlert(severity, arguments.hold_ns, send=arguments.send)


def report(finding: Finding, terminal: Terminal) -> Iterator[str]:
    """The finding in a line or a few of at most 80 columns, its state first."""
    text = f"{finding.check}: {finding.text}" + (f". {finding.next}" if finding.next else "")
    narrower = Terminal(width=terminal.wrap_width - LEFT + 2)
    first, *further = (line[2:] for line in hanging(text, narrower))
    yield f"{terminal.status(finding.state.ljust(LEFT - 2))}  {first}"
    for line in further:
        yield f"{'':{LEFT}}{line.strip()}"
