"""What may be true: compares what registries show with what was sent to them, and lists what cannot be, in words.

Times are seconds of one monotonic clock. Each rule holds whatever faults there are, so that none has to be left out:

- A node that goes on sending, and was shown active, stays active: everywhere, also where a registry is cut off.
- A heartbeat that was acknowledged makes its node active, and keeps it so for `warning_after`, wherever nothing is
  disturbed.
- A node that sends nothing is warning and offline in time; only time without any disturbance counts here.
- Nobody becomes active without a heartbeat, and `last_seen` does not go back.
- What was acknowledged (registrations, departures, lifecycle) is there, and what departed is gone.
- Each recorded transition follows from the one before it, stays recorded, and is the same at every registry.
- Each event is on the bus once, is recorded, and each recorded transition of calm times was on the bus.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.soak.disturbances import Disturbance, Disturbances

ACTIVE, WARNING, OFFLINE = "active", "warning", "offline"
LIVED = {ACTIVE: {OFFLINE, WARNING}, WARNING: {ACTIVE}, OFFLINE: {WARNING}}
"""From which statuses each can be entered."""
Transition = tuple[str, str, str]
"""From, to, at."""
NEVER = -1e9


@dataclass(frozen=True)
class Limits:
    """The thresholds, and what is conceded to machines that are busy."""

    warning_after: float
    offline_after: float
    interval: float
    spread: float = 3.0
    """So long may news take from one registry to the others."""

    @property
    def pace(self) -> float:
        """A node that sends no more slowly than this goes on sending."""
        return self.warning_after / 2

    @property
    def late(self) -> float:
        """So much later than its threshold may be a transition: the grace after the last outage, and the spread."""
        return self.warning_after / 2 + self.spread


@dataclass
class Fact:
    """Something that writes change: what it may be, and since when that is so."""

    values: set[str]
    since: float = NEVER
    acknowledged: bool = False

    def write(self, value: str, now: float, *, acknowledged: bool) -> None:
        """A write ended: it was acknowledged, or nobody knows."""
        self.values = {value} if acknowledged else {*self.values, value}
        self.since = now
        self.acknowledged = acknowledged


@dataclass
class Subject:
    """All that is known of a node."""

    presence: Fact = field(default_factory=lambda: Fact({"absent"}))
    lifecycle: Fact = field(default_factory=lambda: Fact({"in_service"}))
    steady_since: float = NEVER
    """Since when it goes on sending."""
    attempted: float = NEVER
    """When it last sent anything, received or not."""
    received: list[tuple[float, float, str]] = field(default_factory=list)
    """Heartbeats that were acknowledged: sent, done, by which registry (empty: the bus); the latest few."""
    epoch: float = NEVER
    """When it last began to be another node: it departed."""
    lives: int = 0


@dataclass
class Seen:
    """What one registry showed last of one node."""

    status: str
    at: float
    last_seen: str
    steady: bool = False
    """It was shown active while it went on sending."""
    held: float = NEVER
    """When it was last shown to be held."""


@dataclass(frozen=True)
class Look:
    """One answer of a registry: when it was asked and answered, and since when something was disturbed meanwhile."""

    registry: str
    asked: float
    answered: float
    began: float | None

    @property
    def known(self) -> float:
        """What was so by then, and not later, it must know."""
        return self.asked if self.began is None else self.began


class Oracle:
    """Takes in what was sent and what is shown; `mismatches` is what cannot be."""

    def __init__(self, limits: Limits, disturbances: Disturbances) -> None:
        self.limits = limits
        self.disturbances = disturbances
        self.blind: dict[str, Disturbance] = {}
        """Registries that say now that they are."""
        self.mismatches: list[str] = []
        self.lost: list[str] = []
        self.duplicates: list[str] = []
        self.acknowledged_writes = 0
        self.comparisons = 0
        self._subjects: dict[str, Subject] = {}
        self._seen: dict[tuple[str, str], Seen] = {}
        self._history: dict[str, list[Transition]] = {}
        self._recorded_at: dict[tuple[str, Transition], tuple[float, float]] = {}
        self._first_seen: dict[tuple[str, Transition], float] = {}
        self._stayed: set[tuple[str, Transition]] = set()
        """Transitions that were listed again `spread` after they were first: by then they are recorded."""
        self._events: Counter[tuple[str, str, str, str]] = Counter()
        self._received_times: defaultdict[tuple[str, Transition], Counter[str]] = defaultdict(Counter)
        """How often each Redis passed each transition on."""
        self._received_at: dict[tuple[str, Transition], float] = {}
        self._said: set[tuple[str, str, str]] = set()

    def subject(self, node: str) -> Subject:
        """What is known of the node."""
        return self._subjects.setdefault(node, Subject())

    # What is sent

    def attempt(self, node: str, now: float) -> None:
        """The node sends a heartbeat, or a registration, now."""
        subject = self.subject(node)
        if now - subject.attempted > self.limits.pace:
            subject.steady_since = now
        subject.attempted = now

    def receive(self, node: str, sent: float, done: float, by: str = "") -> None:
        """A heartbeat that was sent then was acknowledged, by a registry or by the bus."""
        received = self.subject(node).received
        received.append((sent, done, by))
        del received[:-8]

    def write(self, node: str, kind: str, value: str, now: float, *, acknowledged: bool) -> None:
        """A write ended: `kind` is presence or lifecycle. A departure ends the node, whatever comes later."""
        subject = self.subject(node)
        fact: Fact = getattr(subject, kind)
        fact.write(value, now, acknowledged=acknowledged)
        self.acknowledged_writes += acknowledged
        if kind == "presence" and value == "absent":
            subject.epoch = now
            subject.lives += acknowledged
            subject.steady_since = NEVER
            subject.attempted = NEVER
            subject.lifecycle = Fact({"in_service", *subject.lifecycle.values})
            self._history.pop(node, None)
            for known in [known for known in self._received_at if known[0] == node]:
                del self._received_at[known], self._received_times[known]
            for key in [key for key in self._seen if key[1] == node]:
                del self._seen[key]
        elif kind == "presence" and acknowledged and subject.lifecycle.since < subject.epoch:
            subject.lifecycle = Fact({"in_service"}, now)

    def refused(self, registry: str, node: str, status: int, sent: float) -> None:
        """The registry answered that it does not know the node (404), or that the node departed (410)."""
        fact = self.subject(node).presence
        began = self.disturbances.begin_of(registry, sent - self.limits.spread, sent)
        known = (sent if began is None else began) - self.limits.spread
        if fact.acknowledged and fact.values == {"present"} and fact.since < known:
            self._record_loss(registry, node, f"registered {sent - fact.since:.1f} s ago, and answered with {status}")

    def restarted(self, registry: str) -> None:
        """It lost its memory: what it had not saved yet it need not know."""
        for key in [key for key in self._seen if key[0] == registry]:
            del self._seen[key]

    # What is shown

    def see(self, registry: str, asked: float, answered: float, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """All nodes, as a registry shows them. One that says itself that it is blind is disturbed for as long."""
        held = sum(bool(document.get("held")) for document in documents.values())
        if 2 * held > len(documents):
            if registry not in self.blind:
                self.blind[registry] = self.disturbances.begin("blind", registry, asked)
        elif registry in self.blind:
            self.disturbances.end(self.blind.pop(registry), asked)
        began = self.disturbances.begin_of(registry, asked - self.limits.spread, answered)
        look = Look(registry, asked, answered, began)
        for node, subject in list(self._subjects.items()):
            document = documents.get(node)
            self.comparisons += 1
            self._presence(look, node, subject, present=document is not None)
            if document is not None:
                self._status(look, node, subject, document)
                self._lifecycle(look, node, subject, document)
            elif "absent" in subject.presence.values:
                # A registry that learned late of the departure showed it until now: what comes is another life.
                self._seen.pop((registry, node), None)
        for node in documents.keys() - self._subjects.keys():
            self._say(registry, node, "nobody registered it, nor did it send anything", "made up")

    def see_gauges(
        self, registry: str, before: Mapping[str, str], gauges: Mapping[str, str], after: Mapping[str, str]
    ) -> None:
        """The statuses in `/metrics`, and those in `/nodes` right before and after."""
        for node, status in before.items():
            if after.get(node) == status and gauges.get(node) != status:
                self._say(registry, node, f"/nodes shows {status}, /metrics {gauges.get(node)}", "gauge")

    def see_histories(
        self, registry: str, asked: float, answered: float, histories: Mapping[str, list[Transition]]
    ) -> None:
        """The recorded transitions of all nodes, oldest first."""
        if not self.disturbances.undisturbed(registry, asked - self.limits.spread, answered):
            return  # Without its store it shows what memory has.
        calm = self.disturbances.undisturbed("", asked - self.limits.spread, answered)
        for node, subject in list(self._subjects.items()):
            history = list(histories.get(node, []))
            self._chain(registry, node, subject, history)
            if not calm or subject.epoch > asked - self.limits.spread or "absent" in subject.presence.values:
                continue
            known = self._history.get(node)
            if known is None:
                self._history[node] = history
                continue
            standing = self._standing(registry, node, known, history, asked)
            if standing is None:
                continue
            for each in standing:
                if asked - self._first_seen.get((node, each), NEVER) >= self.limits.spread:
                    self._stayed.add((node, each))
            for each in history[len(standing) :]:
                self._recorded_at[node, each] = (asked, answered)
                self._first_seen[node, each] = asked
            self._history[node] = history

    def _standing(
        self, registry: str, node: str, known: list[Transition], history: list[Transition], asked: float
    ) -> list[Transition] | None:
        """What was listed before and is listed now; None where that ends the comparison."""
        if history[: len(known)] == known:
            return known
        if len(history) < len(known) and known[: len(history)] == history:
            # Read before the other registry's answer, which had more: the next look decides.
            if asked - self._recorded_at.get((node, known[-1]), (NEVER, NEVER))[1] > self.limits.spread:
                self._record_loss(registry, node, f"the transitions {known[len(history) :]} are recorded no more")
            return None
        position = next(number for number, each in enumerate(known) if history[number] != each)
        if (node, known[position]) in self._stayed:
            self._say(registry, node, f"recorded were {known}, now {history}", "rewritten")
            return None
        # Memory alone had it, which is listed too; the store took that of another registry.
        for each in known[position:]:
            self._recorded_at.pop((node, each), None)
        return known[:position]

    def take_event(self, event: Mapping[str, Any], now: float, where: str) -> None:
        """An event of the registries, on that Redis."""
        kind, data = str(event.get("type")), event.get("data", {})
        if kind == "node_register_requested":
            return
        node = str(data.get("node"))
        if kind == "node_status_changed":
            transition = data["from"], data["to"], data["at"]
            self._received_times[node, transition][where] += 1
            self._received_at[node, transition] = now
            return
        # A clock that was set back may give another life of a node the times of the one before.
        key = where, kind, node, f"{data.get('at')} in life {self.subject(node).lives}"
        self._events[key] += 1
        if self._events[key] > 1:
            self.duplicates.append(f"{where}: {kind} {node} {data.get('at')} once more")

    def compare_events(self, now: float) -> None:
        """Events that are not recorded; and of calm times, records that were no events."""
        calm_since = self.disturbances.calm_since(now)
        for (node, transition), taken in list(self._received_at.items()):
            known, subject = self._history.get(node), self.subject(node)
            if known is None or taken <= subject.epoch or taken < calm_since or now - taken < 3 * self.limits.spread:
                continue
            recorded = known.count(transition)
            if not recorded:
                self._say("the bus", node, f"{transition} was published and is not recorded", "unrecorded")
            # While a clock is behind, transitions bear the time of the one before: two may be alike.
            times = max(self._received_times[node, transition].values())
            if times > recorded > 0:
                self._received_times[node, transition].clear()
                self.duplicates.append(
                    f"{node}: {transition} was published {times} times and recorded {recorded} times"
                )
        for (node, transition), (asked, _) in list(self._recorded_at.items()):
            if now - asked < 2 * self.limits.spread or asked < self.subject(node).epoch:
                continue
            del self._recorded_at[node, transition]
            if (node, transition) not in self._received_at and self.disturbances.undisturbed(
                "", asked - 3 * self.limits.spread, now
            ):
                self._say("the bus", node, f"{transition} is recorded and was not published", "unpublished")

    def finish(self) -> None:
        """The faults are over for long: nobody may be blind any more."""
        self.mismatches += [f"{registry}: it is still blind" for registry in sorted(self.blind)]

    # The rules

    def _presence(self, look: Look, node: str, subject: Subject, *, present: bool) -> None:
        fact = subject.presence
        if not fact.acknowledged or fact.since > look.known - self.limits.spread:
            return
        ago = f"acknowledged {look.asked - fact.since:.1f} s ago"
        if not present and fact.values == {"present"}:
            self._record_loss(look.registry, node, f"its registration was {ago}, and it is not shown")
        if present and fact.values == {"absent"} and subject.attempted == NEVER:
            self._record_loss(look.registry, node, f"its departure was {ago}, and it is shown")

    def _lifecycle(self, look: Look, node: str, subject: Subject, document: Mapping[str, Any]) -> None:
        fact, shown = subject.lifecycle, document.get("lifecycle", "in_service")
        if fact.acknowledged and fact.since <= look.known - self.limits.spread and shown not in fact.values:
            ago = f"acknowledged {look.asked - fact.since:.1f} s ago"
            self._record_loss(look.registry, node, f"{fact.values} was {ago}, and it is {shown}")

    def _status(self, look: Look, node: str, subject: Subject, document: Mapping[str, Any]) -> None:
        limits, status, last_seen = self.limits, str(document["status"]), str(document["last_seen"])
        before = self._seen.get((look.registry, node))
        if before is not None and before.at < subject.epoch + limits.spread:
            before = None  # Of the life before: a look may have been under way, and news take their time.
        held = look.answered if document.get("held") else before.held if before else NEVER
        self._seen[look.registry, node] = seen = Seen(status, look.asked, last_seen, held=held)
        if subject.presence.since > look.asked - limits.spread:
            return  # It comes or goes at this moment.
        steady = look.answered - subject.attempted <= limits.pace
        was_steady = before is not None and before.steady and before.at >= subject.steady_since
        settled = look.asked - subject.steady_since >= limits.spread and (look.began is None or was_steady)
        seen.steady = steady and settled and status == ACTIVE
        if status != ACTIVE and steady and was_steady:
            said = f"it goes on sending since {look.asked - subject.steady_since:.1f} s, and is {status}"
            self._say(look.registry, node, said, "false")
        if look.began is None:
            self._received(look, node, subject, status)
            self._death(look, node, subject, seen)
        if before is not None:
            if last_seen < before.last_seen:
                self._say(look.registry, node, f"last_seen went back from {before.last_seen} to {last_seen}", "back")
            revived = status == ACTIVE and before.status != ACTIVE
            if revived and look.began is None and subject.attempted < before.at - limits.spread:
                said = f"it sent nothing for {look.asked - subject.attempted:.1f} s, and turned active"
                self._say(look.registry, node, said, "invented")

    def _received(self, look: Look, node: str, subject: Subject, status: str) -> None:
        """What was acknowledged counts; what a registry received that is cut off, others cannot know."""
        for sent, done, by in subject.received if status != ACTIVE else ():
            undisturbed = not by or self.disturbances.undisturbed(by, done, look.asked)
            early = done <= look.asked - self.limits.spread
            if undisturbed and early and sent > look.answered - self.limits.warning_after + 0.5:
                said = f"a heartbeat of {look.answered - sent:.1f} s ago was acknowledged, and it is {status}"
                self._say(look.registry, node, said, "false")
                return

    def _death(self, look: Look, node: str, subject: Subject, seen: Seen) -> None:
        """Who sends nothing is noticed. Time in which it was held, for a stall of that registry too, does not count."""
        limits, age = self.limits, look.asked - subject.attempted
        if subject.attempted == NEVER or age <= limits.warning_after:
            return
        counted = self.disturbances.calm_seconds(max(subject.attempted, seen.held), look.asked)
        for threshold, late in ((limits.offline_after, {ACTIVE, WARNING}), (limits.warning_after, {ACTIVE})):
            if counted > threshold + limits.late and seen.status in late:
                said = f"it sent nothing for {age:.1f} s, {counted:.1f} of them calm, and is {seen.status}"
                self._say(look.registry, node, said, "dead")

    def _chain(self, registry: str, node: str, subject: Subject, history: Sequence[Transition]) -> None:
        status = None
        # A node that left, whatever its status, and registered again began as active.
        lives = subject.lives + ("absent" in subject.presence.values)
        for position, (from_, to, at) in enumerate(history):
            if status is not None and from_ != status and from_ == ACTIVE and lives:
                lives, status = lives - 1, ACTIVE
            if from_ not in LIVED[to] or (status is not None and from_ != status):
                said = (
                    f"a transition from {from_} to {to} at {at} follows on {history[max(0, position - 4) : position]}"
                )
                self._say(registry, node, said, "chain")
            status = to

    def _say(self, registry: str, node: str, what: str, kind: str) -> None:
        """Each kind of mismatch once a node and registry."""
        if (registry, node, kind) not in self._said:
            self._said.add((registry, node, kind))
            self.mismatches.append(f"{registry}: {node}: {what}")

    def _record_loss(self, registry: str, node: str, what: str) -> None:
        if (registry, node, "lost") not in self._said:
            self._said.add((registry, node, "lost"))
            self.lost.append(f"{registry}: {node}: {what}")
