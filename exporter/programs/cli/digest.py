"""`aurora-cli digest`: what happened recently, and whose alerts are suppressed: they are seen all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from exporter.client.documents import AuditEntry, AuditLog, Departure, Node, Recent, RecentTransition
from exporter.client.errors import NotARegistry, Refused
from exporter.domain.clock import SECOND
from exporter.domain.duration import format_duration
from exporter.domain.timestamp import format_timestamp, parse_timestamp
from exporter.programs.cli.context import Context
from exporter.programs.cli.humanize import count, listed, phase
from exporter.programs.cli.terminal import Terminal
from exporter.programs.cli.wrap import hanging, paragraph

MAX_AUDIT, SHOWN_AUDIT = 10_000, 20
"""Entries of the audit that are asked for, and shown one by one."""
Moment = Callable[[str], str]


def digest(context: Context) -> None:
    """What happened since then."""
    arguments = context.arguments
    reply = context.client.get("/transitions", {"since": arguments.since, "limit": arguments.limit})
    pages = list(context.client.pages())
    entries = _audit(context)
    if arguments.json:
        nodes = {name: node for page, _ in pages for name, node in page.document()["nodes"].items()}
        context.show_json(
            {**reply.document(), "nodes": nodes, "audit": [msgspec.to_builtins(entry) for entry in entries]}
        )
    else:
        nodes_now = [node for _, page in pages for node in page.nodes.values()]
        recent = reply.of(Recent)
        context.show(show_digest(recent, nodes_now, context.terminal))
        context.show(show_audit(entries, _moment_of(recent.timestamp), context.terminal))


def _audit(context: Context) -> list[AuditEntry]:
    """Who changed what since then; nothing from a registry without an audit log."""
    try:
        return context.client.get("/audit", {"since": context.arguments.since, "limit": MAX_AUDIT}).of(AuditLog).entries
    except (Refused, NotARegistry):
        return []


def show_audit(entries: Sequence[AuditEntry], moment: Moment, terminal: Terminal) -> Iterator[str]:
    """What people and programs changed, newest first; registrations of new nodes only counted, by who made them."""
    registered = Counter(entry.by for entry in entries if entry.action == "register")
    others = [entry for entry in entries if entry.action != "register"]
    if entries:
        yield ""
    for by, number in registered.items():
        yield from hanging(f"{count(number, 'node')} registered by {by}", terminal)
    for entry in others[:SHOWN_AUDIT]:
        where = f" ({entry.address})" if entry.address else ""
        detail = f": {entry.detail}" if entry.detail else ""
        what = f"{phase(entry.action)} {entry.node}".rstrip()
        yield from hanging(f"{moment(entry.at)}  {what} by {entry.by}{where}{detail}", terminal)
    if len(others) > SHOWN_AUDIT:
        yield from hanging(f"and {len(others) - SHOWN_AUDIT} more, in GET /audit", terminal)


def show_digest(recent: Recent, nodes: Sequence[Node], terminal: Terminal) -> Iterator[str]:
    """Each node that changed, then everybody who is missing, suppressed or gone, then the totals. Times are UTC."""
    now_ns = parse_timestamp(recent.timestamp)
    moment = _moment_of(recent.timestamp)
    span = format_duration(now_ns - parse_timestamp(recent.since))
    yield from paragraph(f"From {moment(recent.since)} to {moment(recent.timestamp)} UTC ({span})", terminal)
    if not recent.complete:
        yield from paragraph("More happened than is shown: ask for a shorter time, or with --limit.", terminal)
    yield ""
    changed = _by_node(recent.transitions)
    left = {departure.node: departure for departure in recent.departures}
    if not changed:
        yield "no node changed its status"
    for name, transitions in changed.items():
        text = _summary(transitions, left.get(name), now_ns, moment)
        yield from hanging(f"{name}  {text}", terminal)
    yield ""
    yield from _lists(recent.departures, nodes, now_ns, moment, terminal)
    yield ""
    statuses = [node.status for node in nodes]
    totals = listed(f"{statuses.count(status)} {status}" for status in ("active", "warning", "offline"))
    changes = f"{count(len(recent.transitions), 'transition')} of {count(len(changed), 'node')}"
    yield from paragraph(f"{count(len(nodes), 'node')} ({totals}); {changes}", terminal)


def _lists(
    departures: Iterable[Departure], nodes: Sequence[Node], now_ns: int, moment: Moment, terminal: Terminal
) -> Iterator[str]:
    missing, suppressed_missing, suppressed, overdue = [], [], [], []
    for node in nodes:
        text = f"{node.name} ({node.status}{', held' if node.held else ''}, last seen {moment(node.last_seen)})"
        if node.lifecycle == "in_service" and node.suppressed_by:
            suppressed_missing.append(f"{text[:-1]}, {' and '.join(node.suppressed_by)})")
        elif node.lifecycle == "in_service":
            if node.status != "active":
                missing.append(text)
        elif node.status == "active":
            suppressed.append(f"{node.name} ({phase(node.lifecycle)} until {moment(node.lifecycle_until)})")
        elif _is_past(node.lifecycle_until, now_ns):
            overdue.append(f"{node.name} ({node.status}, {phase(node.lifecycle)} to {moment(node.lifecycle_until)})")
        else:
            suppressed_missing.append(text)
    gone: dict[str, list[str]] = {"forgotten": [], "departed": []}
    for departure in departures:
        gone.setdefault(departure.reason, []).append(f"{departure.node} ({moment(departure.at)})")
    for title, names in (
        ("still missing", missing),
        ("missing, alerts suppressed", suppressed_missing),
        ("active, alerts suppressed", suppressed),
        ("overdue", overdue),
        ("forgotten", gone["forgotten"]),
        ("deregistered", gone["departed"]),
    ):
        yield from hanging(f"{title}: {listed(names) or 'none'}", terminal)


def _by_node(transitions: Iterable[RecentTransition]) -> dict[str, list[RecentTransition]]:
    """Each node's, oldest first; the nodes in order of their latest."""
    found: dict[str, list[RecentTransition]] = {}
    for transition in transitions:
        found.setdefault(transition.node, []).insert(0, transition)
    return found


def _summary(transitions: list[RecentTransition], left: Departure | None, now_ns: int, moment: Moment) -> str:
    parts: list[str] = []
    offline_since: str | None = None
    for transition in transitions:
        if transition.to == "offline":
            offline_since = transition.at
        elif transition.from_ == "offline":
            parts.append(_outage(offline_since, transition.at, moment))
            offline_since = None
    if offline_since is not None:
        if left is not None and left.at >= offline_since:
            parts.append(_outage(offline_since, left.at, moment))
        else:
            lasted = format_duration(now_ns - parse_timestamp(offline_since))
            parts.append(f"offline since {moment(offline_since)} ({lasted})")
    warnings = sum(transition.to == "warning" for transition in transitions)
    if warnings:
        parts.append("warning once" if warnings == 1 else f"warning {warnings} times")
    returned = transitions[-1].to == "active"
    if returned and transitions[-1].from_ == "warning":
        parts.append(f"back {moment(transitions[-1].at)}")
    return listed(parts)


def _outage(since: str | None, to: str, moment: Moment) -> str:
    if since is None:
        return f"offline until {moment(to)}"
    lasted = format_duration(parse_timestamp(to) - parse_timestamp(since))
    return f"offline {moment(since)}-{moment(to)} ({lasted})"


def _moment_of(now: str) -> Moment:
    """Times of the day that it is now, and the date beside those of others."""
    today = format_timestamp(parse_timestamp(now))[:10]

    def moment(timestamp: str) -> str:
        try:
            at = format_timestamp(parse_timestamp(timestamp) // SECOND * SECOND)
        except (ValueError, OverflowError):
            return timestamp or "?"
        return at[11:16] if at[:10] == today else f"{at[:10]} {at[11:16]}"

    return moment


def _is_past(timestamp: str, now_ns: int) -> bool:
    try:
        return parse_timestamp(timestamp) <= now_ns
    except (ValueError, OverflowError):
        return False
