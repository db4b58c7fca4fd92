"""Tokens of nodes, and signatures of events: what a registry and its agents must work out alike.

Standard library only, for CPython from 3.9: the agent carries this module along.
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

NODE_TOKEN = "aurora-node."  # noqa: S105 - how such a token begins
_TOKEN_LABEL, _EVENT_LABEL = b"aurora node token 1\n", b"aurora event 1\n"


def first_token(text: str) -> str:
    """The current token of a file of several, each with what it is called behind a `#`; empty if there is none."""
    secrets = (line.partition("#")[0].strip() for line in text.splitlines())
    return next(filter(None, secrets), "")


def node_token(join_token: str, name: str) -> str:
    """The token of the node of this name: `aurora-node.NAME.CODE`, derived from the join token."""
    code = hmac.digest(join_token.encode(), _TOKEN_LABEL + name.encode(), "sha256")
    return f"{NODE_TOKEN}{name}.{base64.urlsafe_b64encode(code).decode().rstrip('=')}"


def node_of(token: str) -> str:
    """The name in a node's token; empty where it is no such token. Whether the token is right is another question."""
    return token[len(NODE_TOKEN) :].rpartition(".")[0] if token.startswith(NODE_TOKEN) else ""


def event_code(token: str, event_type: str, at_ms: int, data: bytes) -> str:
    """The code that a token gives an event, of its type, the sender's time (ms since 1970) and the bytes of `data`."""
    signed = b"%b%b\n%d\n%b" % (_EVENT_LABEL, event_type.encode(), at_ms, data)
    return hmac.digest(token.encode(), signed, "sha256").hex()


def signed_event(token: str, event_type: str, source_node: str, data: Any, at_ms: int) -> bytes:
    """The event as it is published. `at_ms` has to grow from event to event: a repeated one is recognized by it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    code = event_code(token, event_type, at_ms, text.encode())
    head = json.dumps({"type": event_type, "source_node": source_node, "signature": f"t={at_ms},v1={code}"})
    return f'{head[:-1]}, "data": {text}}}'.encode()


def signature_of(text: Any) -> tuple[int, str] | None:
    """Time and code of a signature `t=MILLISECONDS,v1=CODE`; None where it is invalid."""
    if not isinstance(text, str):
        return None
    time, separator, code = text.partition(",v1=")
    digits = time[2:]
    if not separator or time[:2] != "t=" or not digits.isascii() or not digits.isdecimal() or len(digits) > 15:  # noqa: PLR2004
        return None
    return int(digits), code
