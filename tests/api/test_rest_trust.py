from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from exporter.api import trust as trust_module
from exporter.api.trust import MAX_OTHERS

PROXY = "192.0.2.1"
CALLER = "10.0.0.4"


def writes(client, **headers):
    return client.post("/nodes/register", {"name": "n1"}, **headers)


@pytest.fixture
def behind_proxy(service):
    """The documentation's proxy is trusted, and so is one behind it on the VPN."""
    proxies = (ip_network("192.0.2.0/24"), ip_network("10.9.9.9/32"))
    service.set_config(auth=replace(service.config.auth, trusted_proxies=proxies))


@pytest.mark.parametrize(
    "peer",
    [
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "fd00::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
    ],
)
def test_the_vpn_may_write(client, peer):
    """Also by IPv6, link-local with its zone, and by IPv4 through an IPv6 socket."""
    client.peer = peer

    assert writes(client).status == 201


@pytest.mark.parametrize(
    "peer", ["8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "100.128.0.1", "172.32.0.1", "nonsense", None]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/nodes/register"),
        ("POST", "/nodes/n1/heartbeat"),
        ("POST", "/heartbeats"),
        ("DELETE", "/nodes/n1"),
        ("PUT", "/nodes/n1/drain"),
        ("DELETE", "/nodes/n1/maintenance"),
        ("POST", "/-/reload"),
    ],
)
def test_others_may_read_only(client, peer, method, path):
    """403 that says what to do; a Unix socket has no address to be trusted for."""
    client.peer = peer
    answer = client.call(method, path)

    assert (answer.status, answer.json()["type"]) == (403, "urn:aurora:problem:untrusted")
    assert "auth.trusted_networks" in answer.json()["detail"]
    assert client.get("/nodes").status == 200


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("via", "1.1 proxy"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "registry"),
        ("true-client-ip", "127.0.0.1"),
        ("cf-connecting-ip", "127.0.0.1"),
        ("cf-visitor", "https"),
        ("x-forwarded-prefix", "/registry"),
        ("x-forwarded-client-cert", "By=x"),
        ("x-original-url", "/nodes"),
        ("x-rewrite-url", "/nodes"),
        ("x-host", "registry"),
        ("x-vercel-forwarded-for", "127.0.0.1"),
        ("x-nf-client-connection-ip", "127.0.0.1"),
        ("do-connecting-ip", "127.0.0.1"),
        ("fly-client-ip", "127.0.0.1"),
        ("fly-region", "ams"),
        ("x-sucuri-clientip", "127.0.0.1"),
        ("x-azure-socketip", "127.0.0.1"),
        ("x-arr-log-id", "1"),
        ("x-envoy-internal", "true"),
        ("x-cluster-client-ip", "127.0.0.1"),
        ("x-remote-addr", "127.0.0.1"),
        ("x-real-port", "80"),
        ("x-source-ip", "127.0.0.1"),
        ("x-proxy-id", "1"),
        ("proxy-connection", "keep-alive"),
        ("tailscale-user-login", "a@example.com"),
        ("akamai-origin-hop", "1"),
        ("x-varnish", "1"),
        ("surrogate-capability", "a=b"),
        ("visitor-ip", "127.0.0.1"),
        ("x-zscaler-ip", "127.0.0.1"),
        ("cloudfront-viewer-address", "127.0.0.1:80"),
        ("eo-client-uuid", "1"),
        ("client-cert", ":MII=:"),
        ("x-ssl-client-verify", "SUCCESS"),
        ("x-remote-user", "a"),
        ("x-auth-request-email", "a@example.com"),
        ("x-amzn-oidc-identity", "a"),
        ("x-goog-iap-jwt-assertion", "a"),
        ("x-consumer-username", "a"),
        ("x-scheme", "https"),
        ("front-end-https", "on"),
        ("x-request-start", "t=1"),
    ],
)
def test_what_an_unknown_proxy_passes_on_is_trusted_by_nobody(client, header, value):
    """Although the proxy itself stands in a trusted network."""
    answer = writes(client, **{header: value})

    assert answer.status == 403
    assert "127.0.0.1 passed this on and is not in auth.trusted_proxies" in answer.json()["detail"]


@pytest.mark.parametrize(
    "header",
    [
        "cookie",
        "from",
        "cache-control",
        "priority",
        "x-hostname",
        "x-requested-with",
        "x-viable",
        "x-transport",
        "dnt",
        "x-zip",
        "x-client-name",
        "x-amzn-trace-id",
        "sec-ch-prefers-color-scheme",
        "sec-fetch-user",
    ],
)
def test_what_programs_send_of_themselves_is_no_proxys(client, header):
    assert writes(client, **{header: "1"}).status == 201


@pytest.mark.parametrize(("count", "status"), [(MAX_OTHERS, 201), (MAX_OTHERS + 1, 403)])
def test_more_headers_than_are_looked_at_are_trusted_by_nobody(client, count, status):
    """And names that are longer than any proxy's cost nothing."""
    headers = {f"h{number}": "1" for number in range(count)}
    assert writes(client, **headers, **{f"{'x' * 100}{number}": "1" for number in range(100)}).status == status


@pytest.mark.usefixtures("behind_proxy")
@pytest.mark.parametrize(
    ("forwarded_for", "status"),
    [
        (CALLER, 201),
        (f"8.8.8.8, {CALLER}", 201),
        (f"{CALLER}, 8.8.8.8", 403),
        (f"{CALLER}, 10.9.9.9", 201),
        ("8.8.8.8,10.9.9.9 , 192.0.2.7", 403),
        ("10.9.9.9", 201),
        (f"{CALLER}:51234", 201),
        (f"8.8.8.8, {CALLER}:51234, 10.9.9.9:80", 201),
        ("[fd00::4]", 201),
        ("[fd00::4]:51234", 201),
        ("fd00::4", 201),
        ("[2001:db8::4]:51234", 403),
        (f"{CALLER}, [fd00::4", 201),
        (f"{CALLER}, unknown", 403),
        (f"{CALLER},", 403),
        ("", 403),
    ],
)
def test_a_trusted_proxy_names_the_caller(client, forwarded_for, status):
    """It is the right-most address that is no trusted proxy's: what stands left of it, anybody may have made up."""
    client.peer = PROXY

    assert writes(client, x_forwarded_for=forwarded_for).status == status


@pytest.mark.usefixtures("behind_proxy")
def test_a_trusted_proxy_must_name_the_caller(client):
    """Other headers are not looked into."""
    client.peer = PROXY
    answer = writes(client, forwarded=f"for={CALLER}")

    assert answer.status == 403
    assert "let it set X-Forwarded-For" in answer.json()["detail"]


def test_a_reload_changes_the_trusted_networks(client, service):
    """At once, although judgements are remembered."""
    client.peer = "8.8.8.8"
    before = writes(client).status
    service.set_config(auth=replace(service.config.auth, trusted_networks=(ip_network("8.8.8.0/24"),)))

    assert (before, writes(client).status) == (403, 201)
    client.peer = "127.0.0.1"
    assert writes(client).status == 403


def test_only_so_many_judgements_are_remembered(client, monkeypatch):
    """Callers without number cost no memory, and are judged right all the same."""
    monkeypatch.setattr(trust_module, "MAX_REMEMBERED", 2)
    statuses = []
    for peer in ("8.8.8.8", "10.0.0.1", "8.8.4.4", "8.8.8.8", "10.0.0.1"):
        client.peer = peer
        statuses.append(client.post("/nodes/n1/heartbeat").status)

    assert statuses == [403, 404, 403, 403, 404]
