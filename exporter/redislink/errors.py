"""What redis-py raises, as one sentence for people: what is wrong with which Redis, and what to do. Never a secret."""

from __future__ import annotations

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError

from exporter.redislink.url import RedisUrl

ODD_ANSWERS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What redis-py raises, and what our parser raises for replies that no Redis sends or that nobody asked for."""
REDIS_ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError, *ODD_ANSWERS)
"""All that a client's call may raise, time that ran out (TimeoutError is an OSError) included."""
_NO_REDIS = "it does not answer as a Redis does: is it another server, or one that wants TLS (rediss://)?"
_REPLICA = "it is a replica and takes no writes: give the master's address, or its Sentinels'"
_TOO_LARGE = "its answer is larger than any that we ask for: is it another server, or does another program write there?"

_BY_TYPE: tuple[tuple[type[Exception], str], ...] = (
    (MasterNotFoundError, "the Sentinels know no living master of this name: check the service name, or wait"),
    (exceptions.AuthenticationError, "it refuses the user and password: set the right ones in its URL"),
    (exceptions.NoPermissionError, "its user lacks a permission"),
    (exceptions.OutOfMemoryError, "it is out of memory and takes no writes: raise its maxmemory or free some"),
    (exceptions.ReadOnlyError, _REPLICA),
    (exceptions.BusyLoadingError, "it is still loading its data: wait"),
    (exceptions.MasterDownError, "it is a replica that lost its master, and answers nothing until it has one"),
    (exceptions.ClusterDownError, "its cluster is down: no server has some of its slots"),
    (exceptions.SlotNotCoveredError, "its cluster is down: no server has some of its slots"),
    (exceptions.MaxConnectionsError, "all connections to it are in use"),
    (exceptions.TimeoutError, "it did not answer in time"),
    (TimeoutError, "it did not answer in time"),
)
_BY_TEXT: tuple[tuple[str, str], ...] = (
    (
        "DENIED Redis is running in protected mode",
        "it is in protected mode, so it takes no other hosts: set requirepass, and the password in its URL, or bind it",
    ),
    ("Protocol error", _NO_REDIS),
    ("Protocol Error", _NO_REDIS),
    ("nesting depth", _NO_REDIS),
    ("Connection not ready", _NO_REDIS),
    ("the answer is too large", _TOO_LARGE),
    ("OOM", "it is out of memory and takes no writes: raise its maxmemory or free some"),
    ("MISCONF", "it takes no writes, since it cannot save to its disk: look into its log"),
    ("BUSY Redis is busy", "it is busy with a script that another program runs: wait, or end it by SCRIPT KILL"),
    ("NOREPLICAS", "it takes no writes, since too few of its replicas are there"),
    ("READONLY", _REPLICA),
    ("UNBLOCKED force unblock", _REPLICA),
    ("max number of clients", "it has as many clients as it allows: raise its maxclients"),
    ("Connect call failed", "it refuses connections: nobody listens at this address"),
    ("Connection refused", "it refuses connections: nobody listens at this address"),
    ("certificate verify failed", "its TLS certificate is not trusted: name its CA with ?ssl_ca_certs="),
    ("Connection closed by server", "it closed the connection"),
)
"""Where redis-py has no type of its own, or a script's error hides it."""
MAX_DETAIL = 200


def explain(error: BaseException, url: RedisUrl) -> str:
    """One sentence about a call that failed."""
    text = str(error)
    for kind, sentence in _BY_TYPE:
        if isinstance(error, kind):
            detail = f" ({_scrubbed(text, url)})" if isinstance(error, exceptions.NoPermissionError) else ""
            return f"Redis at {url.safe}: {sentence}{detail}"
    if isinstance(error, ODD_ANSWERS):
        # A connection that the server closed while we wrote to it is a RuntimeError of the event loop's.
        odd = "it closed the connection" if isinstance(error, RuntimeError) else _NO_REDIS
        return f"Redis at {url.safe}: {odd}"
    for piece, sentence in _BY_TEXT:
        if piece in text:
            return f"Redis at {url.safe}: {sentence}"
    return f"Redis at {url.safe}: {_scrubbed(text, url) or type(error).__name__}"


def _scrubbed(text: str, url: RedisUrl) -> str:
    # An unknown command is answered with its arguments, and AUTH's are a password.
    text = text.partition(", with args")[0]
    for secret in url.secrets:
        text = text.replace(secret, "***")
    return text[:MAX_DETAIL]
