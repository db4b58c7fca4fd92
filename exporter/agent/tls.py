"""TLS to the registry. A module of its own, since `ssl` is only loaded where it is used."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from exporter.agent.exits import UsageError


def context_of(ca_file: str, cert_file: str, key_file: str) -> ssl.SSLContext:
    """What to trust, and who we are; raises UsageError for files that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--ca-file (AURORA_CA_FILE): {ca_file} cannot be used: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_file:
        try:
            # An encrypted key is an error: nobody is there to type a password.
            context.load_cert_chain(cert_file, key_file or None, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"--cert-file, --key-file: {cert_file} and {key_file or cert_file} cannot be used: {error}"
            ) from None
    return context


def wrapper(context: ssl.SSLContext) -> Callable[[socket.socket, str], socket.socket]:
    """Begins TLS on a socket, with the host's name."""
    return lambda connection, host: context.wrap_socket(connection, server_hostname=host)
