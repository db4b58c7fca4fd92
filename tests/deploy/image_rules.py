"""What must hold of the Dockerfile, as a list of faults."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped]  # it ships without types

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "Dockerfile"
_SECRET = re.compile(r"(?i)password|secret|token|api_?key")


def instructions(text: str | None = None) -> list[tuple[str, str]]:
    """Each instruction and what stands behind it, in order."""
    content = (FILE.read_text() if text is None else text).encode()
    structure: list[dict[str, Any]] = DockerfileParser(fileobj=io.BytesIO(content)).structure
    return [(step["instruction"], step["value"]) for step in structure if step["instruction"] != "COMMENT"]


def from_context(text: str | None = None) -> list[str]:
    """The paths that are copied out of the repository."""
    copies = [value.split() for name, value in instructions(text) if name == "COPY" and "--from=" not in value]
    return [source for words in copies for source in words[:-1]]


def healthcheck(text: str | None = None) -> list[str]:
    """The command that checks whether a container is healthy."""
    [value] = [value for name, value in instructions(text) if name == "HEALTHCHECK"]
    command: list[str] = json.loads(value.partition("CMD ")[2])
    return command


def image_faults(text: str, ignored: str) -> list[str]:
    """Everything that is wrong with the Dockerfile and the .dockerignore beside it, a sentence each."""
    steps = instructions(text)
    names = [name for name, _ in steps]
    faults = [fault for name, value in steps for fault in _step(name, value)]
    if names.count("FROM") < 2 or "ADD" in names:
        faults.append("expected a stage that builds and one that runs, and no ADD")
    last = max(number for number, name in enumerate(names) if name == "FROM")
    faults += _final(dict(steps[last:]))
    kept = {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    if "*" not in ignored.splitlines():
        faults.append(".dockerignore lets everything in")
    faults += [
        f"COPY {source}: not there, or ignored"
        for source in from_context(text)
        if not (ROOT / source).exists() or source not in kept
    ]
    return faults


def _step(name: str, value: str) -> Iterator[str]:
    words = value.split()
    if name == "FROM" and not re.match(r"python:\d+\.\d+\.\d+-slim", value):
        yield f"{value}: not pinned by its version"
    if name in {"ARG", "ENV"} and _SECRET.search(value):
        yield f"{name}: a secret would stay in the image"
    if name == "RUN" and {"pip", "install"} <= set(words):
        if "--no-cache-dir" not in words:
            yield "pip's cache would stay in the image"
        if "--constraint" not in words:
            yield "what is installed is not held by constraints.txt"
    if name == "RUN" and "apt-get install" in value and "rm -rf /var/lib/apt/lists" not in value:
        yield "apt's lists would stay in the image"


def _final(stage: dict[str, str]) -> Iterator[str]:
    if not re.fullmatch(r"[1-9]\d+:[1-9]\d+", stage.get("USER", "")):
        yield "runs as root, or as a user without a fixed number"
    if not stage.get("ENTRYPOINT", "").startswith("["):
        yield "ENTRYPOINT: missing, or by a shell"
    if not stage.get("HEALTHCHECK", "").partition("CMD ")[2].startswith("["):
        yield "HEALTHCHECK: missing, or by a shell"
    if (stage.get("EXPOSE"), stage.get("VOLUME")) != ("9999", "/var/lib/aurora"):
        yield "EXPOSE or VOLUME is missing"
