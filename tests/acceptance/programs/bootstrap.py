"""A node registers itself when it boots."""

import requests

requests.post(
    "http://10.0.0.1:9999/nodes/register",
    json={
        "name": "vengeance",
        "role": "compute",
        "vpn_ip": "10.0.0.4",
        "public_ip": "dynamic",
        "capabilities": {"gpu": True, "gpu_count": 1, "gpu_type": "RTX 4090", "gpu_memory": 24},
        "metadata": {"os": "ubuntu", "docker_version": "24.0.7"},
    },
)
