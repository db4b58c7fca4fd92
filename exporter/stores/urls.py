"""From a store's URL to the store."""

from __future__ import annotations

from pathlib import Path

from exporter.domain.errors import Invalid
from exporter.domain.text import shown
from exporter.redislink.url import parse_redis_url
from exporter.stores.base import Store
from exporter.stores.memory import MemoryStore
from exporter.stores.redis import RedisStore
from exporter.stores.sqlite import SqliteStore

KINDS = (
    "sqlite:///relative.db, sqlite:////absolute.db, redis://host:port/db, rediss://host:port/db, "
    "redis+sentinel://host:port,host:port/service/db, redis+cluster://host:port,host:port or memory:"
)
_SQLITE = "sqlite:///"


def open_store(url: str, instance: str = "") -> Store:
    """The store that the URL names, before its `open`; Invalid where it names none.

    `instance`: the identity by which other registries on a shared store know this one.
    """
    if url == "memory:":
        return MemoryStore()
    if url.startswith(_SQLITE):
        return _sqlite(url)
    scheme, slashes, _ = url.partition("://")
    if slashes and scheme in {"redis", "rediss", "redis+sentinel", "redis+cluster"}:
        return RedisStore(parse_redis_url(url), instance)
    # Not shown whole: what is no URL of ours may still hold a password.
    raise Invalid.of("", f"expected {KINDS}; got {shown(f'{scheme}://...') if slashes else 'what is no such URL'}")


def _sqlite(url: str) -> Store:
    path = url.removeprefix(_SQLITE)
    if path in {"", ":memory:"} or path.endswith("/") or any(mark in path for mark in "?#\0"):
        raise Invalid.of("", f"expected a file as in sqlite:///relative.db or sqlite:////absolute.db, got {shown(url)}")
    return SqliteStore(Path(path))
