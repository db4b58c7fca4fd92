"""Topology: which node reaches which, by rules over roles and GPUs, and by the links that nodes state themselves."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.domain.registration import Registration


@dataclass(frozen=True, slots=True)
class Selector:
    """Nodes that a rule is about: of one of these roles (empty means any), and with or without GPUs (None: both)."""

    roles: tuple[str, ...] = ()
    gpu: bool | None = None

    def matches(self, facts: Registration) -> bool:
        """Whether the node is meant."""
        return (not self.roles or facts.role in self.roles) and self.gpu in (None, facts.gpus > 0)


@dataclass(frozen=True, slots=True)
class EdgeRule:
    """Every source reaches every target but itself, by a connection of this type. One rule a type."""

    type: str
    source: Selector = Selector()
    target: Selector = Selector()


LEAD = Selector(roles=("lead",))
DEFAULT_RULES = (
    EdgeRule("vpn_mesh", source=LEAD),
    EdgeRule("db_replication", source=LEAD),
    EdgeRule("gpu_mesh", source=Selector(gpu=True), target=LEAD),
)
