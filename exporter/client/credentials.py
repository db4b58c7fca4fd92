"""How a program shows who it is, by a token or a certificate, and which authority it trusts."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.domain.errors import Invalid
from exporter.domain.signing import first_token

MAX_TOKEN_BYTES = 4096
VARIABLES = {
    "token_file": "AURORA_TOKEN_FILE",
    "ca_file": "AURORA_CA_FILE",
    "cert_file": "AURORA_CERT_FILE",
    "key_file": "AURORA_KEY_FILE",
}
"""The environment's names for the files."""
TOKEN_VARIABLE = "AURORA_TOKEN"  # noqa: S105 - the variable's name


@dataclass(frozen=True, slots=True)
class Credentials:
    """A bearer token and TLS files; each may be missing. Tokens come from files or the environment only."""

    token: str = ""
    ca_file: str = ""
    """Certificates of the authorities to trust; empty: those of the system."""
    cert_file: str = ""
    key_file: str = ""

    @classmethod
    def read(cls, environ: Mapping[str, str], **files: str | None) -> Credentials:
        """Those that the files (`token_file`, `ca_file`, `cert_file`, `key_file`) or else the environment name.

        Raises Invalid, naming the file, where one cannot be used.
        """
        paths = {name: files.get(name) or environ.get(variable, "") for name, variable in VARIABLES.items()}
        token_file = paths.pop("token_file")
        token = read_token(token_file) if token_file else _checked(environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE)
        if paths["key_file"] and not paths["cert_file"]:
            raise Invalid.of("key_file", "expected a certificate (cert_file) beside the key")
        return cls(token, **paths)

    def tls(self) -> ssl.SSLContext:
        """The context for connections over TLS; Invalid names the file that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except OSError as error:
            raise Invalid.of("ca_file", f"cannot use {self.ca_file}: {error.strerror or error}") from None
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file or None, password=_refuse_to_ask)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise Invalid.of("cert_file", f"cannot use {self.cert_file} with its key: {reason}") from None
        return context


def read_token(path: str) -> str:
    """The token that a file holds; Invalid where it cannot be read or holds none."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise Invalid.of("token_file", f"cannot read {path}: {error.strerror}") from None
    token = _checked(first_token(content.decode("latin-1")), path)
    if not token:
        raise Invalid.of("token_file", f"{path} holds no token")
    return token


def _checked(token: str, source: str) -> str:
    # The token itself is not repeated.
    if len(token) > MAX_TOKEN_BYTES or not token.isascii() or not token.isprintable() or " " in token:
        raise Invalid.of("token_file", f"{source} does not hold a token on one line")
    return token


def _refuse_to_ask() -> str:
    raise ValueError("the key is encrypted: store it without a passphrase")
