"""Who may do what: by a request's credential or, where no credential is configured, by its address."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from http import HTTPMethod

from starlette.requests import Request

from exporter.api.connections import source_of
from exporter.api.heartbeats import HEARTBEATS, node_in
from exporter.api.join import AGENT, JOIN
from exporter.api.problems import Problem
from exporter.api.service import Service
from exporter.api.trust import Caller
from exporter.auth.audit import ACTOR, Actor
from exporter.auth.keyring import CredentialKind, Principal
from exporter.auth.passwords import Passwords, TooMany

OPEN = frozenset({"/health", "/-/healthy", "/-/ready", JOIN, AGENT})
"""Readable without a credential, since load balancers and new nodes have none. These show no node's data."""
REGISTER = "/nodes/register"
_READS = frozenset({HTTPMethod.GET, HTTPMethod.HEAD})
_READERS = frozenset({CredentialKind.READ, CredentialKind.OPERATOR, CredentialKind.USER})
_WRITERS = {
    REGISTER: frozenset({CredentialKind.JOIN, CredentialKind.NODE, CredentialKind.OPERATOR}),
    HEARTBEATS: frozenset({CredentialKind.NODE, CredentialKind.OPERATOR}),
}
_OPERATORS = frozenset({CredentialKind.OPERATOR})
_NEEDED = {
    REGISTER: "a join token, the node's own token or an operator token",
    HEARTBEATS: "a node's own token or an operator token",
}
_REALM = 'realm="aurora"'


class Access:
    """Judges requests by the tokens in force."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._passwords = Passwords()

    def identify(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """Who sent the request, by the token that it bears; None where it bears none that is right.

        Tools that know no bearer tokens may send one as the password of basic authentication, whatever the user.
        """
        given = headers.get(b"authorization")
        if given is None:
            return None
        scheme, _, credential = given.partition(b" ")
        scheme = scheme.lower()
        if scheme == b"bearer":
            return self._service.keyring.identify(credential.strip())
        if scheme == b"basic":
            user, password = _login(credential)
            if self._passwords.remembered(self._service.web.users, user, password):
                return Principal(CredentialKind.USER, user)
            return self._service.keyring.identify(password)
        return None

    async def log_in(self, path: str, headers: Mapping[bytes, bytes], caller: Caller) -> Principal | None:
        """Who sent the request, by a password. Raises Problem (401, 503) where nobody has it, except for open paths."""
        users = self._service.web.users
        if path in OPEN:
            return None
        given = headers.get(b"authorization", b"")
        scheme, _, credential = given.partition(b" ")
        if scheme.lower() == b"basic":
            user, password = _login(credential)
            right = self._passwords.remembered(users, user, password)
            try:
                source, trusted = source_of(caller.address), not caller.refusal
                if right is None and await self._passwords.check(users, user, password, source=source, trusted=trusted):
                    return Principal(CredentialKind.USER, user)
            except TooMany:
                detail = "too many passwords are being checked: try again soon"
                raise Problem(503, detail, kind="busy", headers={"Retry-After": "1"}) from None
        challenge = f"Basic {_REALM}"
        if self._service.keyring.writes_need_token or self._service.keyring.reads_need_token:
            challenge += f", {_bearer(headers)}"
        raise _unauthenticated("this needs a user and a password of web.config_file, or a token", challenge)

    def check_read(self, path: str, principal: Principal | None, headers: Mapping[bytes, bytes]) -> None:
        """Raise Problem (401, 403) where the request needs a credential to read."""
        if not self._service.keyring.reads_need_token or path in OPEN:
            return
        if principal is None:
            # Browsers ask their user for it.
            challenge = f"{_bearer(headers)}, Basic {_REALM}"
            raise _unauthenticated("reading needs a read token or an operator token", challenge)
        if principal.kind not in _READERS:
            raise _forbidden(f"the {principal.kind} token may not read: a read token or an operator token may")

    def check_write(
        self, path: str, principal: Principal | None, caller: Caller, headers: Mapping[bytes, bytes]
    ) -> None:
        """Raise Problem (401, 403) where this caller may not write this."""
        if not self._service.keyring.writes_need_token:
            if caller.refusal:
                raise Problem(403, caller.refusal, kind="untrusted")
            return
        node = node_in(path)
        if principal is not None and principal.kind is CredentialKind.NODE and path == f"/nodes/{principal.name}":
            # The one write of this path is DELETE: a node may leave by itself.
            return
        needed = "the node's own token or an operator token" if node else _NEEDED.get(path, "an operator token")
        if principal is None:
            raise _unauthenticated(f"this needs {needed}, as Authorization: Bearer", _bearer(headers))
        if node:
            if principal.kind is CredentialKind.OPERATOR or (
                principal.kind is CredentialKind.NODE and principal.name == node
            ):
                return
        elif principal.kind in _WRITERS.get(path, _OPERATORS):
            return
        if principal.kind is CredentialKind.USER:
            raise _forbidden(f"a password does not suffice to write once there are tokens: this needs {needed}")
        whose = (
            "another node's token" if node and principal.kind is CredentialKind.NODE else f"a {principal.kind} token"
        )
        raise _forbidden(f"{whose} does not suffice: this needs {needed}")


def actor_of(request: Request) -> Actor:
    """Who sent the request."""
    actor: Actor = request.scope[ACTOR]
    return actor


def act_for(request: Request, node: str) -> Actor:
    """Who sent the request; raises Problem (403) where it is another node than this one."""
    actor = actor_of(request)
    if not actor.may_act_for(node):
        raise _forbidden("another node's token does not suffice: a node sends for itself alone")
    return actor


def _bearer(headers: Mapping[bytes, bytes]) -> str:
    return f'Bearer {_REALM}, error="invalid_token"' if b"authorization" in headers else f"Bearer {_REALM}"


def _unauthenticated(detail: str, challenge: str) -> Problem:
    return Problem(401, detail, kind="unauthenticated", headers={"WWW-Authenticate": challenge})


def _forbidden(detail: str) -> Problem:
    return Problem(403, detail, kind="forbidden")


def _login(credential: bytes) -> tuple[str, bytes]:
    try:
        user, _, password = b64decode(credential.strip(), validate=True).partition(b":")
    except ValueError:
        return "", b""
    return user.decode("utf-8", "replace"), password
