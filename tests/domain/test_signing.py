"""Tokens of nodes and signatures of events, against values worked out by other means."""

from __future__ import annotations

import json
import subprocess

import pytest

from exporter.domain.signing import event_code, node_of, node_token, signature_of, signed_event

JOIN = "join-token-of-the-tests"


def openssl(key, message):
    """OpenSSL's own HMAC-SHA256, in hexadecimal."""
    command = ["openssl", "dgst", "-sha256", "-hmac", key]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout.split()[-1].decode()


def test_a_nodes_token_names_the_node_and_depends_on_the_join_token():
    token = node_token(JOIN, "a.b-c_d")

    assert token == node_token(JOIN, "a.b-c_d") != node_token(JOIN + "x", "a.b-c_d")
    assert token.startswith("aurora-node.a.b-c_d.")
    assert (node_of(token), node_of(JOIN), node_of("aurora-node.")) == ("a.b-c_d", "", "")
    assert token.rpartition(".")[2] != node_token(JOIN, "a.b-c_e").rpartition(".")[2]


def test_an_event_is_signed_as_the_documentation_says():
    """So that a sender in any language can do it."""
    event = json.loads(
        signed_event("secret", "node_heartbeat", "ann", {"node": "ann", "x": "\u2603"}, 1_760_000_000_123)
    )
    data = json.dumps(event["data"], separators=(",", ":")).encode()
    code = openssl("secret", b"aurora event 1\nnode_heartbeat\n1760000000123\n" + data)

    assert (event["type"], event["source_node"]) == ("node_heartbeat", "ann")
    assert event["signature"] == f"t=1760000000123,v1={code}"
    assert event_code("secret", "node_heartbeat", 1_760_000_000_123, data) == code
    assert signature_of(event["signature"]) == (1_760_000_000_123, code)


@pytest.mark.parametrize(
    "text", [None, 7, "", "t=,v1=", "t=1", "t=-1,v1=a", "v1=a,t=1", f"t={'9' * 16},v1=a", "t=\u0661,v1=a"]
)
def test_what_is_no_signature(text):
    assert signature_of(text) is None
