"""What the node is: from its arguments, its operating system, and its GPUs."""

from __future__ import annotations

import argparse
import hashlib
import hmac
import platform
import re
from pathlib import Path
from typing import Any

from exporter.domain.registration import GIB
from exporter.programs.agent.gpus import Inventory

MACHINE_ID = Path("/etc/machine-id")
_APPLICATION = b"aurora-node-registry"
_MACHINE_ID = re.compile(r"[0-9a-f]{32}\n?", re.ASCII)
_OUTSIDE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME = 63


def name_of(hostname: str) -> str:
    """A host name as a node's name: what may not stand in one becomes a hyphen; empty where nothing is left."""
    return _OUTSIDE_NAMES.sub("-", hostname).strip("._-")[:_MAX_NAME].rstrip("._-")


def node_id_of(machine_id: Path = MACHINE_ID) -> str:
    """A stable id of this machine for this application alone, in hexadecimal; empty where the machine has none.

    Source: machine-id(5), which asks that the id itself is shown to nobody.
    """
    try:
        text = machine_id.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    if not _MACHINE_ID.fullmatch(text):  # `uninitialized`, in an image that never booted
        return ""
    return hmac.new(bytes.fromhex(text.strip()), _APPLICATION, hashlib.sha256).hexdigest()[:32]


def os_of() -> str:
    """What os-release calls the system, such as `ubuntu`; empty where there is none."""
    try:
        return platform.freedesktop_os_release().get("ID", "")
    except OSError:
        return ""


def registration_of(
    arguments: argparse.Namespace, inventory: Inventory, *, hostname: str, node_id: str, system: str
) -> dict[str, Any]:
    """The body of `POST /nodes/register`; what is not known is left out."""
    capabilities: dict[str, Any] = {"gpu": inventory.count > 0}
    if inventory.count:
        capabilities |= {
            "gpu_count": inventory.count,
            "gpu_type": inventory.type,
            "gpu_memory": round(inventory.memory_bytes / GIB, 1),
        }
    metadata = {
        "os": system,
        "environment": arguments.environment,
        "site": arguments.site,
        "cost_per_hour": arguments.cost_per_hour,
    }
    facts = {
        "name": arguments.node_name or name_of(hostname),
        "role": arguments.role,
        "vpn_ip": arguments.vpn_ip,
        "public_ip": arguments.public_ip,
        "node_id": node_id,
    }
    return {
        **{field: value for field, value in facts.items() if value},
        "capabilities": capabilities,
        "metadata": {field: value for field, value in metadata.items() if value not in {"", None}},
    }
