"""From arguments to a running agent, and from its end to an exit status."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pynvml  # type: ignore[import-untyped]  # it ships without types

from exporter.client.protocol import RegistryClient
from exporter.domain.errors import Invalid
from exporter.domain.registration import parse_registration
from exporter.programs.agent.clients import voice_of
from exporter.programs.agent.exits import AgentExit, Exit
from exporter.programs.agent.facts import name_of, node_id_of, os_of, registration_of
from exporter.programs.agent.gpus import Gpus, Inventory
from exporter.programs.agent.session import Session
from exporter.programs.cli.terminal import visible
from exporter.telemetry import logs

LEAVE_SECONDS = 0.7
"""A stop takes less than a second, whether or not the registry hears the farewell."""
OPTIONS = {
    "name": "--node-name (AURORA_NODE_NAME)",
    "role": "--role (AURORA_ROLE)",
    "vpn_ip": "--vpn-ip (AURORA_VPN_IP)",
    "public_ip": "--public-ip (AURORA_PUBLIC_IP)",
    "metadata.site": "--site (AURORA_SITE)",
    "metadata.environment": "--environment (AURORA_ENVIRONMENT)",
    "metadata.cost_per_hour": "--cost-per-hour (AURORA_COST_PER_HOUR)",
}


def run(arguments: argparse.Namespace) -> int:
    """The whole program after its arguments."""
    logs.setup(arguments.log_level, arguments.log_format)
    gpus = Gpus(pynvml)

    def describe(inventory: Inventory | None = None) -> dict[str, Any]:
        seen = gpus.inventory() if inventory is None else inventory
        return registration_of(arguments, seen, hostname=socket.gethostname(), node_id=node_id_of(), system=os_of())

    try:
        # The same rules as the registry's, so that a mistake is told before anybody is asked.
        parse_registration(describe(Inventory()))
        if arguments.dry_run:
            print(json.dumps(describe(), indent=2))
            return Exit.FINE
        return asyncio.run(_live(arguments, describe, gpus))
    except Invalid as error:
        for fault in error.faults:
            where = OPTIONS.get(fault.field, fault.field or "--registry or --event-bus")
            print(f"aurora-agent: {where}: {fault.message}", file=sys.stderr)
        return Exit.USAGE
    except AgentExit as ended:
        print(f"aurora-agent: {visible(str(ended))}", file=sys.stderr)
        return ended.status
    finally:
        gpus.close()


async def _live(arguments: argparse.Namespace, describe: Callable[..., dict[str, Any]], gpus: Gpus) -> int:
    client = voice_of(arguments)
    name = arguments.node_name or name_of(socket.gethostname())
    session = Session(
        client,
        describe,
        gpus,
        interval_ns=arguments.heartbeat_interval_ns,
        reregister_after_outage=bool(arguments.event_bus),
    )
    try:
        if arguments.send_status:
            work = session.once(register=False, status=arguments.send_status)
        else:
            work = session.once() if arguments.once else session.run()
        stopped = await _unless_stopped(work)
        if stopped and arguments.leave_on_stop:
            await _leave(client, name)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await client.aclose()
    return Exit.FINE


async def _unless_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Do the work until it ends or a signal asks us to; whether one did."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def _leave(client: RegistryClient, name: str) -> None:
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            answer = await client.leave(name)
    except TimeoutError:
        print("aurora-agent: the registry did not hear the farewell in time", file=sys.stderr)
        return
    if not answer.ok:
        print(f"aurora-agent: the farewell was not heard: {visible(answer.reason)}", file=sys.stderr)
