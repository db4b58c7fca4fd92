"""The HTTP server around the registry: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from exporter.api.app import create_app
from exporter.api.protocol import DeadlineProtocol
from exporter.api.trust import is_trusted_peer
from exporter.auth.audit import LOCAL
from exporter.auth.tls import LiveContext
from exporter.configuration.addresses import split_listen_address
from exporter.domain.config import TRUSTED_NETWORKS
from exporter.domain.errors import Invalid
from exporter.process.exitdeadline import ExitDeadline
from exporter.telemetry import logs
from exporter.wiring.httpserver import Server
from exporter.wiring.registry import Registry

log = logging.getLogger("aurora.web")

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""Longer than a heartbeat interval, so that a node's connection serves for the next one too."""
SEND_BUFFER = 2**18
"""Bytes that the kernel keeps for us, of each connection (it doubles them). With its own bound, 4 MiB, hundreds of
readers that take nothing would fill what it has for TCP, and then nobody's requests arrive."""
OTHER_FILES = 64
"""Files beside connections: the store, the bus, Alertmanagers, the log."""
NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
CHOOSE = "Set another --web.listen-address."
WHY_NOT = {
    errno.EADDRINUSE: "another program does. Stop it (`ss -ltnp` names it). Or set another --web.listen-address.",
    errno.EACCES: f"ports below 1024 need root or CAP_NET_BIND_SERVICE. {CHOOSE}",
    errno.EADDRNOTAVAIL: f"this host has no such address (`ip address` lists those that it has). {CHOOSE}",
}
GRACE_SECONDS = 10
"""How long requests that are under way at the end may take."""


def listen(address: str) -> socket.socket:
    """A socket that listens on `host:port` (`:9999` and `[::]:9999` too); raises OSError that says what to do."""
    host, port = split_listen_address(address)
    try:
        return _listen_on(host, port)
    except OSError as error:
        code = error.errno or 0
        # Below 0 are those of the look-up of names.
        reason = WHY_NOT.get(code) or (f"{os.strerror(code)}. {CHOOSE}" if code > 0 else f"no such host. {CHOOSE}")
        # As one text: with its number, the reason would appear twice.
        raise OSError(f"cannot listen on {address}: {reason}") from None


def raise_open_files(max_connections: int) -> None:
    """Let the process open as many files as it may; warn where that is less than its connections need.

    Call it before anything is opened: raises OSError where nothing would work.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return
    if soft < OTHER_FILES:
        raise OSError(
            f"it may open {soft} files, and needs {OTHER_FILES}, and one more for each connection: "
            "raise `ulimit -Hn`, or LimitNOFILE of its unit"
        )
    if soft < max_connections + OTHER_FILES:
        log.warning(
            "fewer files can be open than limits.max_connections needs: raise `ulimit -Hn` or LimitNOFILE",
            extra={"open_files": soft, "max_connections": max_connections},
        )


def _listen_on(host: str, port: int) -> socket.socket:
    if not host:
        # As Go's servers do: both families, or IPv4 alone where there is no IPv6.
        if socket.has_dualstack_ipv6():
            try:
                return _listen_on("::", port)
            except OSError as error:
                if error.errno not in NO_IPV6:
                    raise
        host = "0.0.0.0"  # noqa: S104 - what `:9999` means
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::")
    # Whatever is accepted inherits it.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return listening


STOP_SECONDS = GRACE_SECONDS + 10
"""From the signal to the end, whatever happens: requests, then what is left for the store and the bus."""


def uvicorn_config(app: ASGIApp, protocol: type[DeadlineProtocol], **settings: Any) -> uvicorn.Config:
    """How uvicorn serves: HTTP by our protocol alone, without a log or headers of its own."""
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        **{"timeout_keep_alive": KEEP_ALIVE_SECONDS, **settings},
    )


async def serve(registry: Registry, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, which let requests under way finish; SIGHUP reloads the configuration."""
    protocol = DeadlineProtocol.within(
        lambda: registry.config.limits,
        lambda host: is_trusted_peer(registry.config.auth, host),
        registry.telemetry.refuse,
    )
    config = uvicorn_config(create_app(registry), protocol)
    config.load()
    if registry.web.tls is not None:
        config.ssl = LiveContext(registry.web_file.context)
    server = Server(config, GRACE_SECONDS)
    reloads: set[asyncio.Task[None]] = set()
    deadline = ExitDeadline(STOP_SECONDS, flush=logs.flush)

    def stop() -> None:
        deadline.start()
        log.info("stopping: requests under way are finished, and what is left is written")
        registry.stopping()
        server.should_exit = True

    def reload() -> None:
        task = asyncio.create_task(_reload(registry))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_overlook_late_lookups)
    for number, handler in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, reload)):
        loop.add_signal_handler(number, handler)
    # One that came while we started was kept until now: by default it ends a program.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    log.info(
        "listening",
        extra={
            "address": "{}:{}".format(*listening.getsockname()[:2]),
            "tls": "on" if config.ssl else "off",
            "writes": who_may_write(registry),
            "reads": who_may_read(registry),
        },
    )
    await registry.run(lambda: server.serve(sockets=[listening]))


def _overlook_late_lookups(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio reports, except the failure of a lookup that nobody waits for any longer."""
    if not isinstance(context.get("exception"), socket.gaierror):
        loop.default_exception_handler(context)


def who_may_write(registry: Registry) -> str:
    """In a few words, for the log."""
    if registry.keyring.writes_need_token:
        return "with a token"
    networks = "private networks" if registry.config.auth.trusted_networks == TRUSTED_NETWORKS else "trusted networks"
    return f"{networks}, with a password" if registry.web.users else networks


def who_may_read(registry: Registry) -> str:
    """In a few words, for the log."""
    if registry.keyring.reads_need_token:
        return "with a token"
    return "with a password" if registry.web.users else "everybody"


async def _reload(registry: Registry) -> None:
    # A refusal is logged and shown by a metric; a signal has nobody to answer.
    with contextlib.suppress(Invalid):
        await registry.reload(LOCAL)
