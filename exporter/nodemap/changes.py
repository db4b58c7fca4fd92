"""What the node map reports to those that show it."""

from __future__ import annotations

import enum
from typing import Protocol

from exporter.domain.node import Node


class Change(enum.Enum):
    """What of a node changed."""

    __hash__ = object.__hash__
    """Members are looked up at each change; that of the base is a call of Python's."""

    APPEARED = enum.auto()
    FACTS = enum.auto()
    """It registered again."""
    STATUS = enum.auto()
    LIFECYCLE = enum.auto()
    REPORT = enum.auto()
    """Its heartbeat brought readings, a clock offset or a gap; or a claim of its name was refused."""
    HEALTH = enum.auto()
    """Its heartbeat reports another health of its GPUs."""
    SUPPRESSION = enum.auto()
    """It went missing together with its site or the mesh, or does no longer count as such."""
    DEPARTED = enum.auto()
    FORGOTTEN = enum.auto()


GONE = Change.DEPARTED, Change.FORGOTTEN


class Listener(Protocol):
    """Called once a change is done, in the same step: it must be quick and must not call the map's commands."""

    def __call__(self, change: Change, node: Node) -> None:
        """Take note."""
