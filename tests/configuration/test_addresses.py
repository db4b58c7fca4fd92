from __future__ import annotations

import pytest

from exporter.configuration.addresses import event_bus_url, http_url, split_listen_address, store_url
from exporter.domain.errors import Invalid


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0.0.0.0:9999", ("0.0.0.0", 9999)),
        (":9999", ("", 9999)),
        ("localhost:0", ("localhost", 0)),
        ("[::]:65535", ("::", 65_535)),
        ("[fd00::1]:9999", ("fd00::1", 9999)),
    ],
)
def test_a_listen_address_splits_into_host_and_port(text, parts):
    assert split_listen_address(text) == parts


@pytest.mark.parametrize(
    "text", ["", "9999", "host:", "host:65536", "::1:9999", "[::1]", "[nowhere]:1", "a b:1", "h:\u0661"]
)
def test_what_is_no_listen_address_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the caller words the message
        split_listen_address(text)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///aurora-registry.db",
        "sqlite:////var/lib/aurora/registry.db",
        "memory:",
        "redis://10.0.0.1",
        "redis://aurora:secret@10.0.0.1:6379/0",
        "rediss://[fd00::1]:6380/1",
        "redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/0",
        "redis+cluster://10.0.0.1:6379,10.0.0.2:6379",
    ],
)
def test_every_kind_of_store_is_accepted(url):
    assert store_url(url) == url


@pytest.mark.parametrize(
    "url", ["", "redis://", "redis://secret@", "sqlite://registry.db", "sqlite:///", "memory:x", 5]
)
def test_what_is_no_store_is_refused_without_repeating_it(url):
    with pytest.raises(Invalid) as caught:
        store_url(url)
    assert "secret" not in str(caught.value)


def test_the_event_bus_is_a_redis_or_nothing():
    assert event_bus_url("") == ""
    assert event_bus_url("rediss://10.0.0.1") == "rediss://10.0.0.1"
    with pytest.raises(Invalid):
        event_bus_url("sqlite:///bus.db")


def test_alertmanagers_are_reached_over_http():
    assert http_url("https://10.0.0.1:9093/path") == "https://10.0.0.1:9093/path"
    with pytest.raises(Invalid, match="expected http://host:port or https://host:port, got what is no such URL"):
        http_url("10.0.0.1:9093")
