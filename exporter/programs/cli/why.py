"""`aurora-cli why NAME`: how a status came about, in calm sentences."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.client.documents import BlindSpell, Why
from exporter.client.endpoint import node_path
from exporter.domain.timestamp import parse_timestamp
from exporter.programs.cli.context import Context
from exporter.programs.cli.humanize import ago, duration, phase, transport
from exporter.programs.cli.terminal import Terminal
from exporter.programs.cli.wrap import bullet, paragraph

FORGOTTEN = "forgotten"


def explain(context: Context) -> None:
    """How the status of one node came about."""
    reply = context.client.get(f"{node_path(context.arguments.name)}/why")
    if context.arguments.json:
        context.show_json(reply.document())
    else:
        context.show(tell_why(reply.of(Why), context.terminal))


def tell_why(why: Why, terminal: Terminal) -> Iterator[str]:
    """The status, what it rests on, what comes next, and what keeps its alerts quiet."""
    status = "in warning" if why.status == "warning" else why.status
    yield from paragraph(f"{why.node} is {status}, since {_moment(why.status_since, why.timestamp)}.", terminal)
    yield ""
    yield from paragraph(_heard(why), terminal)
    if why.not_counted_seconds >= 1:
        for spell in why.not_counted:
            yield from bullet(_spell(spell), terminal)
    yield from paragraph(_silence(why), terminal)
    if why.held:
        since = f" since {_moment(why.held_since, why.timestamp)}" if why.held_since else ""
        yield from paragraph(
            f"Its status is held{since}, until the registry has heard for long enough again.", terminal
        )
    yield from paragraph(_next(why), terminal)
    if why.lifecycle.phase != "in_service":
        yield from paragraph(_lifecycle(why), terminal)
    if why.ignored:
        yield from paragraph("Left out of its latest heartbeat, which counts all the same:", terminal)
        for part in why.ignored:
            yield from bullet(f"{part.field}: {part.message}" if part.field else part.message, terminal)
    yield ""
    yield from _quiet(why, terminal)
    if not why.pages:
        yield from paragraph("Its environment is not production: its alerts have severity info.", terminal)


def _heard(why: Why) -> str:
    last = why.last_heard
    told = f"It was last heard {duration(last.age_seconds)} ago, over {transport(last.transport)} ({last.at})."
    if why.not_counted_seconds < 1:
        # Silence is counted up to the last proof of hearing, which is always a moment ago.
        return told
    told += f" Of that time, {duration(why.not_counted_seconds)} is not counted: the registry could not hear it"
    return told + (":" if why.not_counted else ".")


def _spell(spell: BlindSpell) -> str:
    if not spell.to:
        return f"from {spell.from_} on, until now"
    grace = f", and then until {spell.grace_until} for it to be heard again" if spell.grace_until else ""
    return f"from {spell.from_} to {spell.to}{grace}"


def _silence(why: Why) -> str:
    limits = why.thresholds
    return (
        f"That makes {duration(why.counted_age_seconds)} of silence; a node is in warning from "
        f"{duration(limits.warning_after_seconds)} on, and offline after {duration(limits.offline_after_seconds)}."
    )


def _next(why: Why) -> str:
    becomes = "it is forgotten" if why.next.status == FORGOTTEN else f"its status turns to {why.next.status}"
    if why.next.in_seconds is None:
        return f"If it stays silent, {becomes}, but not before the registry can hear it again."
    return f"If it stays silent, {becomes} in {duration(why.next.in_seconds)}."


def _lifecycle(why: Why) -> str:
    lifecycle = why.lifecycle
    setter = {"people": "people", "node": "the node itself"}.get(lifecycle.set_by, lifecycle.set_by)
    told = (
        f"It is in {phase(lifecycle.phase)}" if lifecycle.phase == "maintenance" else f"It is {phase(lifecycle.phase)}"
    )
    told += f", set by {setter}" if setter else ""
    told += f", until {lifecycle.until}" if lifecycle.until else ""
    told += f": {lifecycle.reason}" if lifecycle.reason else ""
    if lifecycle.overdue:
        return f"{told}. That is overdue: it ended, and the node is not active."
    return f"{told}."


def _quiet(why: Why, terminal: Terminal) -> Iterator[str]:
    if not why.quiet:
        yield from paragraph("Nothing keeps its alerts quiet.", terminal)
        return
    yield from paragraph("Its alerts are quiet, because", terminal)
    for reason in why.quiet:
        yield from bullet(reason, terminal)


def _moment(timestamp: str, now: str) -> str:
    try:
        told = ago(timestamp, parse_timestamp(now))
    except ValueError:
        told = ""
    return f"{timestamp} ({told})" if told else timestamp
