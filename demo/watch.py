"""The demo while it runs: what the simulator does, and what registry, Prometheus, Alertmanager and people see of it."""

from __future__ import annotations

import json
import threading
import time
from queue import Empty, Queue
from typing import Any

from demo.alerts import SUPPRESSED, Messages, States, changes, states, suppressed
from demo.process import Child
from demo.receiver import Notification
from demo.stack import Stack
from demo.timeline import Timeline
from exporter.client.http import NoAnswer, fetch

_LOOK_SECONDS = 1.0
_TIMEOUT_SECONDS = 5.0


class Watch:
    """Looks about once a second, and prints what has changed."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._notifications: Queue[Notification] = Queue()
        self._said: Queue[str] = Queue()
        self._messages = Messages()
        self._counts = ""
        self._alerts: States = {}
        self._suppressed: dict[str, int] = {}

    def on_notification(self, notification: Notification) -> None:
        """For the stack's receiver."""
        self._notifications.put(notification)

    def listen(self, simulator: Child) -> None:
        """Read what the simulator prints, until it ends."""
        threading.Thread(target=self._read, args=(simulator.output,), daemon=True).start()

    def run(self, stack: Stack, seconds: float | None) -> None:
        """Look for so long, or forever; raises ChildFailed when a server ends."""
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            stack.check()
            self._relay()
            try:
                self._look(stack)
            except NoAnswer as error:
                # The next check reports a server that ended; one that is only slow gets a line.
                stack.check()
                self._timeline.say("demo", f"no answer: {error}")
            time.sleep(_LOOK_SECONDS)

    def _read(self, output: Any) -> None:
        for line in output:
            self._said.put(line.strip())

    def _relay(self) -> None:
        for line in _drained(self._said):
            self._timeline.say("event", line)
        for notification in _drained(self._notifications):
            for line in self._messages.lines(notification):
                self._timeline.say("sent", line)

    def _look(self, stack: Stack) -> None:
        stats = _get(f"{stack.registry_url}/stats")
        counts = (
            f"{stats['active_nodes']} active, {stats['warning_nodes']} warning, {stats['offline_nodes']} offline;"
            f" {stats['active_gpus']} GPUs, {stats['active_vram_gb']:g} GB VRAM"
        )
        if counts != self._counts:
            self._timeline.say("mesh", counts)
        alerts = states(_get(f"{stack.prometheus_url}/api/v1/alerts")["data"]["alerts"])
        for line in changes(self._alerts, alerts):
            self._timeline.say("alert", line)
        held = suppressed(stack.query(SUPPRESSED))
        for site in sorted({*held, *self._suppressed}):
            if held.get(site, 0) != self._suppressed.get(site, 0):
                where = f" of {site}" if site else ""
                self._timeline.say("suppr.", f"{held.get(site, 0)} nodes{where} have no alerts of their own")
        self._counts, self._alerts, self._suppressed = counts, alerts, held


def _drained(queue: Queue[Any]) -> list[Any]:
    items = []
    while True:
        try:
            items.append(queue.get_nowait())
        except Empty:
            return items


def _get(url: str) -> Any:
    return json.loads(fetch(url, timeout_seconds=_TIMEOUT_SECONDS).body)
