"""Any HTTP service on the way from heartbeat to message, asked plainly: what it answered, or why it did not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from exporter import __version__
from exporter.client.credentials import Credentials
from exporter.client.endpoint import parse_endpoint
from exporter.client.http import HttpService, NoAnswer
from exporter.domain.clock import SECOND
from exporter.domain.requestoutcome import Response
from exporter.programs.cli.terminal import escape_control


class UnusableAnswer(Exception):
    """Nothing usable came back; the message says what did."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`next` says what to do where `state` is not ok; what was not looked at is `not checked`."""

    state: Literal["ok", "warning", "wrong", "not checked"]
    check: str
    text: str
    next: str = ""


class HttpEndpoint:
    """One service at a URL, which may hold `user:password@`; `where` is the URL without it."""

    def __init__(self, url: str, timeout_ns: int, credentials: Credentials) -> None:
        self._http = HttpService(
            parse_endpoint(url),
            timeout_seconds=timeout_ns / SECOND,
            user_agent=f"aurora-cli/{__version__}",
            credentials=credentials,
            keep=0,
        )
        self.where = self._http.endpoint.url

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Response:
        """Its answer to a GET, whatever its status; UnusableAnswer where none came."""
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, document: Any) -> Response:
        """Its answer to this JSON."""
        return self._ask("POST", path, json.dumps(document).encode())

    def document(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON that a GET returns; UnusableAnswer where it is no JSON, or no success."""
        response = self.get(path, query)
        if not response.ok:
            text = escape_control(response.body[:120].decode(errors="replace").strip())
            raise UnusableAnswer(f"it answered {response.status} {text}")
        try:
            return json.loads(response.body)
        except (ValueError, RecursionError):
            raise UnusableAnswer("it answered with something that is not JSON") from None

    def findings(self, name: str, option: str, checks: Iterator[Finding]) -> Iterator[Finding]:
        """What the checks find, and one more finding where an answer is unusable, or another program's."""
        try:
            yield from checks
        except UnusableAnswer as error:
            yield Finding("wrong", name, f"{self.where}: {error}", f"Check that it runs, and {option}.")
        except (KeyError, TypeError, AttributeError):
            yield Finding("wrong", name, f"what answers at {self.where} is no {name}", f"Check {option}.")

    def _ask(self, method: str, path: str, body: bytes | None) -> Response:
        try:
            return self._http.request(method, path, body)
        except NoAnswer as error:
            raise UnusableAnswer(escape_control(str(error))) from None
