"""What a measurement says: a table, and how far each promise is kept."""

from __future__ import annotations

import datetime as dt
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec

from demo.servers import newest

PACKAGES = ("prometheus-client", "starlette", "uvicorn", "uvloop", "httptools", "msgspec", "redis", "hiredis", "isal")
SERVERS = (("redis-server", "--version"), ("prometheus-pushgateway", "--version"), ("wrk", "--version"))


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: a number that must be at least, or at most, another."""

    promise: str
    bound: float
    measured: float
    unit: str
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """Whether the promise is kept."""
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def row(self) -> tuple[str, ...]:
        """Promise, bound, measured, and by how much it was reached or missed."""
        margin = f", by {abs(self.measured / self.bound - 1):.0%}" if self.bound else ""
        word = "reached" if self.reached else "**missed**"
        sign = "≤" if self.at_most else "≥"
        return (
            self.promise,
            f"{sign} {self.bound:g} {self.unit}".rstrip(),
            f"{self.measured:.3g} {self.unit}".rstrip(),
            f"{word}{margin}",
        )


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement. `compared`: what stands beside what, and how it was done."""

    title: str
    compared: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    targets: Sequence[Target]

    def body(self) -> str:
        """What stands below the title in the results."""
        return f"{self.compared}\n\n{table(self.header, self.rows)}"


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; all columns but the first are figures."""
    lines = [header, ("---", *("---:" for _ in header[1:])), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Measured:
    """A section, and on what it was measured; `at`: the minute."""

    section: Section
    at: str
    facts: tuple[str, ...]

    @classmethod
    def now(cls, section: Section) -> Measured:
        """The section as measured just now, on this machine."""
        return cls(section, f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC", _facts())


def read(path: Path) -> dict[str, Measured]:
    """What earlier runs measured, by the measurement's name; nothing where there is no such file."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Measured]) if path.exists() else {}


def write(path: Path, kept: dict[str, Measured]) -> None:
    """Keep it for later runs, of other measurements."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def results(measured: Iterable[Measured], *, quick: bool) -> str:
    """The whole document; measurements of one machine and its versions stand together."""
    machines: dict[tuple[str, ...], list[Measured]] = {}
    for each in measured:
        machines.setdefault(each.facts, []).append(each)
    parts = ["# Measured\n"]
    if quick:
        parts.append("**A quick run: the sizes are small, and the promises are about the full ones.**\n")
    parts.append(
        "Everything ran on one machine, over its loopback interface, and shared its cores: servers, publishers and the "
        "measuring clients. Only the ratios within one run mean something.\n"
    )
    rows = [target.row() for group in machines.values() for each in group for target in each.section.targets]
    parts.append(f"## Promises\n\n{table(('promise', 'bound', 'measured', 'verdict'), rows)}")
    for facts, group in machines.items():
        machine, *versions = facts
        parts.append(f"## On {machine}\n\n" + "".join(f"- {each}\n" for each in versions))
        parts += [f"### {each.section.title}\n\nMeasured {each.at}.\n\n{each.section.body()}" for each in group]
    return "\n".join(parts)


def _facts() -> tuple[str, ...]:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    cores = re.findall(r"^processor", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return (
        f"{cpu[1] if cpu else platform.machine()}, {len(cores)} cores, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "; ".join(_server_version(*command) for command in SERVERS),
    )


def _server_version(program: str, flag: str) -> str:
    # wrk prints its version and then ends as if that were wrong.
    try:
        said = subprocess.run([newest(program), flag], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"no {program}"
    number = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return f"{program} {number[0] if number else 'of an unknown version'}"
