"""`aurora-cli why NAME`: why a node has its status, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.client.documents import Outage, Why
from exporter.client.endpoint import node_path
from exporter.domain.timestamp import parse_timestamp
from exporter.programs.cli.context import Context
from exporter.programs.cli.humanize import ago, duration, phase, transport
from exporter.programs.cli.terminal import Terminal
from exporter.programs.cli.wrap import bullet, paragraph

FORGOTTEN = "forgotten"


def explain(context: Context) -> None:
    """Why one node has its status."""
    reply = context.client.get(f"{node_path(context.arguments.name)}/why")
    if context.arguments.json:
        context.show_json(reply.document())
    else:
        context.show(explanation(reply.of(Why), context.terminal))


def explanation(why: Why, terminal: Terminal) -> Iterator[str]:
    """The status and its reason, what comes next, and what suppresses its alerts."""
    status = "in warning" if why.status == "warning" else why.status
    yield from paragraph(f"{why.node} is {status}, since {_moment(why.status_since, why.timestamp)}.", terminal)
    yield ""
    yield from paragraph(_last_heartbeat(why), terminal)
    if why.not_counted_seconds >= 1:
        for outage in why.not_counted:
            yield from bullet(_outage(outage), terminal)
    yield from paragraph(_counted_age(why), terminal)
    if why.held:
        since = f" since {_moment(why.held_since, why.timestamp)}" if why.held_since else ""
        yield from paragraph(
            f"Its status is frozen{since}, until the registry has received for long enough again.", terminal
        )
    yield from paragraph(_next(why), terminal)
    if why.lifecycle.phase != "in_service":
        yield from paragraph(_lifecycle(why), terminal)
    if why.ignored:
        yield from paragraph("Left out of its latest heartbeat, which counts all the same:", terminal)
        for part in why.ignored:
            yield from bullet(f"{part.field}: {part.message}" if part.field else part.message, terminal)
    yield ""
    yield from _suppressed(why, terminal)
    if not why.pages:
        yield from paragraph("Its environment is not production: its alerts have severity info.", terminal)


def _last_heartbeat(why: Why) -> str:
    last = why.last_heartbeat
    text = f"Its last heartbeat was {duration(last.age_seconds)} ago, over {transport(last.transport)} ({last.at})."
    if why.not_counted_seconds < 1:
        # Age is counted up to the last proof of reception, which is always a moment ago.
        return text
    text += f" Of that time, {duration(why.not_counted_seconds)} is not counted: the registry could not receive"
    return text + (":" if why.not_counted else ".")


def _outage(outage: Outage) -> str:
    if not outage.to:
        return f"from {outage.from_} on, until now"
    grace = f", and then until {outage.grace_until} for its next heartbeat to arrive" if outage.grace_until else ""
    return f"from {outage.from_} to {outage.to}{grace}"


def _counted_age(why: Why) -> str:
    limits = why.thresholds
    return (
        f"Its counted age is {duration(why.counted_age_seconds)}; a node is in warning from "
        f"{duration(limits.warning_after_seconds)} on, and offline after {duration(limits.offline_after_seconds)}."
    )


def _next(why: Why) -> str:
    becomes = "it is forgotten" if why.next.status == FORGOTTEN else f"its status turns to {why.next.status}"
    if why.next.in_seconds is None:
        return f"Without a heartbeat {becomes}, but not before the registry receives again."
    return f"Without a heartbeat {becomes} in {duration(why.next.in_seconds)}."


def _lifecycle(why: Why) -> str:
    lifecycle = why.lifecycle
    setter = {"people": "people", "node": "the node itself"}.get(lifecycle.set_by, lifecycle.set_by)
    text = (
        f"It is in {phase(lifecycle.phase)}" if lifecycle.phase == "maintenance" else f"It is {phase(lifecycle.phase)}"
    )
    text += f", set by {setter}" if setter else ""
    text += f", until {lifecycle.until}" if lifecycle.until else ""
    text += f": {lifecycle.reason}" if lifecycle.reason else ""
    if lifecycle.overdue:
        return f"{text}. That is overdue: it ended, and the node is not active."
    return f"{text}."


def _suppressed(why: Why, terminal: Terminal) -> Iterator[str]:
    if not why.suppressed:
        yield from paragraph("Nothing suppresses its alerts.", terminal)
        return
    yield from paragraph("Its alerts are suppressed, because", terminal)
    for reason in why.suppressed:
        yield from bullet(reason, terminal)


def _moment(timestamp: str, now: str) -> str:
    try:
        distance = ago(timestamp, parse_timestamp(now))
    except ValueError:
        distance = ""
    return f"{timestamp} ({distance})" if distance else timestamp
