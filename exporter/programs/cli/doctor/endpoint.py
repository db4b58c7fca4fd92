"""Any HTTP service on the way from heartbeat to message, asked plainly: what it answered, or why it did not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from exporter import __version__
from exporter.client.credentials import Credentials
from exporter.client.endpoint import parse_endpoint
from exporter.client.http import HttpService, NoAnswer
from exporter.domain.clock import SECOND
from exporter.programs.cli.terminal import escape_control


class Unusable(Exception):
    """Nothing usable came back; the message says what did."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, whatever its status."""

    status: int
    body: bytes

    @property
    def good(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's successes

    def document(self) -> Any:
        """Its JSON; Unusable where it is no JSON, or no success."""
        if not self.good:
            raise Unusable(
                f"it answered {self.status} {escape_control(self.body[:120].decode(errors='replace').strip())}"
            )
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Unusable("it answered with something that is not JSON") from None


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

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Reply:
        """Its answer to a GET."""
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, document: Any) -> Reply:
        """Its answer to this JSON."""
        return self._ask("POST", path, json.dumps(document).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Reply:
        try:
            response = self._http.request(method, path, body)
        except NoAnswer as error:
            raise Unusable(escape_control(str(error))) from None
        return Reply(response.status, response.body)
