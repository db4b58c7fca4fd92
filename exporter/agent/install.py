"""`aurora-agent.pyz install`: make this machine a node, or upgrade its agent; and the way back."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from exporter import __version__
from exporter.agent import archive
from exporter.agent.address import vpn_address
from exporter.agent.checks import name_of
from exporter.agent.exits import UsageError
from exporter.agent.http import split_url
from exporter.agent.options import CREDENTIALS
from exporter.agent.places import COPIED, MARK, FileInstaller, Places, read_settings, write_settings
from exporter.agent.supervisors import Systemd, supervisor_of
from exporter.agent.unitfiles import WRAPPER, filled

DESCRIPTION = """\
Make this machine a node of the mesh: install the agent, register the node, and
keep the agent running. Run it again to upgrade it, or to change an option: what
is right already is left as it is.
"""
EPILOG = """\
Every option of the agent can be given: `aurora-agent --help` names them.

  curl -fsSL http://10.0.0.1:9999/join | sh -s -- --site home --role compute
  curl -fsSL http://10.0.0.1:9999/join | sh -s -- --uninstall
"""
SETTINGS = (
    *("registry", "event-bus", "event-bus-channel", "heartbeat-interval"),
    *("token-file", "ca-file", "cert-file", "key-file"),
    *("node-name", "role", "vpn-ip", "public-ip", "site", "environment", "cost-per-hour", "gpus", "gpu-memory"),
    *("gpu-readings", "gpu-source", "on-signal", "log.level", "log.format"),
)
FLAGS = ("leave-on-stop", "self-upgrade")
WAITING = ".changed"
"""Lies beside the agent while what runs is not what is installed."""
JOIN_STATE = "/var/lib/aurora-agent-join"
"""Of the one heartbeat that joining sends; the agent itself is another user, with a state of its own."""
ONCE_SECONDS = 60
_PATH = re.compile(r"/[A-Za-z0-9/._+@-]+")
"""What may stand in units, scripts and crontab as it is."""


def run(argv: Sequence[str]) -> int:
    """The exit status."""
    try:
        return Installation(_parse(argv)).run()
    except UsageError as error:
        print(f"join: {error}", file=sys.stderr)
        return 2
    except (OSError, subprocess.SubprocessError) as error:
        print(f"join: {error}", file=sys.stderr)
        return 1
    finally:
        fetched = os.environ.get("AURORA_JOIN_FETCHED", "")
        if fetched:
            Path(fetched).unlink(missing_ok=True)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="join",
        usage="join [OPTION]...",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name in SETTINGS:
        names = [f"--{name}", "--name"] if name == "node-name" else [f"--{name}"]
        parser.add_argument(*names, dest=name, metavar="VALUE", help=argparse.SUPPRESS)
    for name in FLAGS:
        choices = ("true", "false")
        parser.add_argument(f"--{name}", dest=name, nargs="?", const="true", choices=choices, help=argparse.SUPPRESS)
    parser.add_argument("--prefix", metavar="DIR", default="", help="where to install")
    parser.add_argument("--root", metavar="DIR", default="", help="below this directory only, for an image")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    parser.add_argument("--uninstall", action="store_true", help="stop the agent, remove what was installed")
    return parser.parse_args(argv)


class Installation:
    """One agent on this machine, or in an image; raises UsageError for what cannot be."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        for option, value in (("--prefix", arguments.prefix), ("--root", arguments.root)):
            if value and (not value.startswith("/") or not value.strip("/") or not value.isprintable() or " " in value):
                raise UsageError(f"{option}: expected an absolute path below /, got {value}")
        self._live = not arguments.root
        machine = bool(arguments.root) or os.geteuid() == 0
        prefix = arguments.prefix.rstrip("/")
        if not machine and not os.environ.get("HOME"):
            raise UsageError("HOME is not set: it names the directory of the user whose agent this will be")
        self._places = Places.of_machine(arguments.root, prefix) if machine else Places.of_user(prefix)
        for path in (self._places.home, self._places.settings, sys.executable):
            if _PATH.fullmatch(path) is None:
                raise UsageError(
                    f"expected absolute paths of letters, digits and any of . _ + @ - in place of {path!r}: "
                    "HOME, XDG_DATA_HOME, XDG_CONFIG_HOME and PYTHON name others"
                )
        self._files = FileInstaller(self._places, dry_run=arguments.dry_run)
        self._given: dict[str, bytes] = {}
        """Contents of the files that options name, by the settings' names."""
        self._supervisor = supervisor_of(self._places, live=self._live)

    def run(self) -> int:
        """Install, or uninstall."""
        if self._arguments.uninstall:
            return self._uninstall()
        settings = self._settings()
        self._check_home()
        if self._places.system:
            os.umask(0o022)  # the agent is a user of its own, and root's files may be closed to others
        tried = dict(settings)
        try:
            self._place(settings)
            # What the disk, the agent or the registry refuses leaves this machine as it was.
            if not self._arguments.dry_run and not self._register(tried):
                return 1
            self._files.commit()
        finally:
            self._files.discard()
        if self._arguments.dry_run:
            print("nothing was done")
            return 0
        # The running agent does not see the change until it is restarted, which a later run may do.
        waiting = self._places.outside(f"{self._places.home}/{WAITING}")
        if self._files.changed:
            waiting.touch()
        lines = self._supervisor.start(changed=waiting.exists())
        waiting.unlink(missing_ok=True)
        self._say(settings, lines)
        return 0

    def _settings(self) -> dict[str, str]:
        """Those that are there, changed as the options say, and found out where they are new."""
        given = vars(self._arguments)
        settings = read_settings(self._places.outside(self._places.settings))
        new = not settings
        for name in (*SETTINGS, *FLAGS):
            value = given.get(name)
            if value is not None:
                if not value.isprintable():
                    raise UsageError(f"--{name}: a value is one line of text")
                variable = "AURORA_" + name.upper().replace("-", "_").replace(".", "_")
                if variable in COPIED and value:
                    value = str(Path(value).absolute())
                    self._given[variable] = _content(name, value)
                settings[variable] = value
        registry = settings.get("AURORA_REGISTRY", "")
        _, _, host, port, _ = split_url(registry)
        if new:
            settings.setdefault("AURORA_NODE_NAME", name_of(socket.gethostname()))
            settings.setdefault("AURORA_VPN_IP", vpn_address(host, port))
        return {name: value for name, value in settings.items() if value}

    def _check_home(self) -> None:
        home = self._places.outside(self._places.home)
        if home.exists() and not (home / MARK).exists() and any(home.iterdir()):
            raise UsageError(f"{home} is there and was not made by join: choose another --prefix, or move it away")

    def _copy(self, variable: str) -> str:
        """Where the file that a setting names is kept."""
        return f"{Path(self._places.settings).parent}/{COPIED[variable][0]}"

    def _place(self, settings: dict[str, str]) -> None:
        places, files = self._places, self._files
        files.place(f"{places.home}/{MARK}", b"")
        running = Path(sys.argv[0])
        agent = running.read_bytes() if running.suffix == ".pyz" else archive.build()
        files.place(f"{places.home}/{archive.NAME}", agent)
        wrapper = filled(WRAPPER, settings=places.settings, python=sys.executable, home=places.home)
        files.place(places.binary, wrapper.encode(), 0o755)
        for variable, content in self._given.items():
            settings[variable] = self._copy(variable)
            files.place(settings[variable], content, COPIED[variable][1])
        files.place(places.settings, write_settings(settings), 0o640 if places.system else 0o600)
        kept = [variable for variable in COPIED if settings.get(variable) == self._copy(variable)]
        secret = [variable for variable in kept if variable in CREDENTIALS]
        self._supervisor.place(files, [self._copy(variable) for variable in secret])
        for variable in COPIED.keys() - set(kept):
            files.drop(self._copy(variable))

    def _register(self, settings: dict[str, str]) -> bool:
        """Once, in the foreground, so that a wrong address or name is seen now and not in a log."""
        places = self._places
        environment = {**os.environ, **settings, "AURORA_SETTINGS": "/dev/null"}
        # Settings that apply to an installed agent alone are not tried out here.
        environment.pop("AURORA_SELF_UPGRADE", None)
        with tempfile.TemporaryDirectory(prefix="aurora-join-") as directory:
            for variable, (name, _) in COPIED.items():
                if settings.get(variable) == self._copy(variable):
                    environment[variable] = str(places.outside(settings[variable]))
                if variable in self._given and not Path(settings[variable]).is_file():
                    # A pipe gives its content once.
                    environment[variable] = str(Path(directory, name))
                    Path(directory, name).write_bytes(self._given[variable])
            agent = Path(sys.argv[0])
            if agent.suffix != ".pyz":
                agent = Path(directory, archive.NAME)
                agent.write_bytes(archive.build())
            command = [sys.executable, str(agent), "--once"]
            if isinstance(self._supervisor, Systemd) and self._live:
                command += ["--state-dir", JOIN_STATE]
            done = subprocess.run(command, env=environment, timeout=ONCE_SECONDS, check=False)
        if done.returncode != 0:
            there = places.outside(places.settings).exists()
            correct = f" correct {places.settings}, or" if there else ""
            print(f"join: the agent could not register, nothing was changed:{correct} run this again", file=sys.stderr)
        return done.returncode == 0

    def _say(self, settings: dict[str, str], lines: list[str]) -> None:
        print(f"\n{settings['AURORA_NODE_NAME']} is registered at {settings['AURORA_REGISTRY']}", end="")
        address = settings.get("AURORA_VPN_IP")
        print(
            f", reached by others at {address}" if address else "; no address of a VPN was found: --vpn-ip states one"
        )
        for line in lines:
            print(line)
        print(f"change: run this again with other options, or edit {self._places.settings} (agent {__version__})")
        print(f"remove: {self._places.binary} uninstall")

    def _uninstall(self) -> int:
        files, places = self._files, self._places
        if not self._arguments.dry_run:
            self._supervisor.remove(files)
        files.remove(places.settings)
        for variable in COPIED:
            files.remove(self._copy(variable))
        files.remove_home()
        if places.system and self._live and not self._arguments.dry_run:
            shutil.rmtree(JOIN_STATE, ignore_errors=True)
        print("the agent is gone from this machine; the node stays registered until it is forgotten or deregistered")
        return 0


def _content(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"--{name}: {path} cannot be read: {error.strerror}") from None
