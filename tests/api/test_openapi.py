from __future__ import annotations

import json

import msgspec
import pytest

from exporter.api.openapi import QUERIES, TYPES


@pytest.fixture
def schema(client):
    answer = client.get("/openapi.json")
    assert answer.status == 200
    return answer.json()


def test_every_route_is_in_the_document_and_nothing_else(client, schema):
    routes = client.app._router.routes
    served = {(path, method.lower()) for route in routes for path in [route.path] for method in route.methods}
    described = {(path, method) for path, methods in schema["paths"].items() for method in methods}

    assert described == {(path, method) for path, method in served if method not in {"head", "options"}}
    assert {(path, method.lower()) for method, path in TYPES} <= described
    assert {(path, "get") for path in QUERIES} <= described


def test_every_reference_leads_somewhere(schema):
    names = {part.partition('"')[0] for part in json.dumps(schema).split("#/components/schemas/")[1:]}

    assert names <= set(schema["components"]["schemas"])
    ids = [each["operationId"] for methods in schema["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("method", "path"), [each for each in TYPES if each[0] == "GET"], ids=str)
def test_answers_have_the_types_that_the_document_names(client, service, register, method, path):
    register(capabilities={"gpu": True}, metadata={"site": "attic"})
    service.pass_time(121)

    answer = client.call(method, path.replace("{name}", "vengeance"))

    assert answer.status == 200
    msgspec.json.decode(answer.body, type=TYPES[method, path])


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in QUERIES.items() for name in names])
def test_every_parameter_that_is_named_is_known(client, register, path, name):
    register()
    answer = client.get(f"{path.replace('{name}', 'vengeance')}?{name}=%00")

    assert "not a known query parameter" not in answer.body.decode()
