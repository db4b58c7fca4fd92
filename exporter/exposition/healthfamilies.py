"""The families about how GPUs are: a name behind `aurora_node_gpu_`, further labels, lines, and help."""

from __future__ import annotations

from exporter.exposition import render
from exporter.exposition.render import Lines

HEALTH: tuple[tuple[str, tuple[str, ...], Lines, str], ...] = (
    (
        "xid_errors_total",
        ("code",),
        render.xid_errors,
        "XID errors that the driver reported, by code, since the node's agent started.",
    ),
    (
        "ecc_uncorrected_errors_total",
        (),
        render.per_health(lambda health: health.ecc_uncorrected_errors),
        "Uncorrected errors of the GPU's memory, since its driver was loaded.",
    ),
    (
        "remapped_rows",
        (),
        render.per_health(lambda health: health.remapped_rows),
        "Rows of the GPU's memory that were replaced because of uncorrectable errors.",
    ),
    (
        "remap_pending",
        (),
        render.per_health(lambda health: health.remap_pending),
        "Whether rows of the GPU's memory wait for a reset to be replaced.",
    ),
    (
        "remap_failed",
        (),
        render.per_health(lambda health: health.remap_failed),
        "Whether a row of the GPU's memory could not be replaced.",
    ),
    (
        "retired_pages",
        (),
        render.per_health(lambda health: health.retired_pages),
        "Pages of the GPU's memory that are out of use because of uncorrectable errors.",
    ),
    (
        "recovery_needed",
        (),
        render.per_health(lambda health: health.recovery_needed),
        "Whether the driver asks for a reset of the GPU, or for more.",
    ),
    (
        "throttled",
        ("reason",),
        render.throttled,
        "Whether the GPU is slowed down, by reason.",
    ),
    (
        "pcie_degraded",
        (),
        render.per_health(lambda health: health.pcie_degraded),
        "Whether the GPU's PCIe link has fewer lanes, or under load a lower generation, than it could.",
    ),
    ("fan_ratio", (), render.per_health(lambda health: health.fan), "Speed of the GPU's fan, of its full speed."),
    (
        "sm_clock_hertz",
        (),
        render.per_health(lambda health: health.sm_clock_hertz),
        "Clock of the GPU's multiprocessors.",
    ),
    (
        "memory_clock_hertz",
        (),
        render.per_health(lambda health: health.memory_clock_hertz),
        "Clock of the GPU's memory.",
    ),
    (
        "energy_joules_total",
        (),
        render.per_health(lambda health: health.energy_joules),
        "Energy that the GPU used, since its driver was loaded.",
    ),
    (
        "mig_enabled",
        (),
        render.per_health(lambda health: health.mig_enabled),
        "Whether the GPU is divided into instances (MIG).",
    ),
    (
        "processes",
        (),
        render.per_health(lambda health: health.processes),
        "Processes that compute on the GPU.",
    ),
)
