"""The tokens in force, and whose they are. Nothing is kept of nodes' tokens: they are derived from the join tokens."""

from __future__ import annotations

import enum
import hmac
import logging
from dataclasses import dataclass, field

from exporter.auth.tokenfiles import Seen, Token, read_tokens, seen, warn_if_open
from exporter.domain.config import Auth
from exporter.domain.errors import Fault, Invalid
from exporter.domain.signing import node_of, node_token

LONGEST_GIVEN = 1024
MAX_REMEMBERED = 100_000
"""Nodes whose derived tokens are remembered, so that their heartbeats need not derive them."""
_log = logging.getLogger("aurora.auth")


class CredentialKind(enum.StrEnum):
    """What a credential is for."""

    JOIN = "join"
    """Registers nodes."""
    NODE = "node"
    """Sends for one node."""
    OPERATOR = "operator"
    """May do everything."""
    READ = "read"
    """Reads."""
    USER = "user"
    """A user of web-config.yml: may do what needs no token, and read."""


_FILES = {
    CredentialKind.JOIN: "join_token_file",
    CredentialKind.OPERATOR: "operator_token_file",
    CredentialKind.READ: "read_token_file",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who showed a credential. `name`: the node's, the user's, or what the token is called in its file."""

    kind: CredentialKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class _Tokens:
    by_kind: dict[CredentialKind, tuple[Token, ...]] = field(default_factory=dict)
    known: tuple[tuple[bytes, Principal], ...] = ()
    derived: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """A cache: nodes' tokens by name."""


class Keyring:
    """Reads the token files of a configuration, and again when they change. Comparisons take constant time."""

    def __init__(self, auth: Auth) -> None:
        """Raises Invalid where a file cannot be used."""
        self._auth = auth
        self._seen: dict[str, Seen | None] = {}
        self._complained = ""
        self._tokens = self._read(auth)
        for path in self._seen:
            warn_if_open(path)

    @property
    def writes_need_token(self) -> bool:
        """Whether any token for writes is configured."""
        return bool(self._auth.join_token_file or self._auth.operator_token_file)

    @property
    def reads_need_token(self) -> bool:
        """Whether a read token is configured."""
        return bool(self._auth.read_token_file)

    @property
    def signs_events(self) -> bool:
        """Whether nodes have tokens to sign with."""
        return bool(self._auth.join_token_file)

    def refresh(self) -> None:
        """Read the files again if any changed. One that cannot be used is logged, and the old tokens stay."""
        if all(seen(path) == known for path, known in self._seen.items()):
            self._complained = ""
            return
        try:
            self._tokens = self._read(self._auth)
        except Invalid as error:
            if self._complained != str(error):
                self._complained = str(error)
                _log.error("changed tokens are refused, the old ones stay", extra={"faults": str(error)})
            return
        for path in self._seen:
            warn_if_open(path)
        _log.info("changed tokens are in force")

    def identify(self, given: bytes) -> Principal | None:
        """The owner of this token; None where nobody has it."""
        if len(given) > LONGEST_GIVEN:
            return None
        name = node_of(given.decode("latin-1"))
        if name:
            tokens, right = self._tokens, False
            derived = tokens.derived.get(name)
            for token in self._derive(name) if derived is None else derived:
                right |= hmac.compare_digest(token, given)
            if not right:
                return None
            if derived is None:
                # Only names that proved to be right are cached, so that nobody else can fill the cache.
                if len(tokens.derived) >= MAX_REMEMBERED:
                    tokens.derived.clear()
                tokens.derived[name] = self._derive(name)
            return Principal(CredentialKind.NODE, name)
        found = None
        for secret, principal in self._tokens.known:
            if hmac.compare_digest(secret, given):
                found = principal
        return found

    def node_token(self, name: str) -> str | None:
        """The token of a node, derived from the current join token; None where there is no join token."""
        joins = self._tokens.by_kind.get(CredentialKind.JOIN)
        return node_token(joins[0].secret, name) if joins else None

    def signers(self, name: str) -> list[tuple[Principal, str]]:
        """Who may sign an event about a node: the node itself, and operators."""
        node = Principal(CredentialKind.NODE, name)
        signers = [(node, token.decode("latin-1")) for token in self._derive(name)]
        operators = self._tokens.by_kind.get(CredentialKind.OPERATOR, ())
        return signers + [(Principal(CredentialKind.OPERATOR, token.label), token.secret) for token in operators]

    def _derive(self, name: str) -> tuple[bytes, ...]:
        joins = self._tokens.by_kind.get(CredentialKind.JOIN, ())
        return tuple(node_token(join.secret, name).encode("latin-1", "replace") for join in joins)

    def _read(self, auth: Auth) -> _Tokens:
        paths = {kind: getattr(auth, name) for kind, name in _FILES.items() if getattr(auth, name)}
        # Noted before the files are read: a change meanwhile is noticed at the next look.
        self._seen = {path: seen(path) for path in paths.values()}
        faults: list[Fault] = []
        by_kind: dict[CredentialKind, tuple[Token, ...]] = {}
        owners: dict[str, CredentialKind] = {}
        for kind, path in paths.items():
            try:
                by_kind[kind] = read_tokens(path)
            except Invalid as error:
                faults += [Fault(f"auth.{_FILES[kind]}", fault.message) for fault in error.faults]
                continue
            for token in by_kind[kind]:
                if owners.setdefault(token.secret, kind) is not kind:
                    other = f"auth.{_FILES[owners[token.secret]]}"
                    faults.append(Fault(f"auth.{_FILES[kind]}", f"holds a token of {other} too: each needs its own"))
        if auth.require_signed_events and not auth.join_token_file:
            faults.append(Fault("auth.require_signed_events", "needs auth.join_token_file: else no node can sign"))
        if faults:
            raise Invalid(faults)
        known = tuple(
            (token.secret.encode(), Principal(kind, token.label))
            for kind, tokens in by_kind.items()
            for token in tokens
        )
        return _Tokens(by_kind, known)
