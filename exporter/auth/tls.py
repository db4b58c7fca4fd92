"""The server's side of TLS, from `tls_server_config`; and how it is exchanged while we serve."""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from exporter.configuration.inputfile import read_file
from exporter.domain.errors import Fault, Invalid, below
from exporter.domain.text import shown

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
CLIENT_AUTH = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
MAX_BYTES = 2**22
"""Of a file: all authorities of a system are some 200 KB."""
UNVERIFIED = frozenset({"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"})
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
CIPHERS = {
    f"TLS_ECDHE_{key}_WITH_{name}": f"ECDHE-{key}-{ours}"
    for key in ("ECDSA", "RSA")
    for name, ours in (
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
}
"""OpenSSL's names of Go's cipher suites up to TLS 1.2; those of TLS 1.3 cannot be chosen, with Go either."""
ALWAYS = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
TLS_KEYS = (
    *("cert_file", "key_file", "client_ca_file", "cert", "key", "client_ca", "client_auth_type"),
    *("client_allowed_sans", "min_version", "max_version", "cipher_suites", "prefer_server_cipher_suites"),
    "curve_preferences",
)


class TlsFiles:
    """Reads files of PEM, relative to a directory, and notes which."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.read: list[str] = []

    def text(self, settings: Mapping[str, Any], key: str) -> str:
        """What `key` holds itself, or the file that `key_file` names; empty where neither is there."""
        inline, name = _text(settings, key), _text(settings, f"{key}_file")
        if inline and name:
            raise Invalid.of(key, f"expected either this or {key}_file")
        if inline or not name:
            return inline
        path = self._directory / name
        self.read.append(str(path))
        try:
            return read_file(str(path), MAX_BYTES).decode("ascii")
        except Invalid as error:
            raise Invalid(below(f"{key}_file", error.faults)) from None
        except UnicodeDecodeError:
            raise Invalid.of(f"{key}_file", f"{path} is not PEM") from None


def server_context(settings: Mapping[str, Any], files: TlsFiles) -> ssl.SSLContext:
    """The context for the server; raises Invalid, by the key that is at fault."""
    certificate, key, client_ca = (files.text(settings, name) for name in ("cert", "key", "client_ca"))
    for name, text in (("cert", certificate), ("key", key)):
        if not text:
            raise Invalid.of(f"{name}_file", f"required, or {name}: TLS needs a certificate and its key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    # A renegotiation costs us a signature, and the client nothing; of itself, OpenSSL refuses it since 3.0 only.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _set_clients(context, settings, client_ca)
    _set_versions(context, settings)
    _set_ciphers(context, settings)
    return context


class LiveContext(ssl.SSLContext):
    """Begins each connection with the context of that moment, so that certificates are exchanged without a restart."""

    current: Callable[[], ssl.SSLContext]

    def __new__(cls, current: Callable[[], ssl.SSLContext]) -> Self:
        """`current`: the context for the next connection."""
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self.current = current
        return self

    def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
        """As the event loop calls it for each connection."""
        return self.current().wrap_bio(*arguments, **keywords)


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # OpenSSL reads both from a file; this one is in memory, and nobody else can open it.
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{certificate}\n{key}\n".encode("latin-1", "replace"))
        # An encrypted key is an error: nobody is there to type a password.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: b"")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Invalid.of("cert_file", f"the certificate and its key cannot be used together: {reason}") from None
    finally:
        os.close(descriptor)


def _set_clients(context: ssl.SSLContext, settings: Mapping[str, Any], client_ca: str) -> None:
    wanted = _text(settings, "client_auth_type")
    if wanted in UNVERIFIED:
        raise Invalid.of(
            "client_auth_type", f"{wanted} verifies nothing: VerifyClientCertIfGiven or RequireAndVerifyClientCert do"
        )
    if wanted not in CLIENT_AUTH:
        names = ", ".join(filter(None, CLIENT_AUTH))
        raise Invalid.of("client_auth_type", f"expected {names}, got {shown(wanted)}")
    context.verify_mode = CLIENT_AUTH[wanted]
    if client_ca and context.verify_mode is ssl.CERT_NONE:
        raise Invalid.of(
            "client_auth_type", "required with client_ca_file: RequireAndVerifyClientCert is what it is for"
        )
    try:
        if client_ca:
            context.load_verify_locations(cadata=client_ca)
        elif context.verify_mode is not ssl.CERT_NONE:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    except (ssl.SSLError, ValueError) as error:
        raise Invalid.of("client_ca_file", f"holds no certificates that can be used: {error}") from None
    allowed = _names(settings, "client_allowed_sans")
    if allowed and context.verify_mode is not ssl.CERT_REQUIRED:
        raise Invalid.of("client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert")
    if allowed:
        context.sslobject_class = _checking(frozenset(allowed))


def _checking(allowed: frozenset[str]) -> type[ssl.SSLObject]:
    class Checked(ssl.SSLObject):
        """Ends the handshake of a client none of whose names (subjectAltName) is allowed."""

        def do_handshake(self) -> None:
            super().do_handshake()
            certificate: Any = self.getpeercert()
            names = {str(value) for _, value in certificate.get("subjectAltName", ())}
            if not names & allowed:
                raise ssl.SSLCertVerificationError("no name of the client's certificate is in client_allowed_sans")

    return Checked


def _set_versions(context: ssl.SSLContext, settings: Mapping[str, Any]) -> None:
    chosen = {}
    for key, default in (("min_version", "TLS12"), ("max_version", "TLS13")):
        version = _text(settings, key) or default
        if version not in VERSIONS:
            raise Invalid.of(key, f"expected {', '.join(VERSIONS)}, got {shown(version)}")
        chosen[key] = VERSIONS[version]
    if chosen["min_version"] > chosen["max_version"]:
        raise Invalid.of("max_version", "expected no less than min_version")
    with warnings.catch_warnings():
        # TLS 1.0 is only used where the file names it: its owner knows that it is old.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = chosen["min_version"], chosen["max_version"]


def _set_ciphers(context: ssl.SSLContext, settings: Mapping[str, Any]) -> None:
    suites = _names(settings, "cipher_suites")
    faults = [
        Fault("cipher_suites", f"unknown cipher suite {shown(name)}: names are Go's, such as {next(iter(CIPHERS))}")
        for name in suites
        if name not in CIPHERS and name not in ALWAYS
    ]
    curves = _names(settings, "curve_preferences")
    if len(curves) > 1 or not set(curves) <= set(CURVES):
        faults.append(Fault("curve_preferences", f"expected one of {', '.join(CURVES)}, or none"))
    prefer = settings.get("prefer_server_cipher_suites", True)
    if not isinstance(prefer, bool):
        faults.append(Fault("prefer_server_cipher_suites", f"expected true or false, got {shown(prefer)}"))
    if faults:
        raise Invalid(faults)
    if chosen := [CIPHERS[name] for name in suites if name in CIPHERS]:
        context.set_ciphers(":".join(chosen))
    if curves:
        context.set_ecdh_curve(CURVES[curves[0]])
    if not prefer:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _text(settings: Mapping[str, Any], key: str) -> str:
    value = settings.get(key)
    if value is not None and not isinstance(value, str):
        raise Invalid.of(key, "expected text, got something else")
    return value or ""


def _names(settings: Mapping[str, Any], key: str) -> list[str]:
    names = settings.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Invalid.of(key, f"expected a list of names, got {shown(names)}")
    return names
