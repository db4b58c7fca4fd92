"""A registration: what a node says it is. Parsing it is its only validation."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any

import msgspec

from exporter.domain import strictjson
from exporter.domain.clock import MILLISECOND
from exporter.domain.duration import parse_duration
from exporter.domain.errors import Fault, Invalid
from exporter.domain.shape import fitting, shaped
from exporter.domain.text import NAME, address_fault, shown, text_fault

GIB = 2**30
DYNAMIC = "dynamic"
DEFAULT_ROLE = "compute"
DEFAULT_ENVIRONMENT = "production"
MAX_LINKS = 256
MAX_FREE_BYTES = 65_536
ADDRESS = "@"
"""Begins an identity that is an address."""
GPU_KEYS = ("gpu", "gpu_count", "gpu_type", "gpu_memory")

Name = Annotated[str, msgspec.Meta(pattern=NAME)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class GpuKnowledge(enum.StrEnum):
    """How an agent knows the GPUs that it registers."""

    STATED = "stated"
    """A person said so, or the sender is no agent: it stands as it is."""
    OBSERVED = "observed"
    """As many answer now; there may be more that are lost."""
    UNKNOWN = "unknown"
    """The driver could not be asked: what is registered is a memory of earlier times, if anything."""


class Link(msgspec.Struct, frozen=True, gc=False):
    """A connection that the node states itself, as a topology edge from it to `target`."""

    target: Name
    type: Name


class Agent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The program that registered the node, as it names itself."""

    name: str
    version: str = ""
    instance: str = ""
    """Another one with each start, so that two machines with one name differ from one that started again."""
    gpus: GpuKnowledge = GpuKnowledge.STATED


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
    """Time without heartbeats until the node is forgotten; 0 means the configured `forget_after`."""
    gpus: int = 0
    gpu_memory_bytes: int = 0
    """VRAM of all the node's GPUs together."""
    gpu_type: str = ""
    os: str = ""
    environment: str = DEFAULT_ENVIRONMENT
    site: str = ""
    cost_usd_per_hour: float | None = None
    agent: Agent | None = None


class RegistrationBody(msgspec.Struct, forbid_unknown_fields=True):
    """A registration as it is sent. Addresses may be `dynamic`: not fixed; `ttl` is a duration such as 72h."""

    name: Name
    role: Name = DEFAULT_ROLE
    vpn_ip: str | None = None
    public_ip: str | None = None
    capabilities: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    node_id: str | None = None
    links: Annotated[list[Link], msgspec.Meta(max_length=MAX_LINKS)] = []
    ttl: str | None = None
    agent: Agent | None = None


class Capabilities(msgspec.Struct):
    """The keys of `capabilities` that are checked, others are kept; `gpu_memory`: GB of all the GPUs together."""

    gpu: bool | None = None
    gpu_count: Count | None = None
    gpu_type: str | None = None
    gpu_memory: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None


class Metadata(msgspec.Struct):
    """The keys of `metadata` that are checked, others are kept; `cost_per_hour` in USD."""

    os: str | None = None
    environment: str | None = None
    site: str | None = None
    cost_per_hour: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None


def parse_registration(value: Any) -> Registration:
    """The registration that a decoded JSON value states; Invalid names every field that is at fault."""
    if not isinstance(value, dict):
        raise Invalid.of("", f"expected a registration as a JSON object, got {shown(value)}")
    try:
        body = shaped(value, RegistrationBody)
        capabilities = shaped(body.capabilities, Capabilities, path="capabilities")
        metadata = shaped(body.metadata, Metadata, path="metadata")
        faults = _faults(body, capabilities, metadata)
    except Invalid:
        faults = _every_fault(value)
    if faults:
        raise Invalid(faults)
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
        gpus=_gpus(capabilities),
        gpu_memory_bytes=round((capabilities.gpu_memory or 0) * GIB),
        gpu_type=capabilities.gpu_type or "",
        os=metadata.os or "",
        environment=metadata.environment or DEFAULT_ENVIRONMENT,
        site=metadata.site or "",
        cost_usd_per_hour=metadata.cost_per_hour,
        agent=body.agent,
    )


def identity_of(registration: Registration) -> str:
    """What differs between two machines that register under one name, beside their `node_id`."""
    if registration.agent and registration.agent.instance:
        return registration.agent.instance
    address = registration.vpn_ip or registration.public_ip
    return f"{ADDRESS}{address}" if address else ""


def with_held_id(claim: Registration, held: str) -> Registration:
    """The claim with the `node_id` that the node holds already, where it states none: an update never drops it."""
    return claim if claim.node_id or not held else msgspec.structs.replace(claim, node_id=held)


def with_known_gpus(claim: Registration, known: Registration) -> Registration:
    """The claim of a known node. Where it only reports its GPUs and does not state them, they never become fewer.

    An agent that could not ask the driver, or that found fewer GPUs than there were, has no say in how many there
    should be. What it does not state of as many GPUs (their type, their memory) stands as well.
    """
    knowledge = claim.agent.gpus if claim.agent else GpuKnowledge.STATED
    if knowledge is GpuKnowledge.STATED or not known.gpus:
        return claim
    claimed, registered = _object_of(claim.capabilities), _object_of(known.capabilities)
    if knowledge is GpuKnowledge.OBSERVED and claim.gpus >= known.gpus:
        if claim.gpus > known.gpus:
            return claim
        stated = {key: value for key, value in claimed.items() if value not in (None, "", 0)}
        registered |= stated
    for key in GPU_KEYS:
        claimed.pop(key, None)
        if key in registered:
            claimed[key] = registered[key]
    return with_capabilities(claim, claimed)


def with_gpu_count(registration: Registration, count: int) -> Registration:
    """The registration with so many GPUs, and memory in proportion: what a person accepts as what there should be."""
    capabilities = _object_of(registration.capabilities)
    capabilities |= {"gpu": count > 0, "gpu_count": count}
    memory = capabilities.get("gpu_memory")
    if memory is not None and registration.gpus:
        capabilities["gpu_memory"] = round(memory * count / registration.gpus, 1)
    return with_capabilities(registration, capabilities)


def with_capabilities(registration: Registration, capabilities: dict[str, Any]) -> Registration:
    """The registration with other capabilities, and what is known from them."""
    checked = shaped(capabilities, Capabilities, path="capabilities")
    return msgspec.structs.replace(
        registration,
        capabilities=msgspec.Raw(_raw_bytes(capabilities)),
        gpus=_gpus(checked),
        gpu_memory_bytes=round((checked.gpu_memory or 0) * GIB),
        gpu_type=checked.gpu_type or "",
    )


def _object_of(raw: msgspec.Raw) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(bytes(raw))
    return value


def _gpus(capabilities: Capabilities) -> int:
    if capabilities.gpu_count is not None:
        return capabilities.gpu_count
    return 1 if capabilities.gpu else 0


def _every_fault(value: dict[str, Any]) -> list[Fault]:
    """What is wrong with an object of which some values do not even have the right type."""
    parts, faults = fitting(value, RegistrationBody)
    sections: list[Any] = []
    for name, shape in (("capabilities", Capabilities), ("metadata", Metadata)):
        good, more = fitting(parts.get(name, {}), shape, path=name)
        faults += more
        sections.append(msgspec.convert(good, shape))
    found = _faults(msgspec.convert({"name": "unnamed"} | parts, RegistrationBody), *sections)
    # What is not finite is out of range too: the later fault says more.
    return list({fault.field: fault for fault in faults + found}.values())


def _faults(body: RegistrationBody, capabilities: Capabilities, metadata: Metadata) -> list[Fault]:
    found = {
        **_unwritable(body.capabilities, "capabilities"),
        **_unwritable(body.metadata, "metadata"),
        "vpn_ip": _address_fault(body.vpn_ip),
        "public_ip": _address_fault(body.public_ip),
        "node_id": text_fault(body.node_id or ""),
        "capabilities.gpu_type": text_fault(capabilities.gpu_type or ""),
        "metadata.os": text_fault(metadata.os or ""),
        "metadata.environment": text_fault(metadata.environment or ""),
        "metadata.site": text_fault(metadata.site or ""),
        "ttl": _ttl_fault(body.ttl),
        "agent.name": _agent_fault(body.agent),
        "agent.version": text_fault(body.agent.version) if body.agent else None,
        "agent.instance": text_fault(body.agent.instance) if body.agent else None,
        "capabilities": _size_fault(body.capabilities),
        "metadata": _size_fault(body.metadata),
    }
    if capabilities.gpu is False and capabilities.gpu_count:
        found["capabilities.gpu_count"] = f"expected 0 where gpu is false, got {capabilities.gpu_count}"
    return [Fault(field, message) for field, message in found.items() if message]


def _unwritable(free: dict[str, Any], path: str) -> dict[str, str]:
    try:
        strictjson.reject_unwritable(free, path)
    except Invalid as error:
        return {fault.field: fault.message for fault in error.faults}
    return {}


def _address_fault(address: str | None) -> str | None:
    fixed = _fixed(address)
    return address_fault(fixed) if fixed else None


def _agent_fault(agent: Agent | None) -> str | None:
    if agent is None:
        return None
    return text_fault(agent.name) if agent.name else "expected the program's name, got ''"


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
