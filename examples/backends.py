"""Render the active backends of a role as an nginx upstream, for `include` in nginx.conf.

python examples/backends.py http://127.0.0.1:9999 compute 8000 >backends.conf
"""

from __future__ import annotations

import sys

from exporter.client.client import Client


def upstream(registry: str, role: str, port: int) -> str:
    """The upstream block; with no active backend it refuses at once rather than being no configuration."""
    nodes = Client(registry).nodes(role=role, status="active").values()
    addresses = [node.vpn_ip for node in nodes if node.vpn_ip and node.lifecycle == "in_service"]
    servers = [f"    server {f'[{address}]' if ':' in address else address}:{port};" for address in addresses]
    return "\n".join([f"upstream {role} {{", *(servers or ["    server 127.0.0.1:1 down;"]), "}", ""])


if __name__ == "__main__":
    sys.stdout.write(upstream(sys.argv[1], sys.argv[2], int(sys.argv[3])))
