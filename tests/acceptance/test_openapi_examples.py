"""Schemathesis asks a real registry for what its OpenAPI document allows, and for what it does not."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.registry_process import RegistryProcess

pytestmark = pytest.mark.servers

ENDLESS = "/events"
"""Its answer does not end."""
NODE = "vengeance"
EXAMPLES = 25
"""Of each operation."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOUNDED = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with RegistryProcess(tmp_path_factory.mktemp("openapi")) as running:
        yield running


@pytest.mark.parametrize(
    ("mode", "known", "least"),
    [(GenerationMode.POSITIVE, False, 30), (GenerationMode.POSITIVE, True, 10), (GenerationMode.NEGATIVE, False, 15)],
    ids=["allowed", "of a node that is registered", "not allowed"],
)
def test_every_answer_is_one_that_the_document_describes(registry, mode, known, least):
    """Status, type and shape; a 5xx where it says so alone. After all of it the registry is as well as before."""
    schema: Any = schemathesis.openapi.from_dict(without_default(registry.get("/openapi.json").json()))
    schema.config.update(base_url=registry.url)
    asked = 0
    with requests.Session() as session:
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path == ENDLESS or (known and "{name}" not in operation.path):
                continue
            registry.ask("POST", "/nodes/register", json={"name": NODE, "capabilities": {"gpu_count": 1}})
            examples = operation.as_strategy(generation_mode=mode, path_parameters={"name": NODE} if known else None)
            # What has no parameter cannot be asked for wrongly.
            with contextlib.suppress(Unsatisfiable):
                ask(examples, session)
                asked += 1

    assert asked >= least
    assert registry.get("/health").json()["status"] == "ok"


def without_default(document: Any) -> Any:
    """The document without what stands for every status: each must be named."""
    for operations in document["paths"].values():
        for operation in operations.values():
            del operation["responses"]["default"]
    return document


def ask(examples: SearchStrategy[Any], session: requests.Session) -> None:
    """Ask for each; raises what a check found, with the request."""

    @BOUNDED
    @given(case=examples)
    def each(case: Any) -> None:
        case.call_and_validate(session=session, checks=CHECKS, timeout=30)

    each()
