"""Redis URLs: one server, over TLS, behind Sentinels, or a cluster."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from exporter.domain.errors import Invalid
from exporter.domain.text import shown

KINDS = (
    "redis://[user:password@]host[:port][/db], rediss://... with TLS, "
    "redis+sentinel://[user:password@]host:port,host:port/service[/db] or "
    "redis+cluster://[user:password@]host:port,host:port"
)
REDIS_PORT, SENTINEL_PORT = 6379, 26379
MAX_PORT = 65_535
_URL = re.compile(r"(?P<scheme>[a-z+]+)://(?P<netloc>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?", re.ASCII)
_SERVICE = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_DB = re.compile(r"\d{1,5}", re.ASCII)


class RedisScheme(enum.StrEnum):
    """How the server that holds the data is found; the value is the URL's scheme."""

    PLAIN = "redis"
    TLS = "rediss"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"


OPTIONS: dict[RedisScheme, frozenset[str]] = {
    RedisScheme.PLAIN: frozenset(),
    RedisScheme.TLS: frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}),
    RedisScheme.SENTINEL: frozenset({"sentinel_username", "sentinel_password"}),
    RedisScheme.CLUSTER: frozenset(),
}
"""What may stand after the `?`: redis-py's own names; Sentinels have passwords of their own, or none."""


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A Redis URL, taken apart. Neither `str` nor `repr` show a secret."""

    kind: RedisScheme
    hosts: tuple[tuple[str, int], ...]
    """The server; of a Sentinel URL the Sentinels, of a cluster the nodes to ask first."""
    db: int = 0
    service: str = ""
    """What the Sentinels call the master."""
    username: str = ""
    password: str = field(default="", repr=False)
    options: dict[str, str] = field(default_factory=dict, repr=False, hash=False)

    @property
    def safe(self) -> str:
        """The URL without user, password and options: fit for a log."""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        service = f"/{self.service}" if self.service else ""
        return f"{self.kind}://{hosts}{service}" + (f"/{self.db}" if self.db else "")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        return tuple(filter(None, (self.password, self.options.get("sentinel_password"))))

    def __str__(self) -> str:
        return self.safe


def parse_redis_url(text: str) -> RedisUrl:
    """Take a URL apart; Invalid says what was expected and shows the URL without its password."""
    match = _URL.fullmatch(text)
    if match is None or match["scheme"] not in set(RedisScheme):
        raise _refused(text, f"expected {KINDS}")
    kind = RedisScheme(match["scheme"])
    username, password = _login(text, match["netloc"])
    if "@" in match["path"] + (match["query"] or ""):
        raise _refused(text, "expected '/', '?', '#' and '@' in a password to be written as %2F, %3F, %23 and %40")
    hosts = _hosts(text, kind, match["netloc"].rpartition("@")[2])
    service, db = _path(text, kind, match["path"])
    return RedisUrl(kind, hosts, db, service, username, password, _options(text, kind, match["query"] or ""))


def _login(text: str, netloc: str) -> tuple[str, str]:
    login, at, _ = netloc.rpartition("@")
    username, colon, password = login.partition(":")
    if at and not (colon and password):
        raise _refused(text, "expected user:password or :password before the @")
    return unquote(username), unquote(password)


def _hosts(text: str, kind: RedisScheme, netloc: str) -> tuple[tuple[str, int], ...]:
    default = SENTINEL_PORT if kind is RedisScheme.SENTINEL else REDIS_PORT
    hosts = []
    for part in netloc.split(","):
        match = _HOST.fullmatch(part)
        if match is None or not 0 < int(match["port"] or default) <= MAX_PORT:
            raise _refused(text, f"expected host:port, with a port from 1 to {MAX_PORT}")
        hosts.append((match["host"].strip("[]"), int(match["port"] or default)))
    if len(hosts) > 1 and kind in {RedisScheme.PLAIN, RedisScheme.TLS}:
        raise _refused(text, f"expected one host:port after {kind}://, got {len(hosts)}")
    return tuple(hosts)


def _path(text: str, kind: RedisScheme, path: str) -> tuple[str, int]:
    """The service and the database."""
    service, rest = "", path.removeprefix("/")
    if kind is RedisScheme.SENTINEL:
        service, _, rest = rest.partition("/")
        if not _SERVICE.fullmatch(service):
            raise _refused(text, "expected the master's service name after the Sentinels, as in /mymaster")
    if kind is RedisScheme.CLUSTER and rest:
        raise _refused(text, f"expected nothing after a cluster's hosts (it has no databases), got {shown(path)}")
    if rest and not _DB.fullmatch(rest):
        raise _refused(text, f"expected the number of a database, as in /0, got {shown(rest)}")
    return service, int(rest or 0)


def _options(text: str, kind: RedisScheme, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise _refused(text, "expected name=value pairs after the ?") from None
    options = dict(pairs)
    unknown = sorted(options.keys() - OPTIONS[kind])
    if unknown:
        known = ", ".join(sorted(OPTIONS[kind])) or "none"
        raise _refused(text, f"unknown option {shown(unknown[0])} (known for {kind}://: {known})")
    return options


def _refused(text: str, expected: str) -> Invalid:
    # What stands before the last @ may be a password in pieces; without an @, the host may be one that lost it.
    scheme, slashes, rest = text.partition("://")
    _, at, tail = rest.rpartition("@")
    got = f"{scheme}://***@{tail.partition('?')[0]}" if at else f"{scheme}://..."
    return Invalid.of("", f"{expected}; got {shown(got) if slashes else 'what is no URL'}")
