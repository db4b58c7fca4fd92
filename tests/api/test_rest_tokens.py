"""Tokens: who may do what, with which, and who learns of them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest

from exporter.domain.signing import node_token

JOIN, OLD_JOIN, OPERATOR, READ = (f"{word}-token-of-the-tests" for word in ("join", "old-join", "operator", "read"))
TOKENS = {
    "nothing": None,
    "wrong": "wrong-token-of-the-tests",
    "join": JOIN,
    "old join": OLD_JOIN,
    "operator": OPERATOR,
    "read": READ,
    "own": node_token(JOIN, "v"),
    "own, before": node_token(OLD_JOIN, "v"),
    "of another": node_token(JOIN, "w"),
    "forged": node_token("a-join-token-of-their-own", "v"),
}
WRITES = {
    "register": ("POST", "/nodes/register", {"name": "v"}),
    "heartbeat": ("POST", "/nodes/v/heartbeat", {}),
    "deregister": ("DELETE", "/nodes/v", None),
    "maintenance": ("PUT", "/nodes/v/maintenance", {}),
    "back": ("DELETE", "/nodes/v/drain", None),
    "accept": ("POST", "/nodes/v/accept", {"gpus": 1}),
    "reload": ("POST", "/-/reload", None),
    "unknown": ("POST", "/nowhere", None),
}
OPERATORS = {"operator"}
MAY = {
    "register": {"join", "old join", "operator", "own", "own, before"},
    "heartbeat": {"operator", "own", "own, before"},
    "deregister": {"operator", "own", "own, before"},
}
READS = ("/nodes", "/nodes/v", "/nodes/v/why", "/topology", "/stats", "/sd/prometheus", "/metrics", "/audit", "/")
OPEN = ("/health", "/-/healthy", "/-/ready", "/join", "/agent/aurora-agent.pyz")


@pytest.fixture
def files(tmp_path, service):
    """Writes token files and has them configured."""

    def write(**contents):
        paths = {}
        for name, content in contents.items():
            path = tmp_path / name
            path.write_text(content)
            path.chmod(0o600)
            paths[f"{name}_token_file"] = str(path)
        service.set_config(auth=replace(service.config.auth, **paths))

    return write


@pytest.fixture
def tokens(files, register):
    """A registered node, then all the tokens."""
    register("v")
    register("w")
    files(join=f"# rotated\n{JOIN}\n{OLD_JOIN}\n", operator=f"{OPERATOR} # alice\n", read=f"{READ}\n")


def bearer(token):
    return {"authorization": f"Bearer {token}"} if token else {}


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("whose", TOKENS)
@pytest.mark.parametrize("what", WRITES)
def test_who_may_write_what(client, service, what, whose):
    """401 for nobody, with a challenge; 403 for somebody else; and then nothing is changed."""
    service.set_config(web=replace(service.config.web, enable_lifecycle=True))
    method, path, body = WRITES[what]
    before = client.get("/nodes", **bearer(READ)).json()["nodes"]
    answer = client.send(method, path, body, **bearer(TOKENS[whose]))

    if whose in MAY.get(what, OPERATORS):
        assert answer.status in {200, 204, 404 if what == "unknown" else 200}
        return
    nobody = whose in {"nothing", "wrong", "forged"}
    assert (answer.status, answer.json()["status"]) == (401, 401) if nobody else (403, 403)
    challenge = 'Bearer realm="aurora"' + ("" if whose == "nothing" else ', error="invalid_token"')
    assert answer.headers.get("www-authenticate") == (challenge if nobody else None)
    after = client.get("/nodes", **bearer(READ)).json()["nodes"]
    assert {name: node | {"last_seen": ""} for name, node in after.items()} == {
        name: node | {"last_seen": ""} for name, node in before.items()
    }


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("path", READS)
def test_reads_need_a_read_or_an_operator_token_once_there_is_a_read_token(client, path):
    """Also as the password of basic authentication, for browsers and other tools."""
    statuses = {whose: client.get(path, **bearer(token)).status for whose, token in TOKENS.items()}
    password = b64encode(f"anybody:{READ}".encode()).decode()

    assert statuses.pop("read") == statuses.pop("operator") == 200
    assert {whose for whose, status in statuses.items() if status == 401} == {"nothing", "wrong", "forged"}
    assert {whose for whose, status in statuses.items() if status == 403} == {*statuses} - {
        "nothing",
        "wrong",
        "forged",
    }
    assert client.get(path, authorization=f"Basic {password}").status == 200
    assert "Basic" in client.get(path).headers["www-authenticate"]


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("path", OPEN)
def test_probes_and_new_nodes_need_no_token(client, path):
    assert client.get(path).status == 200


def test_reads_stay_open_without_a_read_token(client, files):
    files(join=JOIN, operator=OPERATOR)

    assert {client.get(path).status for path in READS if "/v" not in path} == {200}


def test_a_token_is_as_good_from_anywhere_and_an_address_no_more_good_for_anything(client, files):
    """And rates bind callers without one."""
    files(join=JOIN)
    trusted = client.post("/nodes/register", {"name": "v"})
    client.peer = "8.8.8.8"
    given = client.post("/nodes/register", {"name": "v"}, x_forwarded_for="9.9.9.9", **bearer(JOIN)).json()["token"]

    assert (trusted.status, client.post("/nodes/v/heartbeat", **bearer(given)).status) == (401, 204)
    assert 429 in {client.post("/nodes/v/heartbeat", **bearer("x" * 20)).status for _ in range(300)}


def test_a_nodes_token_floods_nobody_from_outside(client, files):
    """Each has a rate of its own, since many nodes may share an address; on a trusted network none is bound."""
    files(join=JOIN)
    tokens = {name: client.post("/nodes/register", {"name": name}, **bearer(JOIN)).json()["token"] for name in "vw"}
    assert {client.post("/nodes/v/heartbeat", **bearer(tokens["v"])).status for _ in range(300)} == {204}
    client.peer = "8.8.8.8"
    statuses = [client.post("/nodes/v/heartbeat", **bearer(tokens["v"])).status for _ in range(300)]

    assert statuses == [204] * 250 + [429] * 50
    assert client.post("/nodes/w/heartbeat", **bearer(tokens["w"])).status == 204


def test_with_an_operator_token_alone_nodes_cannot_write(client, files):
    """Nothing falls back to addresses because a file is not configured."""
    files(operator=OPERATOR)

    assert client.post("/nodes/register", {"name": "v"}).status == 401
    answer = client.post("/nodes/register", {"name": "v"}, **bearer(OPERATOR))
    assert (answer.status, "token" in answer.json()) == (201, False)


def test_with_a_read_token_alone_writes_are_judged_by_address(client, files):
    files(read=READ)

    assert client.post("/nodes/register", {"name": "v"}).status == 201
    client.peer = "8.8.8.8"
    assert client.post("/nodes/register", {"name": "v"}, **bearer(READ)).status == 403


def test_a_registration_gives_the_node_its_token_and_rotation_a_new_one(client, files):
    """Each is good as long as the join token that it is derived from is in the file."""
    files(join=OLD_JOIN)
    first = client.post("/nodes/register", {"name": "v"}, **bearer(OLD_JOIN))
    files(join=f"{JOIN}\n{OLD_JOIN}")
    second = client.post("/nodes/register", {"name": "v"}, **bearer(first.json()["token"]))
    files(join=JOIN)

    assert first.headers["cache-control"] == "no-store"
    assert (first.json()["token"], second.json()["token"]) == (node_token(OLD_JOIN, "v"), node_token(JOIN, "v"))
    assert client.post("/nodes/v/heartbeat", **bearer(second.json()["token"])).status == 204
    assert client.post("/nodes/v/heartbeat", **bearer(first.json()["token"])).status == 401


@pytest.mark.usefixtures("tokens")
def test_a_node_reports_for_itself_alone_in_a_batch(client):
    """What it says of others is rejected one by one."""
    answer = client.post("/heartbeats", [{"node": "w"}, {"node": "v", "sequence": 7}], **bearer(TOKENS["own"]))

    assert answer.json()["accepted"] == 1
    assert answer.json()["rejected"] == [{"index": 0, "error": "node: expected node v, whose token was sent, got w"}]
    assert client.post("/heartbeats", [{"node": "w"}, {"node": "v"}], **bearer(OPERATOR)).json()["accepted"] == 2
    assert client.post("/heartbeats", [{"node": "w"}], **bearer(JOIN)).status == 403


@pytest.mark.usefixtures("tokens")
def test_a_node_cannot_register_as_another(client):
    answer = client.post("/nodes/register", {"name": "w", "role": "lead"}, **bearer(TOKENS["own"]))

    assert (answer.status, answer.json()["type"]) == (403, "urn:aurora:problem:forbidden")
    assert client.get("/nodes/w", **bearer(READ)).json()["role"] == "compute"


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic",
        "Basic !",
        f"Basic {JOIN}",
        "Digest x",
        f"Bearer  {OPERATOR} x",
        "Bearer \xff\xfe",
    ],
)
def test_what_is_no_credential(client, value):
    assert client.delete("/nodes/v", authorization=value).status == 401


@pytest.mark.usefixtures("tokens")
def test_no_token_is_shown(client, service, caplog):
    """Neither in answers nor in logs nor in metrics."""
    service.store_up = False
    answers = [
        client.send(method, path, body, **bearer(token))
        for token in TOKENS.values()
        for method, path, body in WRITES.values()
    ]
    answers += [client.get(path, **bearer(OPERATOR)) for path in READS]
    reported = (
        b"".join(answer.body for answer in answers).decode() + caplog.text + repr(service.keyring._tokens.by_kind)
    )

    assert not [name for name, token in TOKENS.items() if token and token in reported]


def test_refusals_are_counted(client, files, service):
    files(join=JOIN)
    client.post("/nodes/register", {"name": "v"})
    client.delete("/nodes/v", **bearer(JOIN))

    refused = service.telemetry.requests_refused
    assert (refused["unauthenticated"], refused["forbidden"]) == (1, 1)


def test_a_stolen_join_token_fills_the_mesh_slowly(client, files, service):
    """New nodes of one address that is not trusted have a rate; known ones register again as they like."""
    files(join=JOIN)
    service.set_config(limits=replace(service.config.limits, untrusted_new_nodes_per_minute=2))
    client.peer = "8.8.8.8"
    names = ("a", "b", "c", "a", "b")
    answers = [client.post("/nodes/register", {"name": name}, **bearer(JOIN)) for name in names]

    assert [answer.status for answer in answers] == [201, 201, 429, 200, 200]
    assert int(answers[2].headers["retry-after"]) <= 30
