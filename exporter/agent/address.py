"""Where other nodes reach this machine: its address in the VPN."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

VPN = ("tailscale", "wg", "nebula", "zt", "tun")
"""Interfaces of tailscale, WireGuard, Nebula, ZeroTier and OpenVPN begin so."""
SIOCGIFADDR = 0x8915
IF_INET6 = Path("/proc/net/if_inet6")


def vpn_address(host: str, port: int) -> str:
    """That of the first VPN's interface, else the one from which the registry is reached; empty where there is none."""
    for prefix in VPN:
        for _, name in socket.if_nameindex():
            if name.startswith(prefix):
                for address in _addresses(name):
                    return address
    return _route_to(host, port)


def _addresses(interface: str) -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            request = struct.pack("256s", interface.encode()[:15])
            yield socket.inet_ntoa(fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)[20:24])
        except OSError:
            pass
    try:
        lines = IF_INET6.read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        digits, _, _, _, _, name = line.split()
        address = ipaddress.IPv6Address(int(digits, 16))
        if name == interface and not address.is_link_local:
            yield str(address)


def _route_to(host: str, port: int) -> str:
    """Our end of a connection to there; nothing is sent."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(place)
            address = ipaddress.ip_address(str(probe.getsockname()[0]).partition("%")[0])
    except (OSError, ValueError):
        return ""
    return "" if address.is_loopback or address.is_link_local else str(address)
