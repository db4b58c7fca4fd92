"""PromQL about alerts: what fires, and which nodes' alerts are suppressed by the registry's own marks."""

from __future__ import annotations

from grafana.source.promql import NOT_ACTIVE, most, of, planned

SENT, SUPPRESSED, PENDING = "sent", "suppressed", "pending"
LEAD = 'role="lead"'
OFFLINE, WARNING = 'status="offline"', 'status="warning"'


def firing(alertname: str) -> str:
    """An alert as long as it fires."""
    return f'ALERTS{{alertname="{alertname}", alertstate="firing"}}'


FIRING = 'ALERTS{alertstate="firing", alertname=~"Aurora.+", alertname!="AuroraWatchdog"}'


def sent_alerts(alerts: str = FIRING) -> str:
    """Those that Alertmanager sends on, one for each name and subject: it suppresses the warnings of offline nodes."""
    warnings = f'label_replace({firing("AuroraNodeOffline")}, "alertname", "AuroraNodeWarning", "", "")'
    return f"""max by (alertname, severity, node, site) (
    (
    {alerts}
    )
  unless on (alertname, node)
    {warnings}
)"""


def _status(matcher: str) -> str:
    return f"({most('aurora_node_status', 'node', where=(matcher,))} == 1)"


def sent() -> str:
    """The missing nodes with a firing alert of their status: 1 by node."""
    pairs = ((OFFLINE, "AuroraNodeOffline"), (WARNING, "AuroraNodeWarning"))
    return "\n  or\n    ".join(f"({_status(status)} and on (node) {firing(name)})" for status, name in pairs)


def suppressed() -> str:
    """The missing nodes whose alert something else stands for, and has not begun before it: 1 by node."""
    no_lead = firing("AuroraMeshNoLead")
    lead = f"({of('aurora_node_info', LEAD)} and on (node) {_status(OFFLINE)} and on () {no_lead})"
    marks = "\n        or on (node)\n          ".join(
        [
            of("aurora_node_disruption_start_timestamp_seconds"),
            of("aurora_node_renamed_info"),
            planned(),
            lead,
        ]
    )
    return f"""(
      {_status(NOT_ACTIVE)}
    and on (node)
      (
          {marks}
      )
    unless on (node)
      (
    {sent()}
      )
  )"""


def by_node() -> str:
    """The state of each missing node's alert as the label `alert`, for `* on (node) group_left (alert)`."""
    states = ((SENT, f"({sent()})"), (SUPPRESSED, suppressed()), (PENDING, _status(NOT_ACTIVE)))
    labelled = (f'label_replace({expr}, "alert", "{state}", "", "")' for state, expr in states)
    return "(\n  " + "\nor on (node)\n  ".join(labelled) + "\n)"
