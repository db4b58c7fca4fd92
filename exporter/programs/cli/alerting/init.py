"""Writes the directory that an Alertmanager and a Prometheus start from, and has it checked."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from exporter.client.endpoint import DEFAULT_REGISTRY, Endpoint, parse_endpoint
from exporter.programs.cli.alerting.receivers import Setup, flow, setup_of
from exporter.programs.cli.context import Context
from exporter.programs.cli.doctor.alertmanager import TEST
from exporter.programs.cli.failures import Failure
from exporter.programs.cli.files import carried, write_all

PAGES, NOBODY, WATCHDOG = "pager", "nobody", "watchdog"
SHIPPED_RECEIVERS = {"chat": PAGES, "quiet": NOBODY}
"""Which receiver of ours takes the place of each that the shipped routes name and that we do not write."""
SECRET = frozenset({"alertmanager.yml"})
CHECKS = (("amtool", "check-config", "alertmanager.yml"), ("promtool", "check", "config", "prometheus.yml"))
CHECK_SECONDS = 30
HEAD = """\
# Written by aurora-cli alerting init: one receiver that pages, and a watchdog. Routes and inhibitions are those of
# alerts/alertmanager.yml (aurora-cli files alertmanager). It holds secrets: let nobody else read it.
global: {global_settings}

templates: [aurora.tmpl]

"""
TEST_ROUTE = f"""\
  routes:
    # aurora-cli doctor --send: its message need not wait for others.
    - matchers: [alertname="{TEST}"]
      receiver: {PAGES}
      group_by: [alertname]
      group_wait: 0s
      group_interval: 10s
"""
TEMPLATES = """\
{{ define "aurora.title" -}}
{{ if eq .Status "resolved" }}RESOLVED{{ else }}FIRING{{ end }}: {{ or .CommonAnnotations.summary \
(printf "%d alerts of the mesh" (len .Alerts)) }}
{{- end }}

{{ define "aurora.text" -}}
{{ range .Alerts }}
{{- .Annotations.description }}
{{- if .Labels.node }}
Node: {{ .Labels.node }}{{ if .Labels.role }}, {{ .Labels.role }}{{ end }}{{ end }}
{{- if .Labels.site }}
Site: {{ .Labels.site }}{{ end }}
Since: {{ .StartsAt.UTC.Format "2006-01-02 15:04:05" }} UTC
{{- if eq .Status "resolved" }}
Lasted: {{ (.EndsAt.Sub .StartsAt).Round 1000000000 }}{{ end }}
{{- if .Annotations.runbook_url }}
What to do: {{ .Annotations.runbook_url }}{{ end }}
{{- if .Labels.node }}
Look: REGISTRY/ui/nodes/{{ .Labels.node }}{{ else }}
Look: REGISTRY/{{ end }}

{{ end }}
{{- end }}
"""
_SECTION = re.compile(r"^(?=[A-Za-z_]+:)", re.MULTILINE)


def init(context: Context) -> None:
    """Write all of it, check what can be checked, and say what comes next."""
    arguments = context.arguments
    setup = setup_of(arguments)
    registry = parse_endpoint(arguments.registry)
    directory: Path = arguments.output
    files = {
        "alertmanager.yml": alertmanager_of(setup),
        "aurora.tmpl": TEMPLATES.replace("REGISTRY", registry.url),
        "prometheus.yml": prometheus_of(registry, arguments.alertmanager),
        **{f"rules/{Path(name).name}": text for name, text in carried("rules").items()},
    }
    written = list(write_all(directory, files, force=arguments.force, secret=SECRET))
    notes = [_checked(directory, command) for command in CHECKS]
    if not setup.watchdog:
        notes.append("no --watchdog: when Prometheus or Alertmanager is down, you get no message")
    if arguments.json:
        context.show_json({"files": written, "notes": notes})
        return
    context.show([*written, ""])
    context.show(notes)
    context.show(["", *_next_steps(directory, registry)])


def alertmanager_of(setup: Setup) -> str:
    """The configuration: our receivers, the shipped routes and inhibitions."""
    [shipped] = carried("alertmanager").values()
    sections = {part.partition(":")[0]: part for part in _SECTION.split(shipped)[1:]}
    route = sections["route"]
    for name, here in SHIPPED_RECEIVERS.items():
        route = re.sub(rf"\breceiver: {name}\b", f"receiver: {here}", route)
    route = route.replace("  routes:\n", TEST_ROUTE, 1)
    global_settings = flow({"resolve_timeout": "5m", **setup.mail})
    lines = [
        HEAD.format(global_settings=global_settings) + _trimmed(route),
        "",
        _trimmed(sections["inhibit_rules"]),
        "",
    ]
    lines += ["receivers:", f"  - name: {PAGES}"]
    for key, configs in setup.receivers.items():
        lines.append(f"    {key}:")
        lines += [f"      - {flow(config)}" for config in configs]
    lines += [f"  - name: {NOBODY}", f"  - name: {WATCHDOG}"]
    if setup.watchdog:
        lines += ["    webhook_configs:", f"      - {flow({'url': setup.watchdog, 'send_resolved': False})}"]
    return "\n".join(lines) + "\n"


def prometheus_of(registry: Endpoint, alertmanager: str) -> str:
    """The configuration that scrapes the registry, and sends alerts to the Alertmanager at host:port."""
    host = f"[{registry.host}]" if ":" in registry.host else registry.host
    return f"""\
# Written by aurora-cli alerting init. Paths are relative to this file.
global:
  scrape_interval: 15s
  evaluation_interval: 15s

rule_files: [rules/*.rules.yml]

alerting:
  alertmanagers:
    - static_configs: [{{targets: [{flow(alertmanager)}]}}]

scrape_configs:
  # The alerts select this job by its name.
  - job_name: node-registry
    scheme: {registry.scheme}
    metrics_path: {flow(f"{registry.prefix}/metrics")}
    static_configs: [{{targets: [{flow(f"{host}:{registry.port}")}]}}]
"""


def _trimmed(section: str) -> str:
    """A section without the comments at its end, which belong to the next one."""
    lines = section.rstrip().split("\n")
    while lines and (lines[-1].startswith("#") or not lines[-1].strip()):
        lines.pop()
    return "\n".join(lines)


def _checked(directory: Path, command: tuple[str, ...]) -> str:
    """What the servers' own tools say of what was written; Failure where they refuse it."""
    program, *words, file = command
    path = shutil.which(program)
    if path is None:
        return f"{file}: not checked, {program} is not installed"
    try:
        done = subprocess.run(  # noqa: S603 - a program of this machine's own, without a shell
            [path, *words, str(directory / file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{file}: not checked, {program} does not run ({type(error).__name__})"
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failure(f"{program} refuses {directory / file}: {lines[-1] if lines else 'without a reason'}")
    return f"{file}: {program} finds nothing wrong"


def _next_steps(directory: Path, registry: Endpoint) -> list[str]:
    elsewhere = "" if registry.url == DEFAULT_REGISTRY else f" --registry {registry.url}"
    return [
        "Start both (in a checkout: make alerting):",
        f"  prometheus --config.file={directory}/prometheus.yml --storage.tsdb.path={directory}/data/prometheus",
        f"  prometheus-alertmanager --config.file={directory}/alertmanager.yml \\",
        f"      --storage.path={directory}/data/alertmanager --cluster.listen-address=",
        "Let a real message arrive:",
        f"  aurora-cli doctor{elsewhere} --prometheus 127.0.0.1:9090 --send",
    ]
