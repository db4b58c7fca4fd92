from __future__ import annotations

import socket
from base64 import b64decode

import pytest

ELSEWHERE = "name another with --registry or AURORA_REGISTRY"


def test_a_refused_connection_says_what_to_do(cli, nowhere):
    """Exit status 3, and the first thing to look at."""
    assert cli("stats", "--registry", nowhere) == (
        3,
        "",
        (
            f"aurora-cli: cannot reach the registry at {nowhere}: connection refused. "
            f"Is aurora-registry running there? Otherwise {ELSEWHERE}.\n"
        ),
    )


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_asked(cli):
    with socket.create_server(("127.0.0.1", 0)) as missing:
        url = f"http://127.0.0.1:{missing.getsockname()[1]}"
        assert cli("stats", "--registry", url, "--timeout", "50ms") == (
            3,
            "",
            (
                f"aurora-cli: cannot reach the registry at {url}: no answer within 50ms. "
                f"Wait longer with --timeout, or {ELSEWHERE}.\n"
            ),
        )


def test_tls_to_a_plain_server_fails_as_such(registry, cli):
    """The reason is given, and both ways out."""
    status, out, err = cli("stats", "--registry", registry.url.replace("http:", "https:"))
    assert (status, out) == (3, "")
    assert ": TLS failed (" in err
    assert err.endswith("http:// is for a registry without TLS.\n")


def test_an_unknown_node_is_said_in_a_sentence(registry, cli):
    """Exit status 1, the registry's own words, and where to look."""
    problem = {
        "type": "urn:aurora:problem:unknown-node",
        "title": "Not Found",
        "status": 404,
        "detail": "no node is registered as 'nope': register it with POST /nodes/register",
    }
    registry.refuse("/nodes/nope", 404, problem)
    assert cli("node", "nope") == (
        1,
        "",
        (
            "aurora-cli: no node is registered as 'nope': register it with POST /nodes/register. "
            "`aurora-cli nodes` lists those that are.\n"
        ),
    )


def test_fields_at_fault_are_listed(registry, cli):
    problem = {
        "title": "The request is invalid",
        "status": 400,
        "detail": "role: expected a name; min_gpus: expected a number",
        "errors": [
            {"field": "role", "message": "expected a name"},
            {"field": "min_gpus", "message": "expected a number"},
        ],
    }
    registry.refuse("/nodes?role=-&min_gpus=-1", 400, problem)
    assert cli("nodes", "--role=-", "--min-gpus=-1") == (
        1,
        "",
        "aurora-cli: the registry refused the request:\n  role: expected a name\n  min_gpus: expected a number\n",
    )


@pytest.mark.parametrize(
    ("headers", "when"),
    [({"Retry-After": "2"}, "in 2 seconds"), ({}, "in a moment"), ({"Retry-After": "x"}, "in a moment")],
)
def test_a_loading_registry_is_worth_another_try(registry, cli, headers, when):
    registry.refuse("/stats", 503, {"title": "Service Unavailable", "detail": "the map is not loaded yet"}, **headers)
    assert cli("stats") == (1, "", f"aurora-cli: the map is not loaded yet. Try again {when}.\n")


@pytest.mark.parametrize(
    ("problem", "reported"),
    [
        ({"title": "Forbidden"}, "Forbidden."),
        (b"{", "the registry answered 403."),
        ({"detail": "a\x1b]0;b\x07\nc"}, "a\\x1b]0;b\\x07\\nc."),
    ],
)
def test_poor_and_hostile_problems_are_shown_all_the_same(registry, cli, problem, reported):
    registry.refuse("/stats", 403, problem)
    assert cli("stats") == (1, "", f"aurora-cli: {reported}\n")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"total_nodes": "four"}', b"\xff", b"[" * 5000, b'"\\ud800"'])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["for people", "json"])
def test_what_is_no_registry_is_recognised(registry, cli, body, options):
    """Exit status 1 and one sentence, whatever else listens there; --json passes on whatever is JSON."""
    registry.answer("/stats", body)
    status, out, err = cli("stats", *options)
    if options and body in (b"[]", b'{"total_nodes": "four"}', b'"\\ud800"'):
        assert (status, err) == (0, "")
    else:
        assert (status, out) == (1, "")
        assert err.startswith(f"aurora-cli: {registry.url}/stats does not answer as a registry of this version does (")
        assert err.count("\n") == 1


def test_another_server_is_recognised(registry, cli):
    """A path that a registry always has is not found, or is elsewhere."""
    assert cli("stats") == (
        1,
        "",
        (
            f"aurora-cli: {registry.url} answered 404 Not Found: no registry of ours says that. "
            f"Check the address, or {ELSEWHERE}.\n"
        ),
    )
    registry.answer("/stats", b"", status=302, headers={"Location": "http://10.0.0.1/login"})
    assert cli("stats")[2] == (
        f"aurora-cli: {registry.url} answered 302 Found, and points to http://10.0.0.1/login: "
        f"no registry of ours says that. Check the address, or {ELSEWHERE}.\n"
    )


def test_a_password_is_sent_and_never_shown(registry, cli, nowhere):
    """Basic authentication from the URL; a message names the address without it."""
    with_password = "http://me:s%3Acret@"
    cli("stats", "--registry", registry.url.replace("http://", with_password))
    assert b64decode(registry.authorizations[0].removeprefix("Basic ")) == b"me:s:cret"
    status, _, err = cli("stats", "--registry", nowhere.replace("http://", with_password))
    assert (status, "cret" in err, nowhere in err) == (3, False, True)


def test_messages_are_broken_on_a_terminal(cli, nowhere, on_terminal):
    on_terminal(80)
    lines = cli("stats", "--registry", nowhere)[2].splitlines()
    assert (len(lines), max(map(len, lines)) <= 80) == (3, True)


def test_an_interrupt_is_no_traceback(cli, monkeypatch):
    """Exit status 130, as shells have it."""

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("exporter.programs.cli.run.run", interrupted)
    assert cli("stats") == (130, "", "")
