"""When what was disturbed: a registry by itself, or all of them at once."""

from __future__ import annotations

from dataclasses import dataclass, field

FOREVER = float("inf")
BEFORE = 1.5
"""Seconds before a fault that may be uncertain as well: what was not saved yet, and the last proof of receiving."""


@dataclass
class Disturbance:
    """A fault, from when to when, and the node that it concerns (empty: all)."""

    name: str
    registry: str
    began: float
    ended: float = FOREVER


@dataclass
class Disturbances:
    """All faults of a run; each is taken to last `settle` seconds longer than it did."""

    settle: float
    all: list[Disturbance] = field(default_factory=list)
    _known: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def begin(self, name: str, registry: str, now: float) -> Disturbance:
        """A fault begins."""
        disturbance = Disturbance(name, registry, now)
        self.all.append(disturbance)
        self._known.clear()
        return disturbance

    def end(self, disturbance: Disturbance, now: float) -> None:
        """It is over."""
        disturbance.ended = now
        self._known.clear()

    def undisturbed(self, registry: str, since: float, until: float) -> bool:
        """Whether nothing concerned the registry in that time (empty: any registry)."""
        return self.begin_of(registry, since, until) is None

    def begin_of(self, registry: str, since: float, until: float) -> float | None:
        """When the disturbance began that concerned the registry in that time; None where there was none.

        Disturbances that follow one another are one.
        """
        began: float | None = None
        for from_, to in reversed(self._merged(registry)):
            if from_ <= until and to >= since:
                began = from_
        return began

    def calm_seconds(self, since: float, until: float) -> float:
        """For how much of that time nothing was disturbed anywhere."""
        calm = until - since
        for from_, to in self._merged(""):
            calm -= max(0.0, min(to, until) - max(from_, since))
        return calm

    def calm_since(self, now: float) -> float:
        """Since when nothing is disturbed anywhere; now, while something is."""
        latest = max((to for from_, to in self._merged("") if from_ <= now), default=0.0)
        return min(latest, now)

    def _merged(self, registry: str) -> list[tuple[float, float]]:
        if registry in self._known:
            return self._known[registry]
        spans = sorted(
            (each.began - BEFORE, each.ended + self.settle)
            for each in self.all
            if not registry or not each.registry or each.registry == registry
        )
        merged: list[tuple[float, float]] = []
        for from_, to in spans:
            if merged and from_ <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(merged[-1][1], to)
            else:
                merged.append((from_, to))
        self._known[registry] = merged
        return merged
