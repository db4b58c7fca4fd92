"""What must hold of the compose file, as a list of faults."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import exporter

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILE = DEPLOY / "docker-compose.yml"
PROFILES = {"coordinator": {"node-registry", "redis"}, "monitoring": {"prometheus", "alertmanager", "grafana"}}
_VARIABLE = re.compile(r"\$\{\w+:-([^}]*)\}")
_PINNED = re.compile(r".+:v?\d+\.\d+\.\d+(-[a-z]+)?")


def compose(text: str | None = None) -> Any:
    """The document as it is without an .env file: each variable at its default."""
    return _filled_in(yaml.safe_load(FILE.read_text() if text is None else text))


def _filled_in(value: Any) -> Any:
    # After the YAML is read, as compose does: an empty default is a text then, not nothing.
    match value:
        case dict():
            return {key: _filled_in(inner) for key, inner in value.items()}
        case list():
            return [_filled_in(inner) for inner in value]
        case str():
            return _VARIABLE.sub(r"\1", value)
    return value


def mounts(service: Any) -> Iterator[tuple[str, str]]:
    """What is mounted, and where to: a name or a path as written, and a path in the container."""
    for volume in service.get("volumes", ()):
        source, target = volume.split(":")[:2]
        yield source, target


def compose_faults(text: str) -> list[str]:
    """Everything that is wrong, a sentence each."""
    document = compose(text)
    services = document["services"]
    profiles = {
        profile: {name for name, service in services.items() if profile in service.get("profiles", ())}
        for profile in PROFILES
    }
    faults = [] if profiles == PROFILES else [f"profiles bring {profiles}"]
    for name, service in services.items():
        faults += [f"{name}: {fault}" for fault in _service(service, document)]
    registry, command = services["node-registry"], services["redis"].get("command", [])
    if registry["image"] != f"aurora-node-registry:{exporter.__version__}":
        faults.append("node-registry: the image has another version than the package")
    if registry.get("container_name") != "node-registry" or not registry["ports"][0].endswith(":9999:9999"):
        faults.append("node-registry: http://node-registry:9999 is what others use")
    if registry["ports"][0].count(":") < 2:
        faults.append("node-registry: published on IPv6 too")
    if "ports" in services["redis"]:
        faults.append("redis: is published")
    options = dict(zip(command[1::2], command[2::2], strict=False))
    if (options.get("--appendonly"), options.get("--maxmemory-policy")) != ("yes", "noeviction"):
        faults.append("redis: may lose or drop nodes")
    return faults + _schema(text)


def _service(service: Any, document: Any) -> Iterator[str]:
    if not _PINNED.fullmatch(service["image"]):
        yield "the image is not pinned by its version"
    if not (service.get("restart") == "unless-stopped" and service.get("read_only") and service.get("mem_limit")):
        yield "restart, read_only or mem_limit is missing"
    if service.get("cap_drop") != ["ALL"] or service.get("security_opt") != ["no-new-privileges:true"]:
        yield "it has privileges"
    if "max-size" not in service.get("logging", {}).get("options", {}):
        yield "its log has no bound"
    if "healthcheck" not in service and "build" not in service:
        yield "there is no healthcheck"
    if "monitoring" in service["profiles"] and not all(p.startswith("127.0.0.1:") for p in service["ports"]):
        yield "it has no password, and is published beyond this host"
    yield from _references(service, document)


def _references(service: Any, document: Any) -> Iterator[str]:
    for needed, how in service.get("depends_on", {}).items():
        other = document["services"].get(needed)
        if other is None or other["profiles"] != service["profiles"] or how != {"condition": "service_healthy"}:
            yield f"depends_on {needed} does not hold"
    for network in set(service["networks"]) - set(document["networks"]):
        yield f"there is no network {network}"
    for source, _ in mounts(service):
        if source.startswith("."):
            if not (DEPLOY / source).exists():
                yield f"there is no {source}"
        elif source not in document["volumes"]:
            yield f"there is no volume {source}"


def _schema(text: str) -> list[str]:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "docker-compose.yml"
        path.write_text(text)
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
        checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return [] if checked.returncode == 0 else ["the specification's schema: " + checked.stdout + checked.stderr]
