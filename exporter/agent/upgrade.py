"""A newer agent, where the registry offers one and somebody asked for that: fetched, checked, tried and started."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.agent import archive
from exporter.agent.http import HttpRegistry
from exporter.agent.logs import AgentLog
from exporter.agent.responsereader import BadAnswer

TRY_SECONDS = 20
_PATH = re.compile(r"/[A-Za-z0-9./_-]{1,200}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Upgrade:
    """Takes up what registrations are answered with."""

    def __init__(self, http: HttpRegistry | None, state_directory: Path, log: AgentLog, *, wanted: bool) -> None:
        """`wanted`: take it; else only say in the log that there is one."""
        self._http = http
        self._directory = state_directory
        self._log = log
        self._wanted = wanted
        self._reported = ""

    def take(self, offer: Any) -> None:
        """Replace this process by the newer agent, if it is offered; whatever fails, this one keeps running."""
        if not isinstance(offer, Mapping):
            return
        version, path, sha256 = (str(offer.get(key, "")) for key in ("version", "path", "sha256"))
        if version == self._reported:
            return
        self._reported = version
        running = Path(sys.argv[0])
        if not self._wanted or running.suffix != ".pyz" or self._http is None:
            self._log.info("the registry has a newer agent: run join again, or use --self-upgrade", version=version)
            return
        if _PATH.fullmatch(path) is None or _SHA256.fullmatch(sha256) is None:
            self._log.warning("the registry's offer of a newer agent cannot be understood")
            return
        try:
            target = self._fetched(running, path, sha256)
        except (OSError, ValueError, BadAnswer, subprocess.SubprocessError) as error:
            self._log.warning("the newer agent cannot be installed", version=version, reason=error)
            return
        self._log.info("starting the newer agent", version=version, path=target)
        sys.stderr.flush()
        flags = ["-S"] * sys.flags.no_site
        os.execv(sys.executable, [sys.executable, *flags, str(target), *sys.argv[1:]])  # noqa: S606 - that is what we are for

    def _fetched(self, running: Path, path: str, sha256: str) -> Path:
        """Where the newer agent lies: in the place of this one, or, where that is not ours to write, with the state."""
        kept = self._directory / archive.NAME
        if kept.exists() and hashlib.sha256(kept.read_bytes()).hexdigest() == sha256:
            return kept
        assert self._http is not None  # noqa: S101 - looked at above
        response = self._http.fetch("GET", path)
        if hashlib.sha256(response.body).hexdigest() != sha256:
            raise ValueError("it is not what the registry announced")
        writable = os.access(str(running.parent), os.W_OK) and os.access(str(running), os.W_OK)
        target = running if writable else kept
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"new-{target.name}")
        fresh.write_bytes(response.body)
        subprocess.run([sys.executable, str(fresh), "--version"], capture_output=True, timeout=TRY_SECONDS, check=True)
        fresh.replace(target)
        return target
