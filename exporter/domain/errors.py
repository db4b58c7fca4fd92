"""What can be wrong with a request. Each error carries what its reader needs to act on it."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass

from exporter.domain.text import NAME_EXPECTED, is_name


class AuroraError(Exception):
    """The base of every error that the registry raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: the field's dotted path, and a sentence that says what was expected."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class Invalid(AuroraError):
    """Input was refused; nothing of it was applied."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults

    @classmethod
    def of(cls, field: str, message: str) -> Invalid:
        """The common case of a single fault."""
        return cls([Fault(field, message)])


def join(field: str, inner: str) -> str:
    """A dotted path from its two halves; an index (`[2]`) needs no dot."""
    return f"{field}.{inner}" if field and inner and not inner.startswith("[") else field + inner


def below(field: str, faults: list[Fault]) -> list[Fault]:
    """The same faults, their fields seen from one level further up."""
    return [Fault(join(field, fault.field), fault.message) for fault in faults]


def closest(name: str, known: Collection[str], cutoff: float = 0.6) -> str | None:
    """The most similar of the known names, if any is similar enough."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)


class UnknownNode(AuroraError):
    """No node of this name is registered."""

    def __init__(self, name: str) -> None:
        known = f"no node is registered as {name!r}: register it with POST /nodes/register"
        super().__init__(known if is_name(name) else f"no node can have this name: expected {NAME_EXPECTED}")
        self.name = name


class DepartedNode(AuroraError):
    """The node left on purpose a moment ago, so its late heartbeats are ignored."""

    def __init__(self, name: str) -> None:
        super().__init__(f"node {name!r} was deregistered: register it again to bring it back")
        self.name = name


class Superseded(AuroraError):
    """What was asked waited until now, and something was written of the node since it may have been sent."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it waited while the registry did not receive, and {name!r} was changed since: that stands")
        self.name = name


class NameConflict(AuroraError):
    """A living node with another `node_id` holds the name."""

    def __init__(self, name: str) -> None:
        # The holder's node_id is not shown: with it, anybody could take the name.
        super().__init__(
            f"name {name!r} belongs to a living node with another node_id: "
            "choose another name, or deregister the holder first"
        )
        self.name = name


class NodeLimit(AuroraError):
    """The map is full; known nodes are not affected."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the registry holds limits.max_nodes = {limit} nodes: raise the limit or deregister some")
        self.limit = limit


class StateLimit(AuroraError):
    """Nodes state as much as the registry may keep; what is kept already is not affected."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"all nodes together state limits.max_state = {limit} bytes: "
            "state less (capabilities, metadata, links), raise the limit or deregister some"
        )
        self.limit = limit


class StoreUnavailable(AuroraError):
    """The store did not take a write or answer a read in time: not acknowledged, safe to repeat."""


class LeaseExpired(StoreUnavailable):
    """Other registries share our store, and we were cut off from it for so long that they stopped waiting for us."""

    def __init__(self) -> None:
        super().__init__("cut off from the store that other registries share: send heartbeats to another one")


class StoreRefused(AuroraError):
    """The store holds something that this version must not touch: damaged, foreign, or of a newer version."""


class StillLoading(AuroraError):
    """The node map was not read from the store yet, so nothing can be said of the nodes."""

    def __init__(self) -> None:
        super().__init__("the node map is not loaded yet: the store has not answered; try again in a few seconds")
