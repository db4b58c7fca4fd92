"""From parsed arguments to a mesh that lives, and its end."""

from __future__ import annotations

import asyncio
import signal
import sys
from argparse import Namespace

import uvloop

from exporter.client.overhttp import HttpClient
from exporter.client.overredis import RedisClient
from exporter.client.protocol import RegistryClient
from exporter.domain.errors import Invalid
from exporter.process.exitdeadline import ExitDeadline
from exporter.process.tasks import end_tasks, whole
from exporter.programs.simulator.faults import FaultInjector
from exporter.programs.simulator.incident import Incident, IncidentKind
from exporter.programs.simulator.mesh import LEAVE_SECONDS, Mesh, RegistrationRefused, Settings
from exporter.programs.simulator.population import Member, populate
from exporter.programs.simulator.script import read_script
from exporter.programs.simulator.targets import check_targets
from exporter.telemetry import logs
from exporter.telemetry.linewriter import LineWriter

CONNECTIONS = 8
STOP_SECONDS = LEAVE_SECONDS + 10
"""From the signal to the end, whatever happens."""
ONE_IN_HTTP = 3
"""With `--transport both`, one node in so many uses HTTP."""


def run(arguments: Namespace) -> int:
    """Do what was asked; the exit status."""
    logs.setup(arguments.log_level, "logfmt")
    members = populate(arguments.nodes, arguments.sites, arguments.seed)
    try:
        incidents = read_script(arguments.incidents) if arguments.incidents else ()
        check_targets(incidents, members)
        _check_bus(incidents, arguments.event_bus)
    except Invalid as error:
        return _complain("the incidents are refused:", *(f"  {fault}" for fault in error.faults))
    try:
        uvloop.run(whole(_simulate(arguments, members, incidents)))
    except Invalid as error:
        return _complain(str(error))
    except ExceptionGroup as group:
        refused, others = group.split(RegistrationRefused)
        if refused is None or others is not None:
            raise
        return _complain(str(refused.exceptions[0]))
    return 0


async def _simulate(arguments: Namespace, members: tuple[Member, ...], incidents: tuple[Incident, ...]) -> None:
    http = HttpClient(arguments.registry, connections=CONNECTIONS)
    bus = RedisClient(arguments.event_bus, connections=CONNECTIONS) if arguments.event_bus else None
    clients: dict[str, RegistryClient] = {}
    if bus is not None and arguments.transport != "http":
        every_node = arguments.transport == "bus"
        clients = {member.name: bus for index, member in enumerate(members) if every_node or index % ONE_IN_HTTP}
    settings = Settings(arguments.interval_ns, arguments.day_ns, arguments.speed, arguments.seed)
    injector = FaultInjector(
        http, clients, bus_url=arguments.event_bus, interval_ns=arguments.interval_ns, speed=arguments.speed
    )
    output = LineWriter(sys.stdout, note_dropped=False)
    mesh = Mesh(settings, members, incidents, http=http, clients=clients, injector=injector, print_line=output.write)
    try:
        await _until_stopped(mesh, arguments.duration_ns)
        if arguments.leave_on_stop:
            await mesh.leave()
    finally:
        await injector.aclose()
        if bus is not None:
            await bus.aclose()
        await http.aclose()
        output.flush()


async def _until_stopped(mesh: Mesh, duration_ns: int | None) -> None:
    """Run to the end of the duration, or until SIGINT or SIGTERM."""
    life = asyncio.create_task(mesh.run(duration_ns))
    stopped = asyncio.create_task(_stop_signal())
    await asyncio.wait([life, stopped], return_when=asyncio.FIRST_COMPLETED)
    others = asyncio.all_tasks() - {asyncio.current_task()} if stopped.done() else {stopped}
    await end_tasks([task for task in others if task is not None])
    if life.done() and not life.cancelled():
        life.result()


async def _stop_signal() -> None:
    deadline = ExitDeadline(STOP_SECONDS, flush=logs.flush)
    asked = asyncio.Event()

    def stop() -> None:
        deadline.start()
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await asked.wait()


def _check_bus(incidents: tuple[Incident, ...], event_bus: str) -> None:
    for position, incident in enumerate(incidents):
        if incident.kind is IncidentKind.GARBAGE_ON_BUS and not event_bus:
            raise Invalid.of(f"[{position}].kind", f"{incident.kind} needs --event-bus")


def _complain(*lines: str) -> int:
    first, *others = lines
    print("\n".join([f"aurora-simulator: {first}", *others]), file=sys.stderr)
    return 1
