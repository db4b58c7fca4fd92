"""What the node is: from its arguments, its operating system, and its GPUs."""

from __future__ import annotations

import argparse
import hashlib
import hmac
import os
import re
from pathlib import Path
from typing import Any

from exporter import __version__
from exporter.agent.checks import check_address, check_name, check_text, clean_text, name_of
from exporter.agent.exits import UsageError
from exporter.agent.gpus import Inventory
from exporter.agent.state import StateFile

MACHINE_ID = Path("/etc/machine-id")
OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))
GIB = 2**30
_APPLICATION = b"aurora-node-registry"
_MACHINE_ID = re.compile(r"[0-9a-f]{32}\n?", re.ASCII)


def check_arguments(arguments: argparse.Namespace, name: str) -> None:
    """Raise UsageError for what the registry would refuse."""
    if not name:
        raise UsageError("--node-name (AURORA_NODE_NAME): the host name has nothing that a name may have: state one")
    check_name(name, "--node-name (AURORA_NODE_NAME)")
    check_name(arguments.role, "--role (AURORA_ROLE)")
    check_address(arguments.vpn_ip, "--vpn-ip (AURORA_VPN_IP)")
    check_address(arguments.public_ip, "--public-ip (AURORA_PUBLIC_IP)")
    check_text(arguments.site, "--site (AURORA_SITE)")
    check_text(arguments.environment, "--environment (AURORA_ENVIRONMENT)")


def node_id_of(state: StateFile, machine_id: Path = MACHINE_ID) -> str:
    """A stable id of this machine for this application alone, in hexadecimal.

    Where the machine has none, as in a container, one that is kept with the state; empty where nothing can be kept.
    Source: machine-id(5), which asks to keep the id itself secret.
    """
    try:
        text = machine_id.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        text = ""
    if _MACHINE_ID.fullmatch(text) and text.strip("0\n"):  # `uninitialized`, in an image that never booted
        return hmac.new(bytes.fromhex(text.strip()), _APPLICATION, hashlib.sha256).hexdigest()[:32]
    path = state.directory / "node-id"
    try:
        kept = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        kept = ""
    if re.fullmatch(r"[0-9a-f]{32}", kept, re.ASCII):
        return kept
    fresh = os.urandom(16).hex()
    return fresh if state.write(path, fresh + "\n") else ""


def os_of() -> str:
    """What os-release calls the system, such as `ubuntu`; empty where there is none. Source: os-release(5)."""
    for path in OS_RELEASE:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key.strip() == "ID":
                return clean_text(value.strip().strip("\"'"))
    return ""


class Facts:
    """What does not change while the agent runs, and the registration that it makes with what the GPUs are now."""

    def __init__(self, arguments: argparse.Namespace, hostname: str, state: StateFile) -> None:
        """Raises UsageError for what cannot be."""
        self.name: str = arguments.node_name or name_of(hostname)
        self.named_by_host = not arguments.node_name
        check_arguments(arguments, self.name)
        self.role: str = arguments.role
        self.instance = "" if arguments.once else os.urandom(6).hex()
        """Another one with each start. One look from cron or by hand is no second machine beside the agent."""
        self._arguments = arguments
        self._node_id = node_id_of(state)
        self._os = os_of()

    def registration(self, inventory: Inventory | None) -> dict[str, Any]:
        """The body of `POST /nodes/register`, without what is not known; `inventory`: None where nobody could look."""
        arguments = self._arguments
        stated = arguments.gpus is not None
        metadata = {
            "os": self._os,
            "environment": arguments.environment or "production",
            "site": arguments.site,
            "cost_per_hour": arguments.cost_per_hour,
        }
        facts = {
            "name": self.name,
            "role": self.role,
            "vpn_ip": arguments.vpn_ip,
            "public_ip": arguments.public_ip,
            "node_id": self._node_id,
        }
        knowledge = "stated" if stated else "unknown" if inventory is None or inventory.remembered else "observed"
        return {
            **{field: value for field, value in facts.items() if value},
            "capabilities": self._capabilities(inventory),
            "metadata": {field: value for field, value in metadata.items() if value not in {"", None}},
            "agent": {
                "name": "aurora-agent",
                "version": __version__,
                **({"instance": self.instance} if self.instance else {}),
                "gpus": knowledge,
            },
        }

    def _capabilities(self, inventory: Inventory | None) -> dict[str, Any]:
        arguments = self._arguments
        count = arguments.gpus
        if count is None:
            if inventory is None:
                return {}
            count = inventory.number
        capabilities: dict[str, Any] = {"gpu": count > 0}
        if not count:
            return capabilities
        capabilities["gpu_count"] = count
        if inventory is not None and inventory.type:
            capabilities["gpu_type"] = inventory.type
        if arguments.gpu_memory:
            capabilities["gpu_memory"] = arguments.gpu_memory
        elif inventory is not None and inventory.memory_bytes:
            capabilities["gpu_memory"] = round(inventory.memory_bytes / GIB, 1)
        return capabilities
