"""Reception: how much of the time since a node's last heartbeat counts.

Being blind is not a node's fault. While we cannot hear a transport, its nodes' silence stands still; it goes on once we
hear again and each node had a grace to be heard. What we cannot prove to have heard does not count yet: silence is
measured up to the last proof, so that a deaf spell that is noticed late has harmed nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class Source:
    """Something that a transport needs in order to hear: the process itself, the bus subscription, a shared store."""

    __slots__ = ("interruptions", "lost", "name", "proof_ns")

    def __init__(self, name: str, now_ns: int, *, lost: bool = False) -> None:
        self.name = name
        self.proof_ns = now_ns
        """When it last proved to work: a message, a pong, an answered write."""
        self.lost = lost
        """Known not to work now."""
        self.interruptions = int(lost)
        """After each, something may have been missed since the last proof, even if the next one comes soon."""

    def mark_down(self) -> None:
        """The source broke; what is sent from the last proof on may be missed."""
        self.lost = True
        self.interruptions += 1

    def mark_alive(self, now_ns: int) -> None:
        """The source works: whatever was sent until now has been heard, unless it was lost before."""
        self.proof_ns = max(self.proof_ns, now_ns)
        self.lost = False


@dataclass(frozen=True, slots=True)
class Outage:
    """A blind spell on the monotonic clock, and the grace that followed it. Nothing in between was heard."""

    from_ns: int
    to_ns: int
    grace_ns: int

    @property
    def grace_end_ns(self) -> int:
        """From here on a node that was not heard since may be blamed for its silence."""
        return self.to_ns + self.grace_ns


@dataclass(slots=True)
class Reception:
    """One transport's hearing. All times are monotonic nanoseconds.

    `gap_ns`: a longer time without proof is a blind spell. `grace_ns`: what follows a spell uncounted for a node that
    is still silent. `budget_ns`: the most grace that one silence may take in, so that a crash loop hides no death.
    """

    sources: tuple[Source, ...]
    until_ns: int
    gap_ns: int
    grace_ns: int
    budget_ns: int
    outages: list[Outage] = field(default_factory=list)
    """Oldest first, without overlap; a grace that the next spell cut short is already cut."""
    blind_total_ns: int = 0
    interruptions: int = 0
    """Of the sources, as far as they were taken in."""

    def advance(self) -> bool:
        """Take in what the sources proved since; True when a blind spell ended just now."""
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
        """Note a blind spell after all others; it cuts a grace that still ran."""
        if self.outages and self.outages[-1].grace_end_ns > from_ns:
            last = self.outages[-1]
            self.outages[-1] = Outage(last.from_ns, last.to_ns, max(0, from_ns - last.to_ns))
        self.outages.append(Outage(from_ns, to_ns, self.grace_ns))

    def prune(self, before_ns: int) -> None:
        """Drop the outages that ended before the node that is silent for longest was last heard."""
        while self.outages and self.outages[0].to_ns <= before_ns:
            del self.outages[0]

    def blind(self, now_ns: int) -> bool:
        """Whether we cannot hear now, as far as we know."""
        return now_ns - self.until_ns > self.gap_ns or any(source.lost for source in self.sources)

    def counted_age_ns(self, last_heartbeat_ns: int) -> int:
        """The silence of a node that was last heard then, up to the last proof, less blind time and grace."""
        if last_heartbeat_ns >= self.until_ns:
            return 0
        uncounted = grace = 0
        for spell in reversed(self.outages):
            if spell.to_ns <= last_heartbeat_ns:
                break
            uncounted += spell.to_ns - max(spell.from_ns, last_heartbeat_ns)
            grace += min(spell.grace_end_ns, self.until_ns) - spell.to_ns
        return self.until_ns - last_heartbeat_ns - uncounted - min(grace, self.budget_ns)

    def missed_since(self, last_heartbeat_ns: int) -> bool:
        """Whether a blind spell lies between that moment and now."""
        return bool(self.outages) and self.outages[-1].to_ns > last_heartbeat_ns

    def held_since_ns(self, last_heartbeat_ns: int, now_ns: int) -> int | None:
        """Since when the status of a node that was last heard then waits for us to hear; None when it does not."""
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
        """Whether a grace runs, so that any node at all may be held although we hear."""
        return bool(self.outages) and self.until_ns < self.outages[-1].grace_end_ns

    def _grace_spent(self, last_heartbeat_ns: int) -> bool:
        spent = 0
        for spell in reversed(self.outages):
            if spell.to_ns <= last_heartbeat_ns:
                break
            spent += min(spell.grace_end_ns, self.until_ns) - spell.to_ns
        return spent >= self.budget_ns
