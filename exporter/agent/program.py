"""From arguments to a running agent, and from its end to an exit status."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from exporter.agent.checks import escape_control
from exporter.agent.drivers import Drivers
from exporter.agent.exits import AgentExit, Exit, Stopped, UsageError
from exporter.agent.facts import Facts
from exporter.agent.http import HttpRegistry
from exporter.agent.logs import AgentLog
from exporter.agent.session import BlockingRegistryClient, Session
from exporter.agent.state import StateFile, default_directory
from exporter.agent.tokens import Tokens
from exporter.agent.watch import GpuWatch
from exporter.domain.requestoutcome import Outcome, Reply

LEAVE_SECONDS = 0.7
"""A stop takes less than a second, whether or not the registry receives the deregistration."""
DRY_RUN_SECONDS = 10.0
REQUEST_PAUSE = 10.0
"""Seconds in which one request to register is met at once, and the others with the next heartbeat: a registry asks once
a minute, but anybody may publish."""
LEAVE = "leave"


def run(arguments: argparse.Namespace) -> int:
    """The whole program after its arguments."""
    log = AgentLog(arguments.log_level, arguments.log_format)
    try:
        return Program(arguments, log).run()
    except UsageError as error:
        print(f"aurora-agent: {escape_control(str(error))}", file=sys.stderr)
        return Exit.USAGE
    except AgentExit as ended:
        print(f"aurora-agent: {escape_control(str(ended))}", file=sys.stderr)
        return ended.status


class Program:
    """The parts, put together as the arguments say; raises UsageError for what cannot be."""

    def __init__(self, arguments: argparse.Namespace, log: AgentLog) -> None:
        self._arguments = arguments
        self._log = log
        self._wake = threading.Event()
        self._stop = False
        self._leaving = False
        self._statuses: list[str] = []
        self._at_once_from = 0.0
        directory = Path(arguments.state_dir) if arguments.state_dir else default_directory()
        self._state = StateFile(directory, log)
        self._facts = Facts(arguments, socket.gethostname(), self._state)
        self._tokens = Tokens(arguments.token_file, self._state)
        self._http = self._http_registry()
        self._transport = self._transport_of()
        self._state.open(self._transport.endpoint, self._facts.name)
        self._upgrade: Any = None
        gpus = self._gpus()
        self._watch = GpuWatch(
            gpus.look, gpus.close, log, every=arguments.gpu_readings, health=gpus.health, stopping=lambda: self._stop
        )

    def run(self) -> int:
        """Do what was asked for, until it is done or a signal ends it."""
        arguments = self._arguments
        if arguments.dry_run:
            self._watch.update(DRY_RUN_SECONDS)
            print(json.dumps(self._facts.registration(self._watch.inventory()), indent=2))
            return Exit.FINE
        for name in ("SIGTERM", "SIGINT"):
            signal.signal(getattr(signal, name), self._on_stop)
        for name, what in arguments.on_signal:
            signal.signal(getattr(signal, f"SIG{name}"), lambda *_, what=what: self._on_notice(what))
        session = Session(
            self._transport,
            self._facts,
            self._watch,
            self._state,
            self._log,
            interval=arguments.heartbeat_interval,
            sleep=self._sleep,
            stopping=lambda: self._stop,
            on_registered=self._on_registered,
        )
        self._session = session
        try:
            self._live(session)
        except Stopped:
            if self._leaving or arguments.leave_on_stop:
                self._leave(session)
        return Exit.FINE

    def _live(self, session: Session) -> None:
        if self._arguments.send_status:
            reply = session.send_status(self._arguments.send_status)
            if not reply.ok:
                raise AgentExit(reply)
        elif self._arguments.once:
            session.once()
        else:
            self._listen(session)
            session.run()

    def _listen(self, session: Session) -> None:
        listen = getattr(self._transport, "listen", None)
        if listen is not None:

            def requested() -> None:
                session.again = True
                now = time.monotonic()
                if now >= self._at_once_from:
                    self._at_once_from = now + REQUEST_PAUSE
                    self._wake.set()

            listen(self._facts.name, requested, time.sleep)

    def _sleep(self, seconds: float) -> None:
        """Wait; less where a signal or an event asks for something. Raises Stopped once we are to end."""
        self._check()
        if seconds > 0 and not self._statuses:
            self._wake.wait(seconds)
        self._wake.clear()
        self._check()
        if self._statuses:
            self._session.status = self._statuses.pop(0)

    def _check(self) -> None:
        if self._stop:
            raise Stopped

    def _on_stop(self, *_: Any) -> None:
        self._stop = True
        self._wake.set()

    def _on_notice(self, what: str) -> None:
        """Somebody passes on that the machine will be taken away, or sleeps."""
        if what == LEAVE:
            self._leaving = self._stop = True
        else:
            self._statuses.append(what)
        self._wake.set()

    def _on_registered(self, reply: Reply) -> None:
        """Called in the main thread, after each registration that was received."""
        self._tokens.take(reply.document)
        if reply.document.get("agent_upgrade") is not None:
            from exporter.agent.upgrade import Upgrade  # noqa: PLC0415 - rarely needed

            self._upgrade = self._upgrade or Upgrade(
                self._http, self._state.directory, self._log, wanted=self._arguments.self_upgrade
            )
            self._upgrade.take(reply.document["agent_upgrade"])
        if self._facts.named_by_host:
            before = self._state.rename(self._facts.name)
            if before and before != self._facts.name:
                reply = self._session.leave_name(before)
                self._log.info("the host has another name: its old one is deregistered", before=before, ok=reply.ok)

    def _leave(self, session: Session) -> None:
        reply = session.leave(LEAVE_SECONDS)
        if not reply.ok and reply.outcome is not Outcome.UNKNOWN:
            print(f"aurora-agent: the node is not deregistered: {escape_control(reply.reason)}", file=sys.stderr)

    def _http_registry(self) -> HttpRegistry | None:
        arguments = self._arguments
        if not arguments.registry:
            return None
        tls = None
        if arguments.ca_file or arguments.cert_file:
            from exporter.agent.tls import context_of, wrapper  # noqa: PLC0415 - heavy, and rarely needed

            tls = wrapper(context_of(arguments.ca_file, arguments.cert_file, arguments.key_file))
        return HttpRegistry(arguments.registry, token=self._tokens.current, forget_token=self._tokens.forget, tls=tls)

    def _gpus(self) -> Any:
        url = self._arguments.gpu_source
        if url:
            from exporter.agent.exporters import ExporterSource  # noqa: PLC0415 - rarely needed

            return ExporterSource(url)
        return Drivers()

    def _transport_of(self) -> BlockingRegistryClient:
        arguments = self._arguments
        if not arguments.event_bus:
            assert self._http is not None  # noqa: S101 - without a bus there is a registry
            return self._http
        from exporter.agent.bus import BusRegistry  # noqa: PLC0415 - rarely needed

        name = self._facts.name
        bus = BusRegistry(arguments.event_bus, arguments.event_bus_channel, token=lambda: self._tokens.of_node(name))
        return Both(self._http, bus) if self._http else bus


class Both:
    """Registers and leaves over HTTP, which answers; heartbeats go over the bus, which costs less."""

    def __init__(self, http: HttpRegistry, bus: Any) -> None:
        self.endpoint = f"{http.endpoint} and {bus.endpoint}"
        self.timeout = max(http.timeout, bus.timeout)
        self.answers = False
        self.register = http.register
        self.leave = http.leave
        self.heartbeat = bus.heartbeat
        self.listen = bus.listen
