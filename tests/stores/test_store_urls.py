from __future__ import annotations

from pathlib import Path

import pytest

from exporter.domain.errors import Invalid
from exporter.redislink.url import parse_redis_url
from exporter.stores.memory import MemoryStore
from exporter.stores.redis import RedisStore
from exporter.stores.sqlite import SqliteStore
from exporter.stores.urls import KINDS, open_store


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///aurora.db", Path.cwd() / "aurora.db"),
        ("sqlite:///data/a b.db", Path.cwd() / "data/a b.db"),
        ("sqlite:////var/lib/aurora.db", Path("/var/lib/aurora.db")),
    ],
)
def test_a_sqlite_url_names_a_file(url, path):
    """Three slashes: relative to the working directory; four: absolute."""
    store = open_store(url)

    assert isinstance(store, SqliteStore)
    assert store.path == path
    assert not store.shared


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://:p@h:1/2", "redis+sentinel://h:1,i:2/aurora", "redis+cluster://h:1,i:2"]
)
def test_redis_urls_are_of_one_store_that_is_shared(url):
    store = open_store(url)

    assert isinstance(store, RedisStore)
    assert store.url == parse_redis_url(url)
    assert store.shared


def test_memory_is_a_store():
    store = open_store("memory:")

    assert isinstance(store, MemoryStore)
    assert not store.shared


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("postgres://u:secret@h/db", "'postgres://...'"),
        ("redis:secret@h", "what is no such URL"),
        ("", "what is no such URL"),
        ("sqlite://aurora.db", "'sqlite://...'"),
    ],
)
def test_an_unknown_kind_is_refused_with_all_that_are_known(url, got):
    with pytest.raises(Invalid) as caught:
        open_store(url)

    assert str(caught.value) == f"expected {KINDS}; got {got}"


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:///data/", "sqlite:///:memory:", "sqlite:///a.db?mode=ro"])
def test_a_sqlite_url_without_a_file_is_refused(url):
    with pytest.raises(Invalid, match=r"expected a file as in sqlite:///relative\.db or sqlite:////absolute\.db, got"):
        open_store(url)
