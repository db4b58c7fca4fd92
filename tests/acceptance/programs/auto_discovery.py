# ruff: noqa: T201 - a program prints
"""A service looks for all nodes with GPUs."""

import requests

response = requests.get("http://10.0.0.1:9999/nodes")
nodes = response.json()["nodes"]

gpu_nodes = [node for node in nodes.values() if node.get("capabilities", {}).get("gpu") and node["status"] == "active"]

print(f"Found {len(gpu_nodes)} GPU nodes")
