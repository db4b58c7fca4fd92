"""Which node sends from an address, for the log."""

from __future__ import annotations

from ipaddress import ip_address

from exporter.api.service import Service
from exporter.domain.errors import StillLoading
from exporter.domain.node import Node
from exporter.nodemap.changes import GONE, Change
from exporter.nodemap.nodemap import NodeMap

_NEW = Change.APPEARED, Change.FACTS


class NodesByAddress:
    """Names of nodes by their `vpn_ip`; of several that state the same one, the latest to say so."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._node_map: NodeMap | None = None
        self._names: dict[str, str] = {}
        self._addresses: dict[str, str] = {}

    def name_at(self, address: str) -> str | None:
        """The node's name; None where no node is known to have the address."""
        if self._node_map is None:
            self._watch()
        return self._names.get(address)

    def _watch(self) -> None:
        try:
            self._node_map = self._service.node_map
        except StillLoading:
            return
        for node in self._node_map.nodes():
            self._add(node)
        self._node_map.listeners.append(self._note)

    def _note(self, change: Change, node: Node) -> None:
        if change in _NEW:
            self._drop(node.name)
            self._add(node)
        elif change in GONE:
            self._drop(node.name)

    def _add(self, node: Node) -> None:
        if address := _canonical(node.facts.vpn_ip):
            self._names[address] = node.name
            self._addresses[node.name] = address

    def _drop(self, name: str) -> None:
        address = self._addresses.pop(name, None)
        if address is not None and self._names.get(address) == name:
            del self._names[address]


def _canonical(address: str) -> str:
    # Of IPv6 addresses there are many spellings, of IPv4 addresses one.
    return str(ip_address(address)) if ":" in address else address
