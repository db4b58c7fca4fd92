"""Reception: how much of the time since a node's last heartbeat counts.

Being blind is not a node's fault. While we cannot receive over a transport, the counted age of its nodes stands still.
It goes on once we receive again and each node had a grace to send. Time that no proof of reception covers does not
count yet: the age is measured up to the last proof, so that an outage that is noticed late does no harm. Where much
waits to be read, the proofs are late, but nothing is missed: that is no outage.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class Source:
    """Something that a transport needs to receive: the process itself, the bus subscription, a shared store."""

    __slots__ = ("heard_ns", "interruptions", "lost", "name", "proof_ns")

    def __init__(self, name: str, now_ns: int, *, lost: bool = False) -> None:
        self.name = name
        self.proof_ns = now_ns
        """When it last proved to work: what was sent until then was received."""
        self.heard_ns = now_ns
        """Until when it brought something again and again, however long ago that was sent."""
        self.lost = lost
        """Known not to work now."""
        self.interruptions = int(lost)
        """After each, something may have been missed since the last proof, even if the next one comes soon."""

    def mark_down(self) -> None:
        """The source broke; what is sent from the last proof on may be missed."""
        self.lost = True
        self.interruptions += 1

    def mark_alive(self, now_ns: int) -> None:
        """The source works: what was sent until now has been received, unless the source was down before."""
        self.proof_ns = max(self.proof_ns, now_ns)
        self.heard_ns = max(self.heard_ns, now_ns)
        self.lost = False

    def mark_heard(self, now_ns: int, gap_ns: int) -> None:
        """It brought something: hearing goes on, unless it was broken by a gap, which only a proof ends."""
        if now_ns - self.heard_ns <= gap_ns:
            self.heard_ns = now_ns


@dataclass(frozen=True, slots=True)
class Outage:
    """A time on the monotonic clock in which nothing was received, and the grace that followed it."""

    from_ns: int
    to_ns: int
    grace_ns: int

    @property
    def grace_end_ns(self) -> int:
        """From here on the age of a node without a heartbeat since counts again."""
        return self.to_ns + self.grace_ns


@dataclass(slots=True)
class Reception:
    """What one transport received, and when it could not. All times are monotonic nanoseconds.

    `gap_ns`: a longer time without proof is an outage. `grace_ns`: what follows an outage uncounted for a node that
    has not sent yet. `budget_ns`: the most grace within one age, so that a crash loop hides no dead node.
    """

    sources: tuple[Source, ...]
    until_ns: int
    gap_ns: int
    grace_ns: int
    budget_ns: int
    outages: list[Outage] = field(default_factory=list)
    """Oldest first, without overlap; a grace that the next outage cut short is already cut."""
    blind_total_ns: int = 0
    interruptions: int = 0
    """Of the sources, as far as they were taken in."""

    def advance(self) -> bool:
        """Take in what the sources proved since; True when an outage ended just now."""
        proof_ns = min(source.proof_ns for source in self.sources)
        if proof_ns <= self.until_ns or any(source.lost for source in self.sources):
            return False
        gap = proof_ns - self.until_ns
        interruptions = sum(source.interruptions for source in self.sources)
        ended = interruptions != self.interruptions or gap > self.gap_ns
        self.interruptions = interruptions
        if ended:
            self.add_outage(self.until_ns, proof_ns)
            self.blind_total_ns += gap
        self.until_ns = proof_ns
        return ended

    def add_outage(self, from_ns: int, to_ns: int) -> None:
        """Note an outage after all others; it cuts a grace that still ran."""
        if self.outages and self.outages[-1].grace_end_ns > from_ns:
            last = self.outages[-1]
            self.outages[-1] = Outage(last.from_ns, last.to_ns, max(0, from_ns - last.to_ns))
        self.outages.append(Outage(from_ns, to_ns, self.grace_ns))

    def prune(self, before_ns: int) -> None:
        """Drop the outages that ended before the oldest last heartbeat of all nodes."""
        while self.outages and self.outages[0].to_ns <= before_ns:
            del self.outages[0]

    def unproven(self, now_ns: int) -> bool:
        """Whether nothing proves that we received what was sent within a gap."""
        return now_ns - self.until_ns > self.gap_ns or any(source.lost for source in self.sources)

    def blind(self, now_ns: int) -> bool:
        """Whether we cannot receive now, as far as we know: nothing arrives, not even what has waited."""
        return self.unproven(now_ns) and any(
            source.lost or now_ns - source.heard_ns > self.gap_ns for source in self.sources
        )

    def counted_age_ns(self, last_heartbeat_ns: int) -> int:
        """The age of a heartbeat of that time, up to the last proof, less outages and grace."""
        if last_heartbeat_ns >= self.until_ns:
            return 0
        uncounted = grace = 0
        for outage in reversed(self.outages):
            if outage.to_ns <= last_heartbeat_ns:
                break
            uncounted += outage.to_ns - max(outage.from_ns, last_heartbeat_ns)
            grace += min(outage.grace_end_ns, self.until_ns) - outage.to_ns
        return self.until_ns - last_heartbeat_ns - uncounted - min(grace, self.budget_ns)

    def missed_since(self, last_heartbeat_ns: int) -> bool:
        """Whether an outage lies between that moment and now."""
        return bool(self.outages) and self.outages[-1].to_ns > last_heartbeat_ns

    def held_since_ns(self, last_heartbeat_ns: int, now_ns: int) -> int | None:
        """Since when the status is frozen of a node with its last heartbeat then; None where it is not."""
        if self.blind(now_ns):
            return max(self.until_ns, last_heartbeat_ns)
        if not self.outages:
            return None
        last = self.outages[-1]
        if (
            last_heartbeat_ns >= last.to_ns
            or self.until_ns >= last.grace_end_ns
            or self._grace_spent(last_heartbeat_ns)
        ):
            return None
        return max(last.from_ns, last_heartbeat_ns)

    @property
    def holding(self) -> bool:
        """Whether a grace runs, so that nodes may be held although we receive."""
        return bool(self.outages) and self.until_ns < self.outages[-1].grace_end_ns

    def _grace_spent(self, last_heartbeat_ns: int) -> bool:
        spent = 0
        for outage in reversed(self.outages):
            if outage.to_ns <= last_heartbeat_ns:
                break
            spent += min(outage.grace_end_ns, self.until_ns) - outage.to_ns
        return spent >= self.budget_ns
