"""The nodes for other programs: Ansible, ssh, and the shell of a new node."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit

from exporter.client.documents import Node
from exporter.client.endpoint import node_path, parse_endpoint
from exporter.domain.text import is_name
from exporter.programs.cli.context import Context
from exporter.programs.cli.failures import Failure
from exporter.programs.cli.nodes import site_of
from exporter.programs.cli.terminal import escape_control

_NOT_IN_GROUP = re.compile(r"[^A-Za-z0-9_]")
_TEMPLATE = re.compile(r"\{[{%#]")
_RESERVED = "__ansible"
_PLAIN_WORD = re.compile(r"[A-Za-z0-9._~/@%+,:=-]+")


def inventory(context: Context) -> None:
    """Ansible's dynamic inventory. Source: Ansible, Developing dynamic inventory, "Inventory script conventions"."""
    if context.arguments.host:
        context.show_json(_variables(context.client.get(node_path(context.arguments.host)).of(Node)))
        return
    nodes = context.client.nodes(**context.filters())
    groups: dict[str, list[str]] = defaultdict(list)
    for name, node in nodes.items():
        for group in _groups(node):
            groups[group].append(name)
    hosts = {name: _variables(node) for name, node in nodes.items()}
    context.show_json(
        {
            "_meta": {"hostvars": hosts},
            "all": {"children": ["ungrouped", *groups]},
            **{group: {"hosts": names} for group, names in groups.items()},
        }
    )


def ssh_config(context: Context) -> None:
    """A Host block for each node that has an address."""
    arguments = context.arguments
    for option in ("user", "prefix", "identity_file"):
        value = getattr(arguments, option)
        if value and not _PLAIN_WORD.fullmatch(value):
            raise Failure(f"--{option.replace('_', '-')}: expected one word without quotes", exit_status=2)
    nodes = [node for node in context.client.nodes(**context.filters()).values() if node.vpn_ip]
    if arguments.json:
        context.show_json([{"host": f"{arguments.prefix}{node.name}", "hostname": node.vpn_ip} for node in nodes])
        return
    for node in nodes:
        context.show([f"Host {arguments.prefix}{_name(node.name)}", f"    HostName {_address(node.vpn_ip)}"])
        if arguments.user:
            context.show([f"    User {arguments.user}"])
        if arguments.identity_file:
            context.show([f"    IdentityFile {arguments.identity_file}"])


def join(context: Context) -> None:
    """The line that adds a node. It is run on another machine, so this one's loopback is no use there."""
    registry = parse_endpoint(context.arguments.registry)
    options = " ".join(map(shlex.quote, context.arguments.options))
    line = f"curl -fsSL {shlex.quote(f'{registry.url}/join')} | sh" + (f" -s -- {options}" if options else "")
    if context.arguments.json:
        context.show_json({"command": line})
    else:
        context.show([escape_control(line)])
    if _is_loopback(registry.host):
        context.complain(
            f"{urlsplit(registry.url).netloc} is this machine only: name the registry as other machines reach it, "
            "such as --registry 10.0.0.1:9999"
        )


def _groups(node: Node) -> list[str]:
    facts = {
        "role": node.role,
        "status": node.status,
        "lifecycle": node.lifecycle,
        "site": site_of(node),
        "environment": str(node.metadata.get("environment", "production")),
    }
    groups = [f"{kind}_{_NOT_IN_GROUP.sub('_', value)}" for kind, value in facts.items() if value]
    return [*groups, "gpu"] if node.gpu_count else groups


def _variables(node: Node) -> dict[str, Any]:
    variables = {
        "aurora_role": node.role,
        "aurora_status": node.status,
        "aurora_lifecycle": node.lifecycle,
        "aurora_gpus": node.gpu_count,
        "aurora_gpu_type": node.capabilities.get("gpu_type", ""),
        "aurora_last_seen": node.last_seen,
        "aurora_metadata": node.metadata,
    }
    inert: dict[str, Any] = _inert({"ansible_host": node.vpn_ip, **variables} if node.vpn_ip else variables)
    return inert


def _inert(value: Any) -> Any:
    """The value as Ansible takes it for text alone: of an inventory's it runs templates, and nodes may state some.

    Source: ansible-core, `AnsibleJSONDecoder`, which has further meanings for keys that begin with `__ansible`.
    """
    if isinstance(value, str):
        return {"__ansible_unsafe": value} if _TEMPLATE.search(value) else value
    if isinstance(value, dict):
        return {key: _inert(each) for key, each in value.items() if not key.startswith(_RESERVED)}
    return [_inert(each) for each in value] if isinstance(value, list) else value


def _name(text: str) -> str:
    # The registry checks names; but a line break in one would be more configuration, and a * every host's.
    if not is_name(text):
        raise Failure(f"{escape_control(text)} is no name of a node: is a registry at this URL?")
    return text


def _address(text: str) -> str:
    # The registry checks addresses; a line of ssh's configuration must not rely on that.
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Failure(f"{escape_control(text)} is no address: is a registry at this URL?") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
