"""`aurora-cli rehearse`: the messages of the past under other thresholds.

What is replayed are the recorded transitions. A node sent its last heartbeat `warning_after` before its warning; how
long it was away shows what other thresholds would have made of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from exporter.client.documents import Node, Recent
from exporter.domain.clock import MINUTE, SECOND
from exporter.domain.duration import format_duration
from exporter.domain.timestamp import format_timestamp, parse_timestamp
from exporter.programs.cli.context import Context
from exporter.programs.cli.failures import Failure
from exporter.programs.cli.humanize import count
from exporter.programs.cli.nodes import site_of
from exporter.programs.cli.tables import table
from exporter.programs.cli.terminal import Terminal
from exporter.programs.cli.wrap import paragraph

KEEP_FIRING_NS = 3 * MINUTE
"""The rules' keep_firing_for: gaps that are no longer do not end an alert."""
SITE_MIN_NODES, SITE_RATIO = 3, 0.55
WARNING, OFFLINE, SITE = "AuroraNodeWarning", "AuroraNodeOffline", "AuroraSiteDisrupted"


@dataclass(frozen=True, slots=True)
class Gap:
    """Time without heartbeats: from the last one to the next, or to now (wall clock)."""

    node: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class ReplayParameters:
    """The thresholds of a replay, and how long the rules wait before they fire."""

    warning_after_ns: int
    offline_after_ns: int
    for_ns: int

    def __str__(self) -> str:
        return f"{format_duration(self.warning_after_ns)} and {format_duration(self.offline_after_ns)}"


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """One alert that would have been sent, and what about."""

    at_ns: int
    alert: str
    about: str
    lasted_ns: int


def rehearse(context: Context) -> None:
    """Say how many messages there were, how many there would have been, and which."""
    arguments = context.arguments
    client = context.client
    nodes = client.nodes()
    if not nodes:
        raise Failure("no node is registered, so there is nothing to replay")
    limits = client.why(next(iter(nodes))).thresholds
    now = ReplayParameters(
        round(limits.warning_after_seconds * SECOND), round(limits.offline_after_seconds * SECOND), arguments.for_ns
    )
    other = ReplayParameters(
        arguments.warning_after_ns or now.warning_after_ns,
        arguments.offline_after_ns or now.offline_after_ns,
        now.for_ns,
    )
    if other.warning_after_ns >= other.offline_after_ns:
        raise Failure("--warning-after: expected less than --offline-after", exit_status=2)
    recent = client.recent(arguments.since, limit=10_000)
    gaps = gaps_of(recent, now)
    before, after = messages_of(gaps, nodes, now), messages_of(gaps, nodes, other)
    if arguments.json:
        described = {"thresholds_now": asdict(now), "thresholds_then": asdict(other)}
        lists = {"messages_now": [asdict(each) for each in before], "messages_then": [asdict(each) for each in after]}
        context.show_json({"since": recent.since, "complete": recent.complete, **described, **lists})
        return
    context.show(_lines(recent, (now, before), (other, after), context.terminal))


def gaps_of(recent: Recent, parameters: ReplayParameters) -> list[Gap]:
    """The gaps in the recorded time, oldest first. `parameters`: what the transitions were recorded under."""
    end_ns = parse_timestamp(recent.timestamp)
    left = {departure.node: parse_timestamp(departure.at) for departure in recent.departures}
    open_gaps: dict[str, int] = {}
    gaps = []
    for transition in reversed(recent.transitions):
        at_ns, name = parse_timestamp(transition.at), transition.node
        if transition.to == "active":
            if name in open_gaps:
                gaps.append(Gap(name, open_gaps.pop(name), at_ns))
        elif transition.to == "warning":
            open_gaps[name] = at_ns - parameters.warning_after_ns
        else:
            # Its warning may lie before the time that was asked for.
            open_gaps.setdefault(name, at_ns - parameters.offline_after_ns)
    for name, from_ns in open_gaps.items():
        gaps.append(Gap(name, from_ns, max(from_ns, left.get(name, end_ns))))
    return sorted(gaps, key=lambda gap: gap.from_ns)


def messages_of(gaps: Sequence[Gap], nodes: Mapping[str, Node], parameters: ReplayParameters) -> list[Message]:
    """What would have been sent: an alert for each node, but one for a site that was disrupted meanwhile."""
    members: dict[str, list[str]] = defaultdict(list)
    for node in nodes.values():
        if site := site_of(node):
            members[site].append(node.name)
    site_of_node = {name: site for site, names in members.items() for name in names}
    messages: set[Message] = set()
    firing: dict[tuple[str, str], Message] = {}
    for alert, after_ns in ((WARNING, parameters.warning_after_ns), (OFFLINE, parameters.offline_after_ns)):
        for gap in gaps:
            at_ns = gap.from_ns + after_ns + parameters.for_ns
            if gap.to_ns <= at_ns:
                continue
            site = site_of_node.get(gap.node, "")
            sent_alert, about = alert, gap.node
            if site and _disrupted(members[site], gaps, parameters.warning_after_ns, at_ns):
                sent_alert, about = SITE, site
            before = firing.get((sent_alert, about))
            if before and at_ns <= before.at_ns + before.lasted_ns + KEEP_FIRING_NS:
                messages.discard(before)
                end_ns = max(before.at_ns + before.lasted_ns, gap.to_ns)
                message = Message(min(before.at_ns, at_ns), sent_alert, about, end_ns - min(before.at_ns, at_ns))
            else:
                message = Message(at_ns, sent_alert, about, gap.to_ns - at_ns)
            firing[sent_alert, about] = message
            messages.add(message)
    return sorted(messages)


def _disrupted(members: Sequence[str], gaps: Sequence[Gap], after_ns: int, at_ns: int) -> bool:
    missing = {gap.node for gap in gaps if gap.from_ns + after_ns <= at_ns < gap.to_ns} & set(members)
    return len(missing) >= SITE_MIN_NODES and len(missing) >= SITE_RATIO * len(members)


def _lines(
    recent: Recent,
    now: tuple[ReplayParameters, list[Message]],
    then: tuple[ReplayParameters, list[Message]],
    terminal: Terminal,
) -> Iterator[str]:
    (parameters, before), (other, after) = now, then
    yield from paragraph(
        f"Since {recent.since}, with {other}: {count(len(after), 'message')} instead of {len(before)} "
        f"(with {parameters}, as the registry has it).",
        terminal,
    )
    if not recent.complete:
        yield from paragraph("More was recorded than could be replayed: ask for a shorter time.", terminal)
    if other.warning_after_ns < parameters.warning_after_ns:
        yield from paragraph(
            "Gaps shorter than the registry's own warning_after are not recorded: there may be more.", terminal
        )
    yield from paragraph("Maintenance of that time is not recorded, and is not taken into account.", terminal)
    if after:
        yield ""
        rows = [
            (format_timestamp(each.at_ns), each.alert, each.about, format_duration(each.lasted_ns // SECOND * SECOND))
            for each in after
        ]
        yield from table([("AT", "ALERT", "ABOUT", "LASTED"), *rows], terminal)
