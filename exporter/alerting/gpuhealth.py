"""What is wrong with a GPU, as one expression: a series for each GPU and problem."""

from __future__ import annotations

from exporter.alerting.rule import block, indented

FATAL_XIDS = (46, 48, 62, 64, 74, 79, 95, 110, 119, 120, 140, 143)
"""Those that NVIDIA's documents answer with a reset of the GPU, a restart of the node, or service. Source: NVIDIA, XID
Errors, and the GPU debug guidelines."""
APPLICATION_XIDS = (13, 31, 43, 45, 68, 109)
"""What a program did, and not its GPU. Source: NVIDIA's device plugin for Kubernetes, which skips the same ones."""
FATAL, OTHER = "fatal", "other"
GRAVITY = "gravity"


def problems() -> str:
    """All of them, with the labels `problem` and `gravity`; each value is above 0."""
    fatal, others = _codes(FATAL_XIDS), _codes((*FATAL_XIDS, *APPLICATION_XIDS))
    slow = '{reason=~"hw_.*|sw_thermal"}'
    found = [
        _problem(_came(f'code=~"{fatal}"', "6h"), "XID $1", FATAL, "code"),
        _problem("aurora_node_gpu_remap_failed == 1", "no spare row of memory is left", FATAL),
        _problem(_came(f'code!~"{others}"', "1h"), "XID $1", OTHER, "code"),
        _problem("increase(aurora_node_gpu_ecc_uncorrected_errors_total[1h]) > 0", "uncorrected memory errors", OTHER),
        _problem("aurora_node_gpu_remap_pending == 1", "it has to be reset to replace rows of memory", OTHER),
        _problem("aurora_node_gpu_recovery_needed == 1", "its driver asks for a reset", OTHER),
        _problem(f"avg_over_time(aurora_node_gpu_throttled{slow}[30m]) > 0.9", "slowed down ($1)", OTHER, "reason"),
        _problem(
            "min_over_time(aurora_node_gpu_pcie_degraded[1h]) == 1", "its PCIe link is slower than it could be", OTHER
        ),
    ]
    return "\nor\n".join(found)


def _came(matcher: str, window: str) -> str:
    # A counter that appears with its first error has not grown, as increase() sees it.
    series = f"aurora_node_gpu_xid_errors_total{{{matcher}}}"
    return f"({series} unless {series} offset {window}) > 0\nor\nincrease({series}[{window}]) > 0"


def _problem(expr: str, text: str, gravity: str, source: str = "") -> str:
    pattern = "(.+)" if source else ""
    inner = block(f"""
        label_replace(
          label_replace(
        @
            , "problem", "{text}", "{source}", "{pattern}"),
          "{GRAVITY}", "{gravity}", "", "")
    """)
    return inner.replace("@", indented(expr, 4))


def _codes(codes: tuple[int, ...]) -> str:
    return "|".join(map(str, codes))
