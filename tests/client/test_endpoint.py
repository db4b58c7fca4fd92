from __future__ import annotations

import pytest

from exporter.agent.http import HttpRegistry
from exporter.client.client import Client
from exporter.client.endpoint import parse_endpoint
from exporter.client.overhttp import HttpClient
from exporter.domain.errors import Invalid
from exporter.programs.cli import kinds


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "url", "prefix"),
    [
        ("10.0.0.1:9999", "http", "10.0.0.1", 9999, "http://10.0.0.1:9999", ""),
        ("mesh", "http", "mesh", 80, "http://mesh:80", ""),
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
    with pytest.raises(Invalid, match=r"^expected a host, host:port or a URL such as"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mesh", "http://mesh:9999"),
        ("10.0.0.1", "http://10.0.0.1:9999"),
        ("[fd00::1]", "http://[fd00::1]:9999"),
        ("mesh:", "http://mesh:9999"),
        ("mesh/aurora/", "http://mesh:9999/aurora"),
        ("me:s3cret@mesh", "http://mesh:9999"),
        ("mesh:80", "http://mesh:80"),
        ("http://mesh:1/", "http://mesh:1"),
    ],
)
def test_every_program_reads_the_registrys_address_alike(text, url):
    """A host alone means the registry's usual port."""
    assert (Client(text).url, HttpClient(text).endpoint) == (url, url)
    assert HttpRegistry(text).endpoint == url
    assert parse_endpoint(kinds.registry(text)).url == url


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_a_url_has_its_schemes_port(scheme, port):
    text = f"{scheme}://mesh"
    assert parse_endpoint(kinds.registry(text)).port == parse_endpoint(text, usual_port=9999).port == port
    assert HttpRegistry(text).endpoint == f"{text}:{port}"


def test_a_host_alone_means_the_usual_port_of_what_is_meant():
    assert kinds.prometheus("mesh") == "http://mesh:9090"
    assert kinds.alertmanager("me:s3cret@mesh") == "http://me:s3cret@mesh:9093"
