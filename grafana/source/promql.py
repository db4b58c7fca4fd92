"""PromQL that several panels share. Every query selects the chosen registries, and replicas count once."""

from __future__ import annotations

from grafana.source.look import HELD_CODES, LIFECYCLE_CODES, STATUS_CODES

ACTIVE = 'status="active"'
NOT_ACTIVE = 'status!="active"'
NOT_IN_SERVICE = 'lifecycle!="in_service"'


def of(metric: str, *matchers: str) -> str:
    """A selector of the chosen registries' series, with more matchers as PromQL has them."""
    chosen = ('job=~"$job"', 'instance=~"$instance"', *matchers)
    return f"{metric}{{{', '.join(chosen)}}}"


def most(metric: str, *by: str, where: tuple[str, ...] = ()) -> str:
    """One series for each value of the labels, however many registries export it."""
    return f"max by ({', '.join(by)}) ({of(metric, *where)})"


def whole(metric: str, *where: str) -> str:
    """The sum of a family that each registry exports in full; no value where no registry is reached."""
    return f"max(sum by (job, instance) ({of(metric, *where)}))"


def count_or_zero(expr: str) -> str:
    """A count, which is 0 only while a registry is reached: what nobody knows is no 0."""
    return f"{expr}\nor\n  max({of('up')} == 1) * 0"


def described(*labels: str, where: tuple[str, ...] = ()) -> str:
    """The facts of each node, as the right side of `* on (node) group_left`.

    Registries that disagree on one would be two series; topk takes one, so that the join cannot fail.
    """
    return f"topk by (node) (1, {most('aurora_node_info', 'node', *labels, where=where)})"


def with_facts(expr: str, *labels: str) -> str:
    """The expression, which has one series a node or more, with facts of each node as labels."""
    return f"{expr}\n* on (node) group_left ({', '.join(labels)})\n{described(*labels)}"


def is_active() -> str:
    """The nodes that are active."""
    return f"({most('aurora_node_status', 'node', where=(ACTIVE,))} == 1)"


def planned() -> str:
    """The nodes that are not in service."""
    return f"({most('aurora_node_lifecycle', 'node', where=(NOT_IN_SERVICE,))} == 1)"


def _coded(metric: str, label: str, codes: dict[str, int], *where: str) -> str:
    series = []
    for value, code in codes.items():
        in_it = of(metric, *where, f'{label}="{value}"')
        series.append(f"({in_it} == 1) * {code}")
    return "max by (node) (\n    " + "\n  or\n    ".join(series) + "\n)"


def status_code(*where: str) -> str:
    """Each node's status as a number: 1 active, 2 warning, 3 offline."""
    return _coded("aurora_node_status", "status", STATUS_CODES, *where)


def lifecycle_code(*where: str) -> str:
    """Each node's lifecycle as a number: 11 in service, 12 draining, 13 maintenance."""
    return _coded("aurora_node_lifecycle", "lifecycle", LIFECYCLE_CODES, *where)


def held_code(*where: str) -> str:
    """Whether each node's status is frozen: 20 no, 21 yes. A node that some registry receives is not."""
    return f"min by (node) ({of('aurora_node_status_held', *where)}) + {HELD_CODES['no']}"


def lost_gpus() -> str:
    """How many GPUs each node misses, where any."""
    return f"({most('aurora_node_gpus', 'node')} - on (node) {most('aurora_node_gpus_observed', 'node')}) > 0"


def available() -> str:
    """The part of 30 days in which each node was active, of the time in which it was in service."""
    in_service = f"{most('aurora_node_status', 'node', where=(ACTIVE,))}\n  unless on (node)\n    {planned()}"
    return f"avg_over_time((\n    {in_service}\n)[30d:5m])"


def grown(counter: str, *by: str, window: str = "$__range", where: tuple[str, ...] = ()) -> str:
    """How much a counter grew, by the registry that counted most."""
    return f"max by ({', '.join(by)}) (increase({of(counter, *where)}[{window}]))"
