# ruff: noqa: T201 - a program prints
"""A script lists the nodes that are not healthy."""

import requests

response = requests.get("http://10.0.0.1:9999/nodes")
nodes = response.json()["nodes"]

for name, info in nodes.items():
    if info["status"] != "active":
        print(f"⚠️ {name} is {info['status']}")
