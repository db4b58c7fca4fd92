from __future__ import annotations

import gzip
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.api.app import create_app
from tests.support.asgi import Client

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def names(families):
    return {sample.name for family in families for sample in family.samples}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/json", TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        (PROMETHEUS_2, OPEN_METRICS),
        (PROMETHEUS_3, OPEN_METRICS),
        ("application/openmetrics-text", OPEN_METRICS),
        ('Application/OpenMetrics-Text; Version="1.0.0"; Q=0.1', OPEN_METRICS),
        ("application/openmetrics-text; version=0.0.1", TEXT),
        ("application/openmetrics-text;q=0.5, text/plain", TEXT),
        ("application/openmetrics-text;q=0, text/plain;q=0.1", TEXT),
        ("text/plain, application/openmetrics-text", TEXT),
        ("application/openmetrics-text;q=high", TEXT),
        (";;,=;q", TEXT),
    ],
)
def test_the_format_is_what_the_scraper_prefers(client, accept, content_type):
    """By q-value, then by order; text where neither is named."""
    answer = client.get("/metrics", accept=accept)

    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.body.endswith(b"# EOF\n") == (content_type == OPEN_METRICS)


@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("br", False),
    ],
)
@pytest.mark.parametrize("loaded", [True, False])
def test_the_encoding_is_what_the_scraper_takes(client, service, accept_encoding, compressed, loaded):
    """Compressed where it may be, one body in either case."""
    service.loaded = loaded
    answer = client.get("/metrics", accept_encoding=accept_encoding)
    body = gzip.decompress(answer.body) if compressed else answer.body

    assert ("content-encoding" in answer.headers) is compressed
    assert "aurora_registry_build_info" in names(parse_text(body.decode()))


def test_nodes_and_ourselves_in_both_formats(client, register):
    """Each is read by prometheus-client's own parser."""
    register("n1")
    text = client.get("/metrics").body.decode()
    open_metrics = client.get("/metrics", accept=PROMETHEUS_2).body.decode()

    for families in (names(parse_text(text)), names(parse_open_metrics(open_metrics))):
        assert {"aurora_node_status", "aurora_registry_http_request_duration_seconds_count"} <= families


@pytest.mark.parametrize("loaded", [True, False])
def test_only_the_samples_that_are_asked_for(client, register, service, loaded):
    """By `name[]`, however often; of ourselves too."""
    register("n1")
    service.loaded = loaded
    query = "name[]=aurora_node_gpus&name[]=aurora_registry_store_up"

    found = names(parse_text(client.get(f"/metrics?{query}").body.decode()))

    assert found == {"aurora_registry_store_up"} | ({"aurora_node_gpus"} if loaded else set())


@pytest.mark.parametrize("accept", ["", PROMETHEUS_2])
def test_before_the_map_is_loaded_only_we_are_shown(client, register, service, accept):
    """200 all the same: these metrics say why."""
    register("n1")
    service.loaded = False
    answer = client.get("/metrics", accept=accept)
    found = names((parse_open_metrics if accept else parse_text)(answer.body.decode()))

    assert answer.status == 200
    assert "aurora_registry_store_up" in found
    assert not any(name.startswith("aurora_node_") for name in found)


def test_another_path(service):
    """As the configuration says."""
    service.set_config(web=replace(service.config.web, telemetry_path="/federate/metrics"))
    client = Client(create_app(service))

    assert client.get("/federate/metrics").status == 200
    assert client.get("/metrics").status == 404
    client.runner.close()


def test_requests_are_timed_by_route(client, register):
    """Not by path, nor by a method that somebody invents: the series stay few."""
    register("n1")
    client.get("/nodes/n1")
    client.get("/nodes/n2")
    client.get("/nothing/here")
    client.post("/nodes/n1/heartbeat")
    client.call("BREW", "/nodes/n1")
    families = parse_text(client.get("/metrics").body.decode())
    counted = {
        tuple(sample.labels[label] for label in ("handler", "method", "code")): sample.value
        for family in families
        for sample in family.samples
        if sample.name == "aurora_registry_http_request_duration_seconds_count"
    }

    assert counted == {
        ("/nodes/register", "POST", "201"): 1,
        ("/nodes/{name}", "GET", "200"): 1,
        ("/nodes/{name}", "GET", "404"): 1,
        ("unmatched", "GET", "404"): 1,
        ("/nodes/{name}/heartbeat", "POST", "204"): 1,
        ("/nodes/{name}", "unknown", "405"): 1,
    }
