"""Commands that change something: register, deregister, drain, maintenance, accept."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporter.client.client import DRAIN, MAINTENANCE, JsonReply
from exporter.client.documents import Node
from exporter.client.endpoint import node_path
from exporter.client.errors import ClientError
from exporter.domain.text import is_name
from exporter.programs.cli.context import Context
from exporter.programs.cli.failures import Failure, failure_of
from exporter.programs.cli.humanize import count, from_now, phase
from exporter.programs.cli.terminal import escape_control

MAX_FILE_BYTES = 2**20
FACTS = ("role", "vpn_ip", "public_ip", "node_id", "ttl")
CAPABILITIES = {"gpus": "gpu_count", "gpu_type": "gpu_type", "gpu_memory": "gpu_memory"}
METADATA = ("site", "environment", "os", "cost_per_hour")
START, END = "start", "end"
CREATED = 201


def register(context: Context) -> None:
    """Register a node, from options or a file."""
    arguments = context.arguments
    registration = _from_file(arguments.file) if arguments.file else {}
    if arguments.name:
        registration["name"] = arguments.name
    if not registration.get("name"):
        raise Failure("which node? Give NAME, or a file with a name", exit_status=2)
    if arguments.update:
        registration = {**_registered(context, str(registration["name"])), **registration}
    _add_facts(registration, arguments)
    reply = context.client.call("POST", "/nodes/register", registration)
    if arguments.json:
        context.show_json(reply.document())
        return
    node = reply.of(Node)
    done = "registered" if reply.status == CREATED else "updated"
    context.show([escape_control(f"{node.name} is {done}: role {node.role}, GPUs {node.gpu_label}")])


def deregister(context: Context) -> int:
    """Each node leaves on purpose."""

    def leave(name: str) -> tuple[Any, str]:
        context.client.deregister(name)
        return {"node": name, "deregistered": True}, f"{name} is deregistered"

    return _each(context, context.arguments.names, leave)


def drain(context: Context) -> int:
    """Each node drains, or is in service again."""
    return _lifecycle(context, DRAIN)


def maintenance(context: Context) -> int:
    """Each node is in maintenance, or in service again."""
    return _lifecycle(context, MAINTENANCE)


def accept(context: Context) -> None:
    """The GPUs that the node reports now, or so many as were said, are all that it should have."""
    name, stated = context.arguments.name, context.arguments.gpus
    body = {} if stated is None else {"gpus": stated}
    reply = context.client.call("POST", f"{node_path(name)}/accept", body)
    if context.arguments.json:
        context.show_json(reply.document())
    else:
        node = reply.of(Node)
        text = f"{name} should have {count(node.gpu_count, 'GPU')} from now on"
        context.show([escape_control(text if not node.gpu_count else f"{text}: {node.gpu_label}")])


def _lifecycle(context: Context, kind: str) -> int:
    arguments = context.arguments
    names, ends = _action(arguments)

    def change(name: str) -> tuple[Any, str]:
        path = f"{node_path(name)}/{kind}"
        if ends:
            reply = context.client.call("DELETE", path)
        else:
            leave = {"until": arguments.until, "reason": arguments.reason}
            given = {key: value for key, value in leave.items() if value is not None}
            reply = context.client.call("PUT", path, given)
        return reply.document(), _stands(reply)

    return _each(context, names, change)


def _action(arguments: Namespace) -> tuple[list[str], bool]:
    """The nodes, and whether this ends what keeps them out of service."""
    first, *others = arguments.names
    if first in {START, END} and others:
        return others, first == END or arguments.end
    if first in {START, END}:
        raise Failure(f"which node? aurora-cli {arguments.command} {first} NAME", exit_status=2)
    return arguments.names, arguments.end


def _stands(reply: JsonReply) -> str:
    """Where the node stands after the change."""
    node = reply.of(Node)
    text = f"{node.name} is {'in ' if node.lifecycle == MAINTENANCE else ''}{phase(node.lifecycle)}"
    if node.lifecycle_until:
        text += f" until {node.lifecycle_until} ({from_now(node.lifecycle_until, reply.at_ns)})"
    return text + (f": {node.lifecycle_reason}" if node.lifecycle_reason else "")


def _each(context: Context, names: list[str], change: Callable[[str], tuple[Any, str]]) -> int:
    """Do it to each node; those that fail are reported, and do not keep the others from it. The exit status."""
    documents, status = [], 0
    for name in dict.fromkeys(names):
        try:
            document, text = change(name)
        except ClientError as error:
            failure = failure_of(error)
            context.complain(str(failure))
            status = max(status, failure.exit_status)
            continue
        documents.append(document)
        if not context.arguments.json:
            context.show([escape_control(text)])
    if context.arguments.json and documents:
        context.show_json(documents[0] if len(names) == 1 else documents)
    return status


def _registered(context: Context, name: str) -> dict[str, Any]:
    return _facts_of(context.client.node(name)) if is_name(name) else {}


def _facts_of(node: Node) -> dict[str, Any]:
    """A registration that says what the document says."""
    facts: dict[str, Any] = {"name": node.name, "role": node.role, "vpn_ip": node.vpn_ip, "public_ip": node.public_ip}
    facts |= {"capabilities": node.capabilities, "metadata": node.metadata}
    return {key: value for key, value in facts.items() if value}


def _add_facts(registration: dict[str, Any], arguments: Namespace) -> None:
    for name in FACTS:
        if (value := getattr(arguments, name)) is not None:
            registration[name] = value
    capabilities = dict(registration.get("capabilities", {}))
    capabilities |= _pairs(arguments.more_capability or [], "--capability")
    for option, key in CAPABILITIES.items():
        if (value := getattr(arguments, option)) is not None:
            capabilities[key] = value
    if arguments.gpus is not None:
        capabilities["gpu"] = arguments.gpus > 0
    metadata = dict(registration.get("metadata", {}))
    metadata |= _pairs(arguments.more_metadata or [], "--metadata")
    metadata |= {name: value for name in METADATA if (value := getattr(arguments, name)) is not None}
    free = {"capabilities": capabilities, "metadata": metadata}
    registration |= {key: value for key, value in free.items() if value}
    if arguments.links:
        registration["links"] = [_link(text) for text in arguments.links]


def _pairs(texts: list[str], option: str) -> dict[str, Any]:
    """KEY=VALUE; a value that is JSON is taken as such, any other as text."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Failure(f"{option}: expected KEY=VALUE, got {escape_control(text)!r}", exit_status=2)
        try:
            found[key] = json.loads(value)
        except (ValueError, RecursionError):
            found[key] = value
    return found


def _link(text: str) -> dict[str, str]:
    target, _, kind = text.rpartition(":")
    if not target or not kind:
        raise Failure(
            f"--link: expected TARGET:TYPE, such as aurora:nvlink, got {escape_control(text)!r}", exit_status=2
        )
    return {"target": target, "type": kind}


def _from_file(path: str) -> dict[str, Any]:
    where = "standard input" if path == "-" else path
    try:
        if path == "-":
            content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        found = json.loads(content) if len(content) <= MAX_FILE_BYTES else None
    except OSError as error:
        raise Failure(f"cannot read {where}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Failure(f"{where} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Failure(f"{where}: expected a registration as a JSON object of at most 1 MiB")
    return found
