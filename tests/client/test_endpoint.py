from __future__ import annotations

import pytest

from exporter.client.endpoint import parse_endpoint
from exporter.domain.errors import Invalid


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "url", "prefix"),
    [
        ("10.0.0.1:9999", "http", "10.0.0.1", 9999, "http://10.0.0.1:9999", ""),
        ("mesh", "http", "mesh", 80, "http://mesh", ""),
        ("https://mesh.example/", "https", "mesh.example", 443, "https://mesh.example", ""),
        ("http://a:1/aurora/", "http", "a", 1, "http://a:1/aurora", "/aurora"),
        ("[fd00::1]:9999", "http", "fd00::1", 9999, "http://[fd00::1]:9999", ""),
        ("http://me:s%3Acret@a:1", "http", "a", 1, "http://a:1", ""),
    ],
)
def test_addresses_and_urls(text, scheme, host, port, url, prefix):  # noqa: PLR0917 - by name
    found = parse_endpoint(text)
    assert (found.scheme, found.host, found.port, found.url, found.prefix) == (scheme, host, port, url, prefix)


def test_a_login_becomes_a_header():
    assert parse_endpoint("http://me:s%3Acret@a").authorization == "Basic bWU6czpjcmV0"


@pytest.mark.parametrize("text", ["", ":9999", "a:x", "a:99999", "a:0", "ftp://a", "http://[::1", "a b", "a/?b=c", "ä"])
def test_what_is_no_address_is_refused_unseen(text):
    with pytest.raises(Invalid, match=r"^expected host:port or a URL such as"):
        parse_endpoint(text)
