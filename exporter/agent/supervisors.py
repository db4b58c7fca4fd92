"""What keeps the agent running: systemd, systemd for one user, or a loop that crontab or an image starts."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from exporter.agent.places import FileInstaller, Places
from exporter.agent.unitfiles import LOOP, SLEEP_HOOK, UNIT, USER_UNIT, credentials, filled

UNIT_FILE = "/etc/systemd/system/aurora-agent.service"
CREDENTIAL_FILE = "/etc/systemd/system/aurora-agent.service.d/token.conf"
HOOK_FILE = "/usr/lib/systemd/system-sleep/aurora-agent-sleep"
MARKER = "# aurora-agent"
STOP_SECONDS = 10.0
_NO_TABLE = re.compile(rb"no crontab|No such file")
"""How cron, cronie and BusyBox report that a user has no crontab."""


class Systemd:
    """For the whole machine. Below another root only the files are written, for the system that will run there."""

    def __init__(self, places: Places, *, live: bool) -> None:
        self._places = places
        self._live = live

    def place(self, files: FileInstaller, secrets: Sequence[str]) -> None:
        """Write its files. `secrets`: the paths of those that root alone may read."""
        places = self._places
        files.place(UNIT_FILE, filled(UNIT, bin=places.binary, settings=places.settings).encode())
        files.place(HOOK_FILE, filled(SLEEP_HOOK, bin=places.binary).encode(), 0o755)
        if secrets:
            files.place(CREDENTIAL_FILE, credentials(secrets).encode())
        else:
            files.drop(CREDENTIAL_FILE)

    def start(self, *, changed: bool) -> list[str]:
        """Have it run, with what is installed now; lines for people."""
        if not self._live:
            return ["systemd starts it: systemctl enable --now aurora-agent"]
        _run("systemctl", "daemon-reload")
        _run("systemctl", "enable", "--quiet", "aurora-agent.service")
        active = subprocess.run(["systemctl", "is-active", "--quiet", "aurora-agent.service"], check=False).returncode
        if changed or active != 0:
            _run("systemctl", "restart", "aurora-agent.service")
        return ["the agent runs under systemd", "look:   journalctl -u aurora-agent -f"]

    def remove(self, files: FileInstaller) -> None:
        """End it, and remove its files."""
        if self._live:
            subprocess.run(["systemctl", "disable", "--now", "aurora-agent.service"], check=False)
        for path in (UNIT_FILE, CREDENTIAL_FILE, HOOK_FILE):
            files.remove(path)
        if self._live:
            _run("systemctl", "daemon-reload")


class UserSystemd:
    """For one user, as long as that user's systemd runs."""

    def __init__(self, places: Places) -> None:
        self._places = places
        config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        self._unit = f"{config}/systemd/user/aurora-agent.service"

    def place(self, files: FileInstaller, secrets: Sequence[str]) -> None:
        """Write its file; the secrets are the user's own."""
        del secrets
        files.place(self._unit, filled(USER_UNIT, bin=self._places.binary).encode())

    def start(self, *, changed: bool) -> list[str]:
        """As above."""
        _run("systemctl", "--user", "daemon-reload")
        _run("systemctl", "--user", "enable", "--quiet", "aurora-agent.service")
        _run("systemctl", "--user", "restart" if changed else "start", "aurora-agent.service")
        return [
            "the agent runs under your systemd; `loginctl enable-linger` keeps it running while you are logged out",
            "look:   journalctl --user -u aurora-agent -f",
        ]

    def remove(self, files: FileInstaller) -> None:
        """As above."""
        subprocess.run(["systemctl", "--user", "disable", "--now", "aurora-agent.service"], check=False)
        files.remove(self._unit)


class Loop:
    """A loop in sh: started now, by crontab after a reboot where there is one, or as an image's entry point."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._loop = f"{places.home}/run"
        self._pid = Path(places.home) / "supervisor.pid"
        self._log = Path(places.home) / "agent.log"

    def place(self, files: FileInstaller, secrets: Sequence[str]) -> None:
        """Write the loop."""
        del secrets
        places = self._places
        text = filled(LOOP, bin=places.binary, home=places.home, python=sys.executable)
        files.place(self._loop, text.encode(), 0o755)

    def start(self, *, changed: bool) -> list[str]:
        """As above."""
        at_reboot = self._schedule(wanted=True)
        if self._running() is None or changed:
            self._stop()
            with self._log.open("ab") as log:
                subprocess.Popen(  # it outlives us
                    ["/bin/sh", self._loop], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        again = "crontab starts it after a reboot" if at_reboot else "nothing starts it after a reboot"
        return [
            f"the agent runs in a loop of its own; {again}",
            f"in a container, start it with the image's entry point: {self._loop} &",
            f"look:   tail -f {self._log}",
        ]

    def remove(self, files: FileInstaller) -> None:
        """As above."""
        del files
        self._schedule(wanted=False)
        self._stop()

    def _schedule(self, *, wanted: bool) -> bool:
        """Whether crontab will start it after a reboot."""
        if shutil.which("crontab") is None:
            return False
        environment = {**os.environ, "LC_ALL": "C"}
        listed = subprocess.run(["crontab", "-l"], env=environment, capture_output=True, check=False)
        if listed.returncode != 0 and _NO_TABLE.search(listed.stderr) is None:
            # What stands in it is not known, and would be lost.
            return False
        before = listed.stdout if listed.returncode == 0 else b""
        lines = [line for line in before.splitlines(keepends=True) if MARKER.encode() not in line]
        if wanted:
            lines.append(os.fsencode(f"@reboot {self._loop} >>{self._log} 2>&1 {MARKER}\n"))
        table = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
        if table == before:
            return wanted
        return subprocess.run(["crontab", "-"], input=table, check=False).returncode == 0 and wanted

    def _running(self) -> int | None:
        try:
            pid = int(self._pid.read_text(encoding="ascii"))
            command = Path(f"/proc/{pid}/cmdline")
            if command.exists() and self._loop.encode() not in command.read_bytes():
                return None
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def _stop(self) -> None:
        pid = self._running()
        if pid is None:
            return
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._running() is not None and time.monotonic() < deadline:
            time.sleep(0.05)


def supervisor_of(places: Places, *, live: bool) -> Systemd | UserSystemd | Loop:
    """What this machine has. `live`: it is this machine, and not an image below another root."""
    if places.system and (not live or Path("/run/systemd/system").is_dir()):
        return Systemd(places, live=live)
    if not places.system and _user_systemd():
        return UserSystemd(places)
    return Loop(places)


def _user_systemd() -> bool:
    if shutil.which("systemctl") is None:
        return False
    return subprocess.run(["systemctl", "--user", "show-environment"], capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
