"""What is printed before the first event: which time runs, where everything is, and what to ask."""

from __future__ import annotations

from urllib.parse import quote

from demo.files import Times
from demo.stack import USUAL_PORTS, Stack
from exporter.domain.config import Config

GRAPH = "sum by (status) (aurora_node_status)"
_CLI = ".venv/bin/aurora-cli"
_DEFAULT_REGISTRY = "http://127.0.0.1:9999"


def speed_text(times: Times) -> str:
    """Which time runs here, and what it makes of the thresholds."""
    if times.speed == 1:
        return "Time runs as in production: a node is offline after five minutes."
    thresholds = Config().thresholds
    return (
        f"Time runs {times.speed:g} times as fast as in production; nothing else is changed:\n"
        f"  a heartbeat every {times.of(thresholds.heartbeat_interval)}, warning after"
        f" {times.of(thresholds.warning_after)}, offline after {times.of(thresholds.offline_after)}.\n"
        f"  Prometheus scrapes every {times.scrape}.\n"
        "  The texts of alerts name production's minutes."
    )


def port_text(stack: Stack) -> str:
    """Which of the usual ports somebody else has; empty if none."""
    taken = [
        f"  Port {usual} is taken by another program, so the demo's {name} is on {stack.ports[name]}.\n"
        for name, usual in USUAL_PORTS.items()
        if stack.ports[name] != usual
    ]
    return "".join(taken)


def where_text(stack: Stack, *, kept: bool) -> str:
    """Addresses, questions, dashboards, files."""
    graph = f"{stack.prometheus_url}/graph?g0.expr={quote(GRAPH)}&g0.tab=0&g0.stacked=1&g0.range_input=10m"
    registry = "" if stack.registry_url == _DEFAULT_REGISTRY else f" --registry {stack.registry_url}"
    return f"""\
Look:
  status page   {stack.registry_url}/  (live, with the alerts that fire)
  metrics       {stack.registry_url}/metrics
  Prometheus    {stack.prometheus_url}/alerts
  a graph       {graph}
  Alertmanager  {stack.alertmanager_url}/#/alerts?inhibited=true
                (without its web page: amtool alert --inhibited --alertmanager.url={stack.alertmanager_url})
Ask, from another terminal:
  {_CLI} nodes{registry}
  {_CLI} digest --since 10m{registry}
Dashboards, with a Grafana of your own: grafana/provisioning and
  grafana/dashboards; its data source is {stack.prometheus_url}
Logs, configuration and data: {stack.directory}
  ({"they stay" if kept else "removed at the end"})
End it with Ctrl-C.

What is printed: "event" is what the simulator does to the mesh, "mesh" how the
registry counts it, "alert" an alert in Prometheus, "suppr." nodes that
their site's alert stands for, and "sent" each message to a receiver.
"""
