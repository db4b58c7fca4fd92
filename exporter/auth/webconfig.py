"""TLS, users and headers, from the web-config.yml that Prometheus' own servers and exporters share.

Source: prometheus/exporter-toolkit, docs/web-configuration.md. A key that we know no way to honour is refused by name.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.auth.tls import TLS_KEYS, TlsFiles, server_context
from exporter.configuration.faults import refused, unknown_key
from exporter.configuration.inputfile import read_file
from exporter.configuration.yamlfile import MAX_BYTES, read_yaml
from exporter.domain.errors import Fault, Invalid, below
from exporter.domain.text import shown

HEADERS: dict[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
"""Those that may be set, each with its values where it has some."""
_KEYS = ("tls_server_config", "http_server_config", "basic_auth_users")
_BCRYPT = re.compile(r"\$2[abxy]?\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_HEADER_VALUE = re.compile(r"[\t -~]*")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What a web-config.yml says."""

    tls: ssl.SSLContext | None = None
    """None: plain HTTP."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """bcrypt hashes by user."""
    files: tuple[str, ...] = ()
    """All that was read for it."""


def read_web_config(path: str) -> WebConfig:
    """What the file says, with certificates loaded; paths in it are relative to it. Raises Invalid, of `path`."""
    if not path:
        return WebConfig()
    try:
        content = read_file(path, MAX_BYTES)
    except Invalid as error:
        raise Invalid(below("web.config_file", error.faults)) from None
    try:
        return _parsed(read_yaml(content.decode()), path)
    except UnicodeDecodeError:
        raise Invalid.of("web.config_file", f"{path} is not UTF-8") from None
    except Invalid as error:
        raise Invalid([Fault("web.config_file", f"{path}: {fault}") for fault in error.faults]) from None


def _parsed(document: Any, path: str) -> WebConfig:
    sections = _mapping(document)
    faults = [_unknown("", key, _KEYS) for key in sections if key not in _KEYS]
    tls, files = None, TlsFiles(Path(path).parent)
    found: dict[str, Any] = {}
    for key, parse in (("http_server_config", _http), ("basic_auth_users", _users)):
        try:
            found[key] = parse(_mapping(sections.get(key)))
        except Invalid as error:
            faults += below(key, error.faults)
    try:
        settings = _mapping(sections.get("tls_server_config"))
        faults += [_unknown("tls_server_config", key, TLS_KEYS) for key in settings if key not in TLS_KEYS]
        tls = server_context(settings, files) if settings else None
    except Invalid as error:
        faults += below("tls_server_config", error.faults)
    if faults:
        raise Invalid(faults)
    return WebConfig(tls, found["http_server_config"], found["basic_auth_users"], (path, *files.read))


def _unknown(where: str, key: str, known: tuple[str, ...]) -> Fault:
    if key == "rate_limit":
        return Fault(key, "not available here: limits.untrusted_requests_per_second does it, for each caller")
    return unknown_key(where, key, known)


def _http(settings: dict[str, Any]) -> tuple[tuple[bytes, bytes], ...]:
    faults = [unknown_key("", key, ("headers", "http2")) for key in settings if key not in {"headers", "http2"}]
    if not isinstance(settings.get("http2", True), bool):
        faults.append(Fault("http2", f"expected true or false, got {shown(settings['http2'])}"))
    headers = []
    for name, value in _mapping(settings.get("headers")).items():
        allowed = HEADERS.get(name)
        if allowed is None:
            faults.append(Fault(f"headers.{name}", f"cannot be set; those that can: {', '.join(HEADERS)}"))
        elif not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value) or (allowed and value not in allowed):
            expected = " or ".join(allowed) or "text of one line"
            faults.append(Fault(f"headers.{name}", f"expected {expected}, got {shown(value)}"))
        elif value:
            headers.append((name.lower().encode(), value.encode()))
    if faults:
        raise Invalid(faults)
    return tuple(headers)


def _users(users: dict[str, Any]) -> dict[str, bytes]:
    faults = []
    for name, hashed in users.items():
        # Not repeated: it may be a password in clear.
        if not isinstance(hashed, str) or not _BCRYPT.fullmatch(hashed):
            faults.append(Fault(shown(name), "expected a bcrypt hash, as `htpasswd -nBC 10 NAME` prints it"))
        elif ":" in name:
            faults.append(Fault(shown(name), "expected a name without a colon"))
    if faults:
        raise Invalid(faults)
    return {name: hashed.encode() for name, hashed in users.items()}


def _mapping(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise refused("keys and values", "something else")
    return value
