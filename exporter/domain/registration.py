"""A registration: what a node says it is. Parsing it is its only validation."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec

from exporter.domain import strictjson
from exporter.domain.clock import MILLISECOND
from exporter.domain.duration import parse_duration
from exporter.domain.errors import Fault, Invalid
from exporter.domain.shape import shaped
from exporter.domain.text import NAME, address_fault, shown, text_fault

GIB = 2**30
DYNAMIC = "dynamic"
DEFAULT_ROLE = "compute"
DEFAULT_ENVIRONMENT = "production"
MAX_LINKS = 256
MAX_FREE_BYTES = 65_536

Name = Annotated[str, msgspec.Meta(pattern=NAME)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Link(msgspec.Struct, frozen=True, gc=False):
    """A connection that the node states itself, as a topology edge from it to `target`."""

    target: Name
    type: Name


class Registration(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a node says it is, checked. `capabilities` and `metadata` are its own JSON objects, kept as they came."""

    name: str
    role: str = DEFAULT_ROLE
    vpn_ip: str = ""
    """An address, or empty where none is stated or it is not fixed (`dynamic`)."""
    public_ip: str = ""
    capabilities: msgspec.Raw = msgspec.Raw(b"{}")
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    node_id: str = ""
    links: tuple[Link, ...] = ()
    ttl_ns: int = 0
    """How long a silence until the node is forgotten; 0 means the configured `forget_after`."""
    gpus: int = 0
    gpu_memory_bytes: int = 0
    """VRAM of all the node's GPUs together."""
    gpu_type: str = ""
    os: str = ""
    environment: str = DEFAULT_ENVIRONMENT
    site: str = ""
    cost_usd_per_hour: float | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    role: Name = DEFAULT_ROLE
    vpn_ip: str | None = None
    public_ip: str | None = None
    capabilities: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    node_id: str | None = None
    links: Annotated[list[Link], msgspec.Meta(max_length=MAX_LINKS)] = []
    ttl: str | None = None


class _Capabilities(msgspec.Struct):
    gpu: bool | None = None
    gpu_count: Count | None = None
    gpu_type: str | None = None
    gpu_memory: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None


class _Metadata(msgspec.Struct):
    os: str | None = None
    environment: str | None = None
    site: str | None = None
    cost_per_hour: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None


def parse_registration(value: Any) -> Registration:
    """The registration that a decoded JSON value states; Invalid names every field that is at fault."""
    if not isinstance(value, dict):
        raise Invalid.of("", f"expected a registration as a JSON object, got {shown(value)}")
    body = shaped(value, _Body)
    strictjson.reject_unwritable(body.capabilities, "capabilities")
    strictjson.reject_unwritable(body.metadata, "metadata")
    capabilities = shaped(body.capabilities, _Capabilities, path="capabilities")
    metadata = shaped(body.metadata, _Metadata, path="metadata")
    _raise_faults(body, capabilities, metadata)
    gpus = capabilities.gpu_count
    if gpus is None:
        gpus = 1 if capabilities.gpu else 0
    return Registration(
        name=body.name,
        role=body.role,
        vpn_ip=_fixed(body.vpn_ip),
        public_ip=_fixed(body.public_ip),
        capabilities=msgspec.Raw(_raw_bytes(body.capabilities)),
        metadata=msgspec.Raw(_raw_bytes(body.metadata)),
        node_id=body.node_id or "",
        links=tuple(dict.fromkeys(body.links)),
        ttl_ns=parse_duration(body.ttl) if body.ttl else 0,
        gpus=gpus,
        gpu_memory_bytes=round((capabilities.gpu_memory or 0) * GIB),
        gpu_type=capabilities.gpu_type or "",
        os=metadata.os or "",
        environment=metadata.environment or DEFAULT_ENVIRONMENT,
        site=metadata.site or "",
        cost_usd_per_hour=metadata.cost_per_hour,
    )


def _raise_faults(body: _Body, capabilities: _Capabilities, metadata: _Metadata) -> None:
    found = {
        "vpn_ip": _address_fault(body.vpn_ip),
        "public_ip": _address_fault(body.public_ip),
        "node_id": text_fault(body.node_id or ""),
        "capabilities.gpu_type": text_fault(capabilities.gpu_type or ""),
        "metadata.os": text_fault(metadata.os or ""),
        "metadata.environment": text_fault(metadata.environment or ""),
        "metadata.site": text_fault(metadata.site or ""),
        "ttl": _ttl_fault(body.ttl),
        "capabilities": _size_fault(body.capabilities),
        "metadata": _size_fault(body.metadata),
    }
    if capabilities.gpu is False and capabilities.gpu_count:
        found["capabilities.gpu_count"] = f"expected 0 where gpu is false, got {capabilities.gpu_count}"
    faults = [Fault(field, message) for field, message in found.items() if message]
    if faults:
        raise Invalid(faults)


def _address_fault(address: str | None) -> str | None:
    fixed = _fixed(address)
    return address_fault(fixed) if fixed else None


def _ttl_fault(ttl: str | None) -> str | None:
    try:
        if ttl and parse_duration(ttl) < 100 * MILLISECOND:
            return f"expected at least 100ms, got {shown(ttl)}"
    except ValueError as error:
        return str(error)
    return None


def _size_fault(free: dict[str, Any]) -> str | None:
    size = len(_raw_bytes(free))
    return f"expected at most {MAX_FREE_BYTES} bytes of JSON, got {size}" if size > MAX_FREE_BYTES else None


def _fixed(address: str | None) -> str:
    return "" if address is None or address == DYNAMIC else address


def _raw_bytes(value: dict[str, Any]) -> bytes:
    # Not msgspec's encoder: integers beyond 64 bits are JSON too, and come back as they came.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
