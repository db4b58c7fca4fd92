"""The alerts about sites and the whole mesh, and the sums that they and dashboards use."""

from __future__ import annotations

from exporter.alerting.nodealerts import NON_PRODUCTION_PATTERN, PLANNED, SCRAPED
from exporter.alerting.rule import Alert, Recording, block, file, indented
from exporter.alerting.setting import KEEP_FIRING_FOR, KEEP_SUPPRESSING, Setting

HEAD = """\
Alerts about sites and the whole mesh. One alert in place of many: alerts/alertmanager.yml lets them mute the alerts of
the nodes that they speak for. The sums come from recording.rules.yml.

Made by `aurora-cli rules`, which makes these files for another configuration as well.
"""
RECORDING_HEAD = """\
Sums over all registries that can hear: of several that agree, one; a registry that is blind on every transport has no
say. Names are level:metric:operation.

Made by `aurora-cli rules`, which makes these files for another configuration as well.
"""
LASTING = "12h"


def mesh(setting: Setting) -> str:
    """The text of mesh.rules.yml."""
    return file(
        HEAD, "aurora-mesh", [_site(setting), _suspect(setting), _no_lead(setting), _low(setting)], setting.runbooks
    )


def recording(setting: Setting) -> str:
    """The text of recording.rules.yml."""
    rules = [
        Recording(f"{level}:{family}:max", _of_hearing("max", family, labels))
        for level, family, labels in (
            ("mesh", "aurora_mesh_nodes", "role, status"),
            ("mesh", "aurora_mesh_gpus", "status"),
            ("mesh", "aurora_mesh_gpu_memory_bytes", "status"),
        )
    ]
    rules += [
        Recording(
            "site:aurora_node_silent:ratio",
            _silent_ratio("count by (site)", 'aurora_node_info{site!=""}'),
            why="The part of the nodes in service that no registry knows as active, however long ago they fell silent.",
        ),
        Recording("mesh:aurora_node_silent:ratio", _silent_ratio("count", "aurora_node_info")),
    ]
    return file(RECORDING_HEAD, "aurora-recording", rules, setting.runbooks)


def _of_hearing(aggregation: str, family: str, by: str = "") -> str:
    labels = f" by ({by}) " if by else ""
    return block(f"""
        {aggregation}{labels}(
            {family}
          unless on ({SCRAPED})
            (min by ({SCRAPED}) (aurora_registry_blind) == 1)
        )
    """)


def _silent_ratio(count: str, info: str) -> str:
    in_service = block(f"""
          max by (node, site) ({info})
        unless on (node)
          {PLANNED}
    """)
    active = '(aurora_node_status{status="active"} == 1)'
    silent = f"  (\n{indented(in_service, 4)}\n  )\nunless on (node)\n  {active}"
    return f"{count} (\n{indented(silent, 2)}\n)\n/\n{count} (\n{indented(in_service, 2)}\n)"


def _site(setting: Setting) -> Alert:
    own = 'aurora_node_info{site=%q,environment!~\\"' + NON_PRODUCTION_PATTERN + '\\"}'
    return Alert(
        "AuroraSiteDisrupted",
        _lasting("AuroraSiteDisrupted", "aurora_site_disrupted", setting, level="site", by="site"),
        severity=f'{{{{ if query (printf "{own}" $labels.site) }}}}critical{{{{ else }}}}info{{{{ end }}}}',
        keep=KEEP_SUPPRESSING,
        summary="Site {{ $labels.site }} is disrupted",
        description="Most nodes of the site {{ $labels.site }} fell silent together: suspect its power or its"
        " network, not the nodes. Their own alerts are muted meanwhile.",
        why=f"No wait: it takes thresholds.warning_after to get here, and the nodes' alerts must come later. Nodes"
        " that are offline for longer than site.recent no longer count in aurora_site_disrupted; without the second"
        f" part the alert would then end with nothing repaired, and its nodes would all speak up. It goes on for up"
        f" to {LASTING}, until most nodes in service are back. Only info where all its nodes are for testing.",
    )


def _lasting(alert: str, family: str, setting: Setting, *, level: str, by: str = "") -> str:
    """What the registry says, and on from there for as long as most nodes are silent."""
    lasting = block(f"""
        or on ({by})
        (
            {level}:aurora_node_silent:ratio >= {setting.site.disrupted_ratio}
          and on ({by})
            (max_over_time({family}[{LASTING}]) == 1)
          and on ({by})
            ALERTS{{alertname="{alert}", alertstate="firing"}}
        )
    """)
    return f"{_of_hearing('max', family, by)} == 1\n{lasting}"


def _suspect(setting: Setting) -> Alert:
    return Alert(
        "AuroraMeshSuspect",
        _lasting("AuroraMeshSuspect", "aurora_registry_mesh_suspect", setting, level="mesh"),
        severity="critical",
        keep=KEEP_SUPPRESSING,
        summary="The whole mesh fell silent",
        description="Most nodes of the mesh fell silent together. The registry's own connection is the likeliest"
        " cause, or the bus that nodes publish on. The alerts of sites and nodes are muted meanwhile.",
        why="As for a site; of the whole mesh, our own side is the likelier cause.",
    )


def _no_lead(setting: Setting) -> Alert:
    return Alert(
        "AuroraMeshNoLead",
        block(f"""
            max(mesh:aurora_mesh_nodes:max{{role="lead", status="active"}}) == 0
            and on ()
            count(
                aurora_node_info{{role="lead"}}
              unless on (node)
                {PLANNED}
            )
        """),
        severity="critical",
        wait=setting.warning_lasts,
        keep=KEEP_FIRING_FOR,
        summary="The mesh has no active lead",
        description="A lead is registered, and none is active: nodes reach nobody to coordinate them.",
        why="As long as a node is in warning: a lead that is back before it counts as offline wakes nobody. Leads"
        " that are all out of service as planned are no alert.",
    )


def _low(setting: Setting) -> Alert:
    return Alert(
        "AuroraMeshLowGpuCapacity",
        block(f"""
            max(mesh:aurora_mesh_gpu_memory_bytes:max{{status="active"}}) < {setting.min_active_vram_gb} * 2^30
            and on ()
            sum(mesh:aurora_mesh_gpus:max) > 0
        """),
        severity="warning",
        wait=setting.reboot,
        keep=KEEP_FIRING_FOR,
        summary="Little GPU memory is left in the mesh",
        description="Active nodes have {{ $value | humanize1024 }}B of VRAM together, less than"
        f" {setting.min_active_vram_gb} GB.",
        why="Long enough for a reboot of the largest node. Which capacity is low is each mesh's own matter:"
        " aurora-cli rules --min-active-vram-gb; 0 means never.",
    )
