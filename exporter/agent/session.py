"""A node's life with its registry: register, send heartbeats, register again when forgotten, end when taken out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from exporter.agent.exits import AgentExit, Stopped
from exporter.agent.facts import Facts
from exporter.agent.gpus import Inventory
from exporter.agent.inventory import RegisteredGpus
from exporter.agent.lean import give_back
from exporter.agent.logs import AgentLog
from exporter.agent.schedule import Schedule, random
from exporter.agent.state import StateFile
from exporter.agent.watch import GpuWatch
from exporter.agent.worker import Call, Worker
from exporter.domain.backoff import Backoff
from exporter.domain.requestoutcome import Outcome, Reply

DEFAULT_INTERVAL = 30.0
"""Where neither the user nor the registry says, as over the bus."""
SHORTEST, LONGEST = 0.01, 86_400.0
"""What an interval in a registry's answer can be."""
ONCE_WAIT = 10.0
"""How long `--once` waits for the driver: nobody misses its heartbeat."""
REFRESH, REFRESH_UNANSWERED = 6 * 3600.0, 600.0
"""After so many seconds the node registers again: what it is may have changed, and what the registry offers."""
RENEW_PAUSE = 60.0
"""Seconds until a registration is tried again that was not taken, while heartbeats are."""
GRACE = 0.5
"""How much longer than a transport's own timeout we wait for an answer: a DNS lookup has no timeout."""
ACTIVE = "active"
DISPENSABLE = frozenset({"capabilities", "agent"})


class BlockingRegistryClient(Protocol):
    """A way to the registry. Each call ends within its timeout, and never raises for the way."""

    endpoint: str
    """Where it sends to, fit for a log: no user, no password."""
    timeout: float
    answers: bool
    """Whether the registry itself answers: a bus says no more than that somebody listens."""

    def register(self, registration: Mapping[str, Any]) -> Reply:
        """Say what a node is: the body of `POST /nodes/register`."""

    def heartbeat(self, node: str, report: Mapping[str, Any]) -> Reply:
        """Say that a node lives: the body of `POST /nodes/{name}/heartbeat`."""

    def leave(self, node: str) -> Reply:
        """A planned leave: never an alert."""


class Session:
    """Sends for one node until a signal stops it, or until the registry's answer raises AgentExit."""

    def __init__(
        self,
        transport: BlockingRegistryClient,
        facts: Facts,
        watch: GpuWatch,
        state: StateFile,
        log: AgentLog,
        *,
        interval: float | None,
        sleep: Callable[[float], None],
        stopping: Callable[[], bool],
        on_registered: Callable[[Reply], None] = lambda _: None,
    ) -> None:
        """`interval` wins over what the registry says. `sleep` waits, less where there is something to do; it and
        every call raise Stopped once `stopping`.
        """  # noqa: D205 - one sentence
        self._transport = transport
        self._facts = facts
        self._watch = watch
        self._gpus = RegisteredGpus(facts, watch, state)
        self._log = log
        self._interval = interval
        self._sleep = sleep
        self._stopping = stopping
        self._on_registered = on_registered
        self._wire = Worker("aurora-registry")
        self._call: Call | None = None
        self._registered_at = 0.0
        self._renew_at = 0.0
        self._sequence = 0
        self._down_since: float | None = None
        self._ever_received = False
        self._schedule = Schedule(0, DEFAULT_INTERVAL)
        self.status = ACTIVE
        """What heartbeats say from now on."""
        self.again = False
        """Somebody asked for the registration."""

    def run(self) -> None:
        """Register, then send heartbeats."""
        self._watch.update()
        self._register()
        give_back()
        while True:
            now = time.monotonic()
            self._sleep(self._schedule.next_after(now) - now)
            self._beat()

    def once(self) -> None:
        """Register and send one heartbeat; AgentExit says what kept it from being received."""
        self._watch.update(ONCE_WAIT)
        reply = self._ask(lambda: self._transport.register(self._facts.registration(self._gpus.current())))
        if not reply.ok:
            raise AgentExit(reply)
        self._take_registered(reply, self._gpus.current())
        self._on_registered(reply)
        reply = self._send_heartbeat()
        if not reply.ok:
            raise AgentExit(reply)

    def send_status(self, status: str) -> Reply:
        """One heartbeat that says this and nothing else."""
        name = self._facts.name
        return self._ask(lambda: self._transport.heartbeat(name, {"role": self._facts.role, "status": status}))

    def leave_name(self, name: str) -> Reply:
        """Deregister another name of this machine."""
        return self._ask(lambda: self._transport.leave(name))

    def leave(self, within: float) -> Reply:
        """Deregister the node, also while we are stopping."""
        call = self._wire.start(lambda: self._transport.leave(self._facts.name))
        if call.wait(within):
            return call.value  # type: ignore[no-any-return]  # what the transport gave
        return Reply(Outcome.UNREACHABLE, "the registry did not receive the deregistration in time")

    def _register(self) -> None:
        """Until it is received; a refusal of the very first ends it, since then a person is watching."""
        backoff = Backoff(random, first=1.0)
        while True:
            inventory = self._gpus.current()
            reply = self._try_to_register(inventory)
            if reply.ok:
                break
            if reply.outcome is Outcome.DEPARTED or (reply.outcome is Outcome.REFUSED and not self._ever_received):
                raise AgentExit(reply)
            self._mark_down(reply)
            self._sleep(backoff.next(reply.retry_after_seconds or 0.0))
            self._watch.update(0)
        self._mark_up()
        self._settle(reply, inventory)

    def _renew(self) -> None:
        """Register again, once, and later where that fails: heartbeats do not wait for it."""
        now = time.monotonic()
        if now < self._renew_at:
            return
        inventory = self._gpus.current()
        reply = self._try_to_register(inventory)
        if reply.ok:
            self._settle(reply, inventory)
        elif reply.outcome is Outcome.DEPARTED:
            raise AgentExit(reply)
        else:
            self._renew_at, self.again = now + RENEW_PAUSE, True
            self._log.warning("the registration cannot be renewed: still retrying", reason=reply.reason)

    def _settle(self, reply: Reply, inventory: Inventory | None) -> None:
        """Take up a registration's answer."""
        self._take_registered(reply, inventory)
        said = reply.heartbeat_interval_seconds
        if not isinstance(said, (int, float)) or not SHORTEST <= said <= LONGEST:
            said = DEFAULT_INTERVAL
        interval = self._interval or float(said)
        if interval != self._schedule.interval or not self._ever_received:
            # A phase of its own, so that a mesh does not send all at once.
            self._schedule = Schedule(time.monotonic() + random() * interval, interval)
        self._ever_received = True
        self._log.info(
            "registered", node=self._facts.name, endpoint=self._transport.endpoint, interval_seconds=interval
        )
        self._on_registered(reply)

    def _try_to_register(self, inventory: Inventory | None) -> Reply:
        # Now, and not with the answer: who asks meanwhile may not have received it.
        self.again = False
        registration = self._gpus.registration(inventory)
        reply = self._ask(lambda: self._transport.register(registration))
        errors = reply.document.get("errors")
        if reply.outcome is not Outcome.REFUSED or not isinstance(errors, list):
            return reply
        # What a driver says of its GPUs, or a registry of an earlier version does not know, is not worth the node.
        at_fault = {str(error.get("field")).partition(".")[0] for error in errors if isinstance(error, dict)}
        kept = {field: value for field, value in registration.items() if field not in at_fault & DISPENSABLE}
        if len(kept) == len(registration):
            return reply
        self._log.warning("registering without what the registry refused", reason=reply.reason)
        return self._ask(lambda: self._transport.register(kept))

    def _take_registered(self, reply: Reply, inventory: Inventory | None) -> None:
        self._registered_at = time.monotonic()
        self._gpus.take(reply, inventory)

    def _beat(self) -> None:
        self._watch.update()
        reply = self._send_heartbeat()
        if reply.outcome is Outcome.DEPARTED:
            raise AgentExit(reply)
        if reply.outcome is Outcome.UNKNOWN:
            self._log.info("the registry does not know this node: registering again", node=self._facts.name)
            self._register()
        elif reply.ok:
            ignored = reply.document.get("ignored")
            if ignored:
                self._log.debug("the registry left out a part of the heartbeat", ignored=ignored)
            # Nobody answers on the bus: whatever was missed is said again.
            self.again |= self._mark_up() and not self._transport.answers
            refresh = REFRESH if self._transport.answers else REFRESH_UNANSWERED
            if self.again or self._gpus.outdated() or time.monotonic() - self._registered_at > refresh:
                self._renew()
        else:
            self._mark_down(reply)

    def _send_heartbeat(self) -> Reply:
        self._sequence += 1
        report: dict[str, Any] = {
            "role": self._facts.role,
            "status": self.status,
        }
        if self._facts.instance:
            # The sequence counts from one start of the agent, and means nothing without that start's identity.
            report.update(sequence=self._sequence, instance=self._facts.instance)
        gpus = self._watch.readings(self._gpus.expected)
        if gpus is not None:
            report["gpus"] = gpus
        report["timestamp"] = time.time()
        return self._ask(lambda: self._transport.heartbeat(self._facts.name, report))

    def _ask(self, request: Callable[[], Reply]) -> Reply:
        """What came of the request, made in a thread of its own, so that a signal need not wait for the network."""
        deadline = time.monotonic() + self._transport.timeout + GRACE
        # A request that is still under way continues. Nothing is queued behind it: it would all be sent at once.
        if not self._ended(self._call, deadline):
            return Reply(Outcome.UNREACHABLE, f"{self._transport.endpoint}: no answer in time")
        self._call = self._wire.start(request)
        if not self._ended(self._call, deadline):
            return Reply(Outcome.UNREACHABLE, f"{self._transport.endpoint}: no answer in time")
        reply: Reply = self._call.value
        return reply

    def _ended(self, call: Call | None, deadline: float) -> bool:
        """Whether a request came to its end in time."""
        if call is None or call.ended(deadline - time.monotonic(), self._stopping):
            return True
        if self._stopping():
            raise Stopped
        return False

    def _mark_down(self, reply: Reply) -> None:
        if self._down_since is None:
            self._down_since = time.monotonic()
            self._log.warning("the registry does not receive this node: still retrying", reason=reply.reason)
        else:
            self._log.debug("still not received", reason=reply.reason)

    def _mark_up(self) -> bool:
        """Whether it had been down."""
        if self._down_since is None:
            return False
        seconds, self._down_since = time.monotonic() - self._down_since, None
        self._log.info("the registry receives this node again", lost_seconds=round(seconds, 1))
        return True
