"""The alerts about sites and the whole mesh, and the sums that they and dashboards use."""

from __future__ import annotations

from exporter.alerting.nodealert import NON_PRODUCTION_PATTERN, PLANNED, SCRAPED
from exporter.alerting.parameters import RuleParameters
from exporter.alerting.rule import AlertingRule, RecordingRule, block, file, indented
from exporter.domain.duration import format_duration

HEAD = """\
Alerts about sites and the whole mesh: one in place of many. The nodes that went missing with a site or the mesh have no
alerts of their own (nodes.rules.yml). The sums come from recording.rules.yml.

What no registry receives is unknown, not repaired: while none does, an alert that fires goes on.

Made by `aurora-cli rules`, which makes these files for another configuration as well.
"""
RECORDING_HEAD = """\
Sums over all registries that receive: of several that agree, one; a registry that receives nothing over any transport
is not asked. Names are level:metric:operation.

Made by `aurora-cli rules`, which makes these files for another configuration as well.
"""
RECEIVING = "(min by (job, instance) (aurora_registry_blind) == 0)"
SUSPECT = "(mesh:aurora_mesh_disruption_start_timestamp_seconds:max > 0)"


def mesh(parameters: RuleParameters) -> str:
    """The text of mesh.rules.yml."""
    alerts = [_site(parameters), _suspect(parameters), _no_lead(parameters)]
    if parameters.min_active_vram_gb:
        alerts.append(_low(parameters))
    return file(HEAD, "aurora-mesh", [_mesh_disruption(), *alerts], parameters.runbooks)


def recording(parameters: RuleParameters) -> str:
    """The text of recording.rules.yml."""
    rules = [
        RecordingRule(f"{level}:{family}:max", _of_receiving("max", family, labels))
        for level, family, labels in (
            ("mesh", "aurora_mesh_nodes", "role, status"),
            ("mesh", "aurora_mesh_gpus", "status"),
            ("mesh", "aurora_mesh_gpu_memory_bytes", "status"),
        )
    ]
    return file(RECORDING_HEAD, "aurora-recording", rules, parameters.runbooks)


def _mesh_disruption() -> RecordingRule:
    family = "aurora_mesh_disruption_start_timestamp_seconds"
    return RecordingRule(f"mesh:{family}:max", _of_receiving("max", family))


def _of_receiving(aggregation: str, family: str, by: str = "") -> str:
    labels = f" by ({by}) " if by else ""
    return block(f"""
        {aggregation}{labels}(
            {family}
          unless on ({SCRAPED})
            (min by ({SCRAPED}) (aurora_registry_blind) == 1)
        )
    """)


def _goes_on(name: str) -> str:
    """The alert itself while it fires and no registry receives anything."""
    return block(f"""
        or
        0 * (
            max without (alertname, alertstate, severity) (ALERTS{{alertname="{name}", alertstate="firing"}})
          unless on ()
            {RECEIVING}
        )
    """)


def _unless_suspect(name: str, condition: str, by: str = "") -> str:
    """The condition, except for what begins while the whole mesh is suspect."""
    return (
        f"(\n{indented(condition, 4)}\n  unless on ()\n"
        f'    ({SUSPECT} unless on ({by}) ALERTS{{alertname="{name}", alertstate="firing"}})\n)'
        if not by
        else f"(\n{indented(condition, 4)}\n  unless on ()\n    {SUSPECT}\n)\nor\n(\n{indented(condition, 4)}\n"
        f'  and on ({by})\n    ALERTS{{alertname="{name}", alertstate="firing"}}\n)'
    )


def _site(parameters: RuleParameters) -> AlertingRule:
    name = "AuroraSiteDisrupted"
    # While the registry cannot be scraped nothing is known of its nodes: then it is what it was.
    own = (
        'aurora_node_info{site=%q,environment!~\\"' + NON_PRODUCTION_PATTERN + '\\"}'
        ' or ALERTS{alertname=\\"AuroraSiteDisrupted\\",site=%q,severity=\\"critical\\"}'
    )
    condition = _of_receiving("max", "aurora_site_disruption_start_timestamp_seconds", "site") + " > 0"
    return AlertingRule(
        name,
        f"{_unless_suspect(name, condition, 'site')}\n{_goes_on(name)}",
        severity=f'{{{{ if query (printf "{own}" $labels.site $labels.site) }}}}critical{{{{ else }}}}info'
        "{{ end }}",
        wait=parameters.site_wait,
        keep=parameters.keep,
        summary="Site {{ $labels.site }} is disrupted",
        description="Most nodes of the site {{ $labels.site }} went missing together: suspect its power or its"
        " network, not the nodes. The nodes that went with it have no alerts of their own meanwhile.",
        why=f"The wait is for AuroraMeshSuspect, which stands for sites that fail together. It goes on until most nodes"
        f" are back, for {format_duration(parameters.site.lasting)} at most; nodes that are still missing then are"
        " alerted on by name. Only info where all its nodes are for testing.",
    )


def _suspect(parameters: RuleParameters) -> AlertingRule:
    name = "AuroraMeshSuspect"
    return AlertingRule(
        name,
        f"{SUSPECT}\n{_goes_on(name)}",
        severity="critical",
        keep=parameters.keep,
        summary="Most of the mesh is missing",
        description="Most nodes of the mesh went missing together. The registry's own connection is the likeliest"
        " cause, or the bus that nodes publish on. Sites and the nodes that went with them have no alerts of their own"
        " meanwhile.",
        why="No wait: it takes thresholds.warning_after to get here, and all that it stands for must come later.",
    )


def _no_lead(parameters: RuleParameters) -> AlertingRule:
    name = "AuroraMeshNoLead"
    condition = block(f"""
        (
            max(mesh:aurora_mesh_nodes:max{{role="lead", status=~"active|warning"}}) == 0
          and on ()
            count(
                aurora_node_info{{role="lead"}}
              unless on (node)
                {PLANNED}
            )
        )
    """)
    return AlertingRule(
        name,
        f"{_unless_suspect(name, condition)}\n{_goes_on(name)}",
        severity="critical",
        wait=parameters.lead_wait,
        keep=parameters.keep,
        summary="The mesh has no active lead",
        description="A lead is registered, and none is active: nodes reach nobody to coordinate them.",
        why="A lead in warning may be back before it counts as offline, and wakes nobody. The wait is for what other"
        " groups record: it lags by up to one evaluation. Leads that are all out of service as planned are no alert.",
    )


def _low(parameters: RuleParameters) -> AlertingRule:
    name = "AuroraMeshLowGpuCapacity"
    condition = block(f"""
        (
            max(mesh:aurora_mesh_gpu_memory_bytes:max{{status="active"}}) < {parameters.min_active_vram_gb} * 2^30
          and on ()
            sum(mesh:aurora_mesh_gpus:max) > 0
        )
    """)
    return AlertingRule(
        name,
        f"{_unless_suspect(name, condition)}\n{_goes_on(name)}",
        severity="warning",
        wait=parameters.reboot,
        keep=parameters.keep,
        summary="Little GPU memory is left in the mesh",
        description="Active nodes have {{ if $value }}{{ $value | humanize1024 }}B of VRAM together, {{ end }}less than"
        f" {parameters.min_active_vram_gb} GB.",
        why="Long enough for a reboot of the largest node. Which capacity is low is each mesh's own matter, so this"
        " alert is there only with aurora-cli rules --min-active-vram-gb.",
    )
