"""The alerts about the registry itself."""

from __future__ import annotations

from exporter.alerting.parameters import SHORT_WAIT, RuleParameters
from exporter.alerting.rule import AlertingRule, block, file
from exporter.domain.clock import MINUTE

SLOW_SECONDS = 5
_WINDOW = 10 * MINUTE


def registry(parameters: RuleParameters) -> str:
    """The text of registry.rules.yml."""
    head = f"""\
Alerts about the registry itself, as Prometheus sees it. The job is named {parameters.job} in alerts/prometheus.yml.

Made by `aurora-cli rules`, which makes these files for another configuration as well.
"""
    alerts = [_down(parameters), *_connections(parameters), _rejecting(parameters), *_itself(parameters), _watchdog()]
    return file(head, "aurora-registry", alerts, parameters.runbooks)


def _down(parameters: RuleParameters) -> AlertingRule:
    return AlertingRule(
        "AuroraRegistryDown",
        f'absent(up{{job="{parameters.job}"}} == 1)',
        severity="critical",
        labels={"job": parameters.job},
        wait=SHORT_WAIT,
        summary="No node registry can be scraped",
        description=f"Prometheus reaches no instance of the job {parameters.job}, or knows of none. Nothing is known of"
        " the nodes, and no alert about them will come.",
        why="absent(... == 1) covers both: no instance answers, and there is no target at all. It has no labels,"
        " so the rule sets job.",
    )


def _connections(parameters: RuleParameters) -> list[AlertingRule]:
    return [
        AlertingRule(
            "AuroraRegistryEventBusDown",
            f"aurora_registry_event_bus_up == 0\n{_goes_on('AuroraRegistryEventBusDown')}",
            severity=_worst("aurora_registry_event_bus_up"),
            wait=SHORT_WAIT,
            keep=parameters.keep,
            summary="The registry {{ $labels.instance }} does not receive from the event bus",
            description="{{ $labels.instance }} has lost the event bus. The statuses of nodes that send over it are"
            " frozen: none turns offline by mistake, and none that dies is noticed, unless another registry receives"
            " it.",
            why="Critical where no registry receives from the bus any more. Redis restarts or fails over within"
            " two minutes.",
        ),
        AlertingRule(
            "AuroraRegistryStoreDown",
            block("""
                (
                    aurora_registry_store_up == 0
                  unless on (job, instance)
                    (
                        (aurora_registry_event_bus_up == 0)
                      unless on (job, instance)
                        ALERTS{alertname="AuroraRegistryStoreDown", alertstate="firing"}
                    )
                )
            """)
            + f"\n{_goes_on('AuroraRegistryStoreDown')}",
            severity=_worst("aurora_registry_store_up"),
            wait=SHORT_WAIT,
            keep=parameters.keep,
            summary="The store of the registry {{ $labels.instance }} is down",
            description="{{ $labels.instance }} cannot use its store: registrations, departures and maintenance are"
            " answered with 503. Reads and scrapes go on from memory. A registry that shares a Redis is blind without"
            " it.",
            why="Critical where no registry can store. As long as for the bus; nothing is lost meanwhile: callers that"
            " were refused ask again. A Redis that is bus and store at once has the bus's alert.",
        ),
    ]


def _rejecting(parameters: RuleParameters) -> AlertingRule:
    sender = parameters.beats(_WINDOW)
    return AlertingRule(
        "AuroraRegistryRejectingEvents",
        block(f"""
            max by (reason) (
              increase(aurora_registry_events_rejected_total{{reason!~"name_conflict|superseded"}}[10m])
            ) > {sender // 2}
        """),
        severity="warning",
        wait="10m",
        keep=parameters.keep,
        summary="Events on the bus are refused: {{ $labels.reason }}",
        description='{{ $value | printf "%.0f" }} events within ten minutes were refused ({{ $labels.reason }}): some'
        " node"
        " sends what the registry cannot take, and may be missing for it.",
        why=f"One node whose every heartbeat is refused makes {sender} in ten minutes, so half of that is somebody"
        " who keeps failing. Name conflicts have an alert of their own.",
    )


def _itself(parameters: RuleParameters) -> list[AlertingRule]:
    return [
        AlertingRule(
            "AuroraRegistryConfigReloadFailed",
            "aurora_registry_config_last_reload_successful == 0\n" + _goes_on("AuroraRegistryConfigReloadFailed"),
            severity="warning",
            wait="10m",
            keep=parameters.keep,
            summary="The registry {{ $labels.instance }} refused its configuration",
            description="The latest reload of {{ $labels.instance }} failed; it goes on with the configuration from"
            " before. It may not start again.",
            why="Time for the editor of the file to see it and try again.",
        ),
        AlertingRule(
            "AuroraRegistrySlowScrape",
            f'scrape_duration_seconds{{job="{parameters.job}"}} > {SLOW_SECONDS}',
            severity="warning",
            wait="10m",
            keep=parameters.keep,
            summary="Scrapes of the registry {{ $labels.instance }} are slow",
            description='A scrape of {{ $labels.instance }} takes {{ $value | printf "%.1f" }} seconds. Past'
            " scrape_timeout"
            " it fails, and all alerts about nodes with it.",
            why="Half of Prometheus' usual scrape_timeout. As Prometheus measures it, since a slow network counts as"
            " well.",
        ),
    ]


def _watchdog() -> AlertingRule:
    return AlertingRule(
        "AuroraWatchdog",
        "vector(1)",
        severity="info",
        summary="Alerts can be delivered",
        description="This alert always fires. Route it to a dead man's switch outside of this site, which raises the"
        " alarm when it stops coming: then Prometheus, Alertmanager or the way between them is broken.",
        why="Always firing: its receiver learns from its absence that no alert would come.",
    )


def _goes_on(name: str) -> str:
    """The alert itself while it fires and its registry cannot be scraped."""
    return block(f"""
        or
        0 * (
            max without (alertname, alertstate, severity) (ALERTS{{alertname="{name}", alertstate="firing"}})
          and on (job, instance)
            (up == 0)
        )
    """)


def _worst(family: str) -> str:
    return f'{{{{ if query "{family} == 1" }}}}warning{{{{ else }}}}critical{{{{ end }}}}'
