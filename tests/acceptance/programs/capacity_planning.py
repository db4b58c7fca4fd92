# ruff: noqa: T201 - a program prints
"""A script warns when there is little GPU memory left to plan with."""

import requests

response = requests.get("http://10.0.0.1:9999/stats")
stats = response.json()

if stats["total_vram_gb"] < 64:
    print("⚠️ Low GPU capacity - consider adding nodes")
