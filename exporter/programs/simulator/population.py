"""Who lives in the mesh: rented boxes, workstations under desks, laptops on the VPN. The same seed, the same people."""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from exporter.programs.simulator.hardware import A100, H100, L40S, RTX_3090, RTX_4070_LAPTOP, RTX_4090, GpuModel
from exporter.programs.simulator.seededrandom import draw, serial

LEAD = "aurora"
MAX_NODES = 1_000_000
MAX_SITES = 1_000
_HOSTS = 254
"""In a /24, without the network's and the broadcast's address."""
_FIRST_SUBNET = 80
_STORES_ONE_IN = 20
_PEOPLE = (
    *("vera", "amal", "bruno", "chidi", "dana", "emre", "femi", "greta", "hugo", "ines", "jonas", "keiko", "luca"),
    *("mira", "nils", "olga", "pavel", "quinn", "rosa", "sami", "tove", "uma", "viktor", "wanda", "xenia", "yusuf"),
    *("zora", "anton", "bela", "carla", "dmitri", "elif", "farid", "gita", "hana", "ivo", "juno", "karim", "lena"),
)


class SiteKind(enum.StrEnum):
    """What a site is, by which its day looks."""

    RENTED = "rented"
    LAB = "lab"
    LAPTOPS = "laptops"


_ORDER = (SiteKind.RENTED, SiteKind.LAB, SiteKind.LAPTOPS, SiteKind.RENTED, SiteKind.LAB, SiteKind.RENTED)
_NAMES = {
    SiteKind.RENTED: ("runpod-tx", "vast-de", "lambda-az", "runpod-se", "hetzner-fi", "vast-jp"),
    SiteKind.LAB: ("lab", "lab-east", "lab-attic", "lab-harbour"),
    SiteKind.LAPTOPS: ("road", "home", "campus"),
}
_WEIGHTS = {SiteKind.RENTED: 5, SiteKind.LAB: 3, SiteKind.LAPTOPS: 2}
_FLEETS: dict[SiteKind, tuple[tuple[GpuModel | None, int], ...]] = {
    SiteKind.RENTED: (
        *((RTX_4090, 1), (A100, 2), (L40S, 4), (RTX_4090, 2), (H100, 8), (RTX_4090, 4), (A100, 4), (L40S, 2)),
        *((RTX_4090, 1), (RTX_3090, 4), (H100, 2)),
    ),
    SiteKind.LAB: ((RTX_4090, 1), (RTX_3090, 1), (RTX_3090, 2), (RTX_4090, 2), (RTX_4090, 1)),
    SiteKind.LAPTOPS: ((None, 0), (RTX_4070_LAPTOP, 1), (None, 0)),
}
_SYSTEMS = {
    SiteKind.RENTED: ("ubuntu-22.04", "ubuntu-24.04"),
    SiteKind.LAB: ("ubuntu-24.04", "debian-12", "arch", "fedora-41"),
    SiteKind.LAPTOPS: ("macos-15", "windows-11", "fedora-41", "ubuntu-24.04"),
}
_ENVIRONMENTS = {
    SiteKind.RENTED: (("staging", 0.1),),
    SiteKind.LAB: (("dev", 0.15), ("staging", 0.05)),
    SiteKind.LAPTOPS: (("dev", 0.3),),
}


@dataclass(frozen=True, slots=True)
class Site:
    """A place where nodes are."""

    name: str
    kind: SiteKind


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the mesh, with all that it will ever say about itself."""

    name: str
    site: Site
    role: str
    vpn_ip: str
    public_ip: str = "dynamic"
    model: GpuModel | None = None
    gpus: int = 0
    environment: str = "production"
    os: str = "ubuntu-24.04"
    links: tuple[tuple[str, str], ...] = ()
    """What it reaches and by what: target, type."""

    @property
    def node_id(self) -> str:
        """Its machine id. It belongs to the name, so that a mesh with another seed is not taken for an intruder."""
        return serial("machine", self.name)

    @property
    def gpu_uuids(self) -> tuple[str, ...]:
        """Its GPUs' identities, by index, as the driver writes them."""
        return _gpu_uuids(self.name, self.gpus)

    def registration(self) -> dict[str, Any]:
        """What it registers with, as `POST /nodes/register` takes it."""
        capabilities: dict[str, Any] = {"gpu": False}
        metadata: dict[str, Any] = {
            "os": self.os,
            "environment": self.environment,
            "site": self.site.name,
            "simulated": True,
        }
        if self.model is not None:
            memory_gb = self.gpus * self.model.memory_gb
            capabilities = {
                "gpu": True,
                "gpu_count": self.gpus,
                "gpu_type": self.model.name,
                "gpu_memory": memory_gb,
            }
            if self.site.kind is SiteKind.RENTED:
                metadata["cost_per_hour"] = round(self.gpus * self.model.usd_per_hour, 2)
        return {
            "name": self.name,
            "role": self.role,
            "vpn_ip": self.vpn_ip,
            "public_ip": self.public_ip,
            "capabilities": capabilities,
            "metadata": metadata,
            "node_id": self.node_id,
            "links": [{"target": target, "type": kind} for target, kind in self.links],
        }


@functools.lru_cache(maxsize=65_536)
def _gpu_uuids(name: str, gpus: int) -> tuple[str, ...]:
    digits = [serial("gpu", name, index) for index in range(gpus)]
    return tuple(f"GPU-{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in digits)


def populate(nodes: int, sites: int, seed: int) -> tuple[Member, ...]:
    """So many nodes at so many sites, the lead first; the same for the same numbers, names and addresses unique."""
    places = _places(sites)
    members: list[Member] = []
    desks = laptops = stores = 0
    for endpoint, size in zip(places, _sizes(nodes, places), strict=True):
        spin = int(draw(seed, "fleet", endpoint.name) * 1000)
        store = ""
        for position in range(size):
            vpn_ip, public_ip = _vpn_ip(len(members)), "dynamic"
            if endpoint.kind is SiteKind.RENTED:
                public_ip = f"203.0.113.{1 + int(draw('address', endpoint.name, position) * 254)}"
            if not members:
                members.append(Member(LEAD, endpoint, "lead", vpn_ip, public_ip))
                continue
            if endpoint.kind is not SiteKind.LAPTOPS and position % _STORES_ONE_IN == 1 and size >= _STORES_ONE_IN // 2:
                stores += 1
                store = f"store-{stores:02d}"
                members.append(Member(store, endpoint, "storage", vpn_ip, public_ip))
                continue
            if endpoint.kind is SiteKind.RENTED:
                name = f"{endpoint.name}-{position:02d}"
            elif endpoint.kind is SiteKind.LAB:
                name, desks = _desk(desks), desks + 1
            else:
                laptops += 1
                name = f"laptop-{laptops:02d}"
            members.append(
                _worker(name, endpoint, seed, position + spin, vpn_ip=vpn_ip, public_ip=public_ip, store=store)
            )
    return tuple(members)


def _worker(name: str, endpoint: Site, seed: int, turn: int, *, vpn_ip: str, public_ip: str, store: str) -> Member:
    # In turn and not at random, so that a mesh of a dozen nodes has some of each as well.
    fleet = _FLEETS[endpoint.kind]
    model, gpus = fleet[turn % len(fleet)]
    # No Mac has such a GPU.
    systems = [system for system in _SYSTEMS[endpoint.kind] if not (model and system.startswith("macos"))]
    return Member(
        name=name,
        site=endpoint,
        role="compute" if model else "edge",
        vpn_ip=vpn_ip,
        public_ip=public_ip,
        model=model,
        gpus=gpus,
        environment=_environment(endpoint.kind, draw(seed, "environment", name)),
        os=systems[int(draw(seed, "os", name) * len(systems))],
        links=((store, "nfs"),) if store and draw(seed, "nfs", name) < 0.5 else (),  # noqa: PLR2004 - half of them
    )


def _environment(kind: SiteKind, fraction: float) -> str:
    for environment, part in _ENVIRONMENTS[kind]:
        if fraction < part:
            return environment
        fraction -= part
    return "production"


def _places(sites: int) -> list[Site]:
    found: list[Site] = []
    counts = dict.fromkeys(SiteKind, 0)
    for index in range(sites):
        kind = _ORDER[index % len(_ORDER)]
        names, number = _NAMES[kind], counts[kind]
        counts[kind] += 1
        again = number // len(names)
        found.append(Site(names[number % len(names)] + (f"-{again + 1}" if again else ""), kind))
    return found


def _sizes(nodes: int, places: list[Site]) -> Iterator[int]:
    """Sizes by weight, that add up to the nodes."""
    total = sum(_WEIGHTS[endpoint.kind] for endpoint in places)
    weight = given = 0
    for endpoint in places:
        weight += _WEIGHTS[endpoint.kind]
        upto = round(nodes * weight / total)
        yield upto - given
        given = upto


def _desk(number: int) -> str:
    again, person = divmod(number, len(_PEOPLE))
    return f"desk-{_PEOPLE[person]}" + (f"-{again + 1}" if again else "")


def _vpn_ip(index: int) -> str:
    subnet, host = divmod(index, _HOSTS)
    return f"10.{_FIRST_SUBNET + subnet // 256}.{subnet % 256}.{host + 1}"
