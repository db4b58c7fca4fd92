"""Where Alertmanager's notifications arrive: a webhook that writes down who got what, and when."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

from demo.receiver import Notification as LastHeartbeat
from demo.receiver import Receiver

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class AlertMessage:
    """One alert in a notification."""

    name: str
    status: str
    """`firing` or `resolved`."""
    labels: Labels

    @property
    def subject(self) -> str:
        """The node that it is about, or else the site; empty for the mesh and the registry."""
        return self.label("node") or self.label("site")

    def label(self, name: str) -> str:
        """The value of a label, empty where there is none."""
        return dict(self.labels).get(name, "")

    def __str__(self) -> str:
        return " ".join(part for part in (self.name, self.subject, self.status) if part)


@dataclass(frozen=True)
class Notification:
    """One message to a receiver."""

    at: float
    """Monotonic seconds."""
    receiver: str
    alerts: tuple[AlertMessage, ...]


class Sink:
    """A receiver of Alertmanager's that remembers. Use it as a context."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []
        """In order of arrival."""
        self._receiver = Receiver(self._remember)
        self.url = self._receiver.url

    def __enter__(self) -> Self:
        self._receiver.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.__exit__()

    def _remember(self, received: LastHeartbeat) -> None:
        alerts = tuple(
            AlertMessage(alert.labels["alertname"], alert.status, frozenset(alert.labels.items()))
            for alert in received.alerts
        )
        self.notifications.append(Notification(time.monotonic(), received.receiver, alerts))
