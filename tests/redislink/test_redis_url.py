from __future__ import annotations

import pytest

from exporter.domain.errors import Invalid
from exporter.redislink.url import KINDS, RedisScheme, RedisUrl, parse_redis_url


@pytest.mark.parametrize(
    ("text", "url", "safe"),
    [
        ("redis://h", RedisUrl(RedisScheme.PLAIN, (("h", 6379),)), "redis://h:6379"),
        ("redis://10.0.0.7:1/", RedisUrl(RedisScheme.PLAIN, (("10.0.0.7", 1),)), "redis://10.0.0.7:1"),
        ("redis://[fd00::1]:7000/3", RedisUrl(RedisScheme.PLAIN, (("fd00::1", 7000),), 3), "redis://[fd00::1]:7000/3"),
        ("redis://:p%40ss@h", RedisUrl(RedisScheme.PLAIN, (("h", 6379),), password="p@ss"), "redis://h:6379"),
        (
            "redis://u:a:b@h",
            RedisUrl(RedisScheme.PLAIN, (("h", 6379),), username="u", password="a:b"),
            "redis://h:6379",
        ),
        (
            "rediss://h:1/2?ssl_ca_certs=/etc/ca.pem",
            RedisUrl(RedisScheme.TLS, (("h", 1),), 2, options={"ssl_ca_certs": "/etc/ca.pem"}),
            "rediss://h:1/2",
        ),
        (
            "redis+sentinel://:p@h,i:2/my.master/4?sentinel_password=q",
            RedisUrl(
                RedisScheme.SENTINEL,
                (("h", 26379), ("i", 2)),
                4,
                "my.master",
                password="p",
                options={"sentinel_password": "q"},
            ),
            "redis+sentinel://h:26379,i:2/my.master/4",
        ),
        (
            "redis+cluster://u:p@h:1,i",
            RedisUrl(RedisScheme.CLUSTER, (("h", 1), ("i", 6379)), username="u", password="p"),
            "redis+cluster://h:1,i:6379",
        ),
    ],
)
def test_a_url_is_taken_apart(text, url, safe):
    parsed = parse_redis_url(text)

    assert parsed == url
    assert parsed.safe == str(parsed) == safe


def test_no_secret_is_shown():
    """Neither by str nor by repr, neither the server's nor the Sentinels'."""
    url = parse_redis_url("redis+sentinel://someone:s3cret@h/m?sentinel_password=s4cret&sentinel_username=u")

    for text in (str(url), repr(url), f"{url}", url.safe):
        assert "s3cret" not in text
        assert "s4cret" not in text


def test_a_url_can_be_a_key():
    assert {parse_redis_url("redis://h"): 1}[parse_redis_url("redis://h:6379/0")] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"expected {KINDS}; got what is no URL"),
        ("s3cret", f"expected {KINDS}; got what is no URL"),
        ("http://u:s3cret@h", f"expected {KINDS}; got 'http://***@h'"),
        ("Redis://h", f"expected {KINDS}; got 'Redis://...'"),
        ("redis://h\n", "expected host:port, with a port from 1 to 65535; got 'redis://...'"),
        ("redis://h#x", f"expected {KINDS}; got 'redis://...'"),
        ("redis://", "expected host:port, with a port from 1 to 65535; got 'redis://...'"),
        ("redis://:s3cret", "expected host:port, with a port from 1 to 65535; got 'redis://...'"),
        ("redis://:s3cret@", "expected host:port, with a port from 1 to 65535; got 'redis://***@'"),
        ("redis://:s3cret@h:0", "expected host:port, with a port from 1 to 65535; got 'redis://***@h:0'"),
        ("redis://:s3cret@h:65536", "expected host:port, with a port from 1 to 65535; got 'redis://***@h:65536'"),
        ("redis://:s3cret@fd00::1", "expected host:port, with a port from 1 to 65535; got 'redis://***@fd00::1'"),
        ("redis://s3cret@h", "expected user:password or :password before the @; got 'redis://***@h'"),
        ("redis://@h", "expected user:password or :password before the @; got 'redis://***@h'"),
        (
            "redis://:s3/cret@h",
            "expected '/', '?', '#' and '@' in a password to be written as %2F, %3F, %23 and %40; got 'redis://***@h'",
        ),
        ("redis://h:1,i:2", "expected one host:port after redis://, got 2; got 'redis://...'"),
        ("redis://:s3cret@h/x", "expected the number of a database, as in /0, got 'x'; got 'redis://***@h/x'"),
        ("redis://h/1/2", "expected the number of a database, as in /0, got '1/2'; got 'redis://...'"),
        ("redis://h?db=1", "unknown option 'db' (known for redis://: none); got 'redis://...'"),
        (
            "rediss://:s3cret@h?x=y",
            "unknown option 'x' (known for rediss://: ssl_ca_certs, ssl_certfile, ssl_keyfile); got 'rediss://***@h'",
        ),
        ("rediss://h?ssl_ca_certs", "expected name=value pairs after the ?; got 'rediss://...'"),
        (
            "redis+sentinel://h",
            "expected the master's service name after the Sentinels, as in /mymaster; got 'redis+sentinel://...'",
        ),
        (
            "redis+cluster://h/0",
            "expected nothing after a cluster's hosts (it has no databases), got '/0'; got 'redis+cluster://...'",
        ),
    ],
)
def test_what_is_wrong_is_said_without_the_password(text, message):
    with pytest.raises(Invalid) as caught:
        parse_redis_url(text)

    assert str(caught.value) == message
    assert "s3" not in message
