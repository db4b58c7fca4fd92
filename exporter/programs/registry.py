"""aurora-registry: the service."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from exporter import __version__
from exporter.auth.keyring import Keyring
from exporter.auth.webconfig import read_web_config
from exporter.configuration.loader import load
from exporter.domain.config import Config
from exporter.domain.errors import Fault, Invalid, StoreRefused, below, closest
from exporter.exposition.families import FAMILIES
from exporter.process.exitdeadline import ExitDeadline
from exporter.process.tasks import whole
from exporter.redislink.url import parse_redis_url
from exporter.stores.urls import open_store
from exporter.telemetry import logs
from exporter.wiring.registry import Registry
from exporter.wiring.revision import instance_of
from exporter.wiring.server import listen, raise_open_files, serve

DESCRIPTION = "The Aurora Node Registry: which nodes there are, how they are, for Prometheus."
EXAMPLES = """\
examples:
  aurora-registry
      start on port 9999, with aurora-registry.db in this directory
  aurora-registry --store=redis://10.0.0.1/0 --event-bus=redis://10.0.0.1/0
      keep the nodes in Redis, and receive heartbeats that are published there
  aurora-registry --config.file=config.yaml --config.check
      say what is wrong with a configuration, and start nothing

A flag wins over the environment (AURORA_STORE, AURORA_EVENT_BUS, ...),
which wins over the file. SIGHUP loads the configuration again.
"""
CLOSE_SECONDS = 1.0
FLAGS = (
    ("--web.listen-address", "web.listen_address", "ADDRESS", "where to listen (default 0.0.0.0:9999)"),
    ("--web.telemetry-path", "web.telemetry_path", "PATH", "where metrics are (default /metrics)"),
    ("--web.config.file", "web.config_file", "FILE", "TLS and users, as Prometheus' own web configuration"),
    ("--web.cors.origin", "web.cors_origin", "REGEX", "origins that may read from a browser (default .*)"),
    (
        "--store",
        "store",
        "URL",
        "sqlite:///file.db, redis://, rediss://,\nredis+sentinel://, redis+cluster://, memory:",
    ),
    ("--event-bus", "event_bus.url", "URL", "a Redis that heartbeats are published on (default none)"),
    ("--log.level", "log.level", "LEVEL", "debug, info, warn or error (default info)"),
    ("--log.format", "log.format", "FORMAT", "logfmt or json (default logfmt)"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit status is 0, or 1 where it cannot run as it is configured."""
    arguments = _parser().parse_args(argv)
    flags = {key: getattr(arguments, key) for _, key, _, _ in FLAGS if getattr(arguments, key) is not None}
    if arguments.enable_lifecycle:
        flags["web.enable_lifecycle"] = "true"

    def load_config() -> Config:
        config = load(arguments.config_file, os.environ, flags)
        _check_further(config)
        return config

    try:
        config = load_config()
    except Invalid as error:
        print("aurora-registry: the configuration is refused:", file=sys.stderr)
        for fault in error.faults:
            print(f"  {fault}", file=sys.stderr)
        return 1
    if arguments.config_check:
        print(f"{arguments.config_file or 'the configuration'} is valid")
        return 0
    logs.setup(config.log.level, config.log.format)
    try:
        raise_open_files(config.limits.max_connections)
        store = open_store(config.store, instance_of(config.web.listen_address))
        registry = Registry(config, store, load_config)
        listening = listen(config.web.listen_address)
    except (Invalid, StoreRefused, OSError) as error:
        return _refused(error)
    return uvloop.run(_serve(registry, listening))


async def _serve(registry: Registry, listening: socket.socket) -> int:
    """Serve until it is stopped or cannot go on; the exit status."""
    status = 0
    try:
        await whole(serve(registry, listening))
    except (Invalid, StoreRefused, OSError) as error:
        status = _refused(error)
    # All is written; closing the loop would wait for lookups of host names, which may take minutes.
    ExitDeadline(CLOSE_SECONDS, flush=logs.flush, status=status).start()
    return status


def _refused(error: Exception) -> int:
    logs.flush()
    print(f"aurora-registry: {error}", file=sys.stderr)
    return 1


def _check_further(config: Config) -> None:
    """Raise Invalid for a URL, a family or a token file that can only be judged by the part that uses it."""
    faults: list[Fault] = []
    urls = (("store", config.store, open_store), ("event_bus.url", config.event_bus.url, parse_redis_url))
    for key, url, read in urls:
        try:
            if url:
                read(url)
        except Invalid as error:
            faults += below(key, error.faults)
    try:
        Keyring(config.auth)
    except Invalid as error:
        faults += error.faults
    try:
        read_web_config(config.web.config_file)
    except Invalid as error:
        faults += error.faults
    families = [family.name for family in FAMILIES]
    for name in config.metrics.disabled_families:
        if name not in families:
            close = closest(name, families)
            meant = f"; did you mean {close}?" if close else ": docs/metrics.md lists them"
            faults.append(Fault("metrics.disabled_families", f"there is no family {name}{meant}"))
    if faults:
        raise Invalid(faults)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aurora-registry",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawTextHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config.file", dest="config_file", type=Path, metavar="FILE", help="the configuration to load"
    )
    parser.add_argument(
        "--config.check", dest="config_check", action="store_true", help="check the configuration, and end"
    )
    parser.add_argument(
        "--web.enable-lifecycle", dest="enable_lifecycle", action="store_true", help="allow POST /-/reload"
    )
    for flag, key, metavar, text in FLAGS:
        parser.add_argument(flag, dest=key, metavar=metavar, help=text)
    parser.add_argument("--version", action="version", version=f"aurora-registry {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
