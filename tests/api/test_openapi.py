from __future__ import annotations

import json
import re

import msgspec
import pytest

from exporter.api.operations import METRICS, OPERATIONS
from exporter.domain.registration import MAX_LINKS

TYPED = [
    (method, path)
    for (method, path), each in OPERATIONS.items()
    if method == "GET" and not isinstance(each.answers[200], tuple) and path != "/openapi.json"
]
WITH_FILTERS = [(path, each.query) for (method, path), each in OPERATIONS.items() if method == "GET" and each.query]
BOUNDED = [
    (path, name, schema)
    for path, query in WITH_FILTERS
    for name, schema in query.items()
    if schema["type"] in {"integer", "number"}
]


def keys(value):
    """All keys of objects within the value."""
    if isinstance(value, dict):
        return set(value) | {key for each in value.values() for key in keys(each)}
    return {key for each in value for key in keys(each)} if isinstance(value, list | tuple) else set()


@pytest.fixture
def schema(client):
    answer = client.get("/openapi.json")
    assert answer.status == 200
    return answer.json()


def served(client):
    return {
        (method, route.path) for route in client.app._router.routes for method in route.methods - {"HEAD", "OPTIONS"}
    }


def test_every_route_is_in_the_document_and_nothing_else(client, schema):
    described = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}

    assert described == served(client) == set(OPERATIONS)


def test_every_reference_leads_somewhere(schema):
    names = {part.partition('"')[0] for part in json.dumps(schema).split("#/components/schemas/")[1:]}

    assert names == set(schema["components"]["schemas"])
    ids = [each["operationId"] for methods in schema["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))


def test_bodies_are_described_by_the_types_that_read_them(schema):
    components = schema["components"]["schemas"]
    register = schema["paths"]["/nodes/register"]["post"]["requestBody"]

    assert register == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RegistrationBody"}}},
    }
    body = components["RegistrationBody"]
    assert (body["required"], body["additionalProperties"]) == (["name"], False)
    assert body["properties"]["capabilities"] == {"$ref": "#/components/schemas/Capabilities"}
    assert body["properties"]["links"]["maxItems"] == MAX_LINKS
    assert components["Leave"]["properties"].keys() == {"reason", "until"}
    assert set(schema["paths"]["/heartbeats"]["post"]["requestBody"]["content"]) == {
        "application/json",
        "application/x-ndjson",
    }


def test_patterns_are_such_that_every_language_knows(schema):
    patterns = re.findall(r'"pattern": "(.*?)"', json.dumps(schema))

    assert patterns
    assert not [pattern for pattern in patterns if r"\\Z" in pattern]


@pytest.mark.parametrize(("method", "path"), TYPED, ids=str)
def test_answers_have_the_types_that_the_document_names(client, service, register, method, path):
    register(capabilities={"gpu": True}, metadata={"site": "attic"})
    service.pass_time(121)

    answer = client.call(method, path.replace("{name}", "vengeance"))

    assert answer.status == 200
    kind = OPERATIONS[method, path].answers[200]
    value = msgspec.json.decode(answer.body, type=kind)
    # What is answered and not described would come back without it.
    assert keys(answer.json()) <= keys(msgspec.to_builtins(value))


@pytest.mark.parametrize(("path", "query"), [each for each in WITH_FILTERS if each[0] != METRICS], ids=str)
def test_a_call_takes_the_parameters_that_are_described_and_no_other(client, register, path, query):
    register()
    answer = client.get(f"{path.replace('{name}', 'vengeance')}?nope=1")

    assert answer.status == 400
    assert f"known: {', '.join(query)}" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", [path for (method, path), each in OPERATIONS.items() if method == "GET" and not each.query]
)
def test_a_call_without_parameters_in_the_document_reads_none(client, register, path):
    register()

    answer = client.get(f"{path.replace('{name}', 'vengeance').replace('{file}', 'main.js')}?nope=1")

    assert answer.status == 200


@pytest.mark.parametrize(("path", "name", "schema"), BOUNDED, ids=lambda each: each if isinstance(each, str) else "")
def test_limits_of_parameters_are_those_of_the_document(client, register, path, name, schema):
    register()
    url = f"{path.replace('{name}', 'vengeance')}?{name}="

    for beyond in (schema["minimum"] - 1, schema["maximum"] + 1):
        assert client.get(f"{url}{beyond}").status == 400
    if path == "/events":
        return  # would be a stream
    for within in (schema["minimum"], schema["maximum"]):
        assert client.get(f"{url}{within}").status == 200
