"""Any HTTP service on the way from heartbeat to message, asked plainly: what it said, or why it said nothing."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.exceptions import TimeoutError as TookTooLong

from exporter.domain.clock import SECOND
from exporter.domain.duration import format_duration
from exporter.programs.cli.terminal import visible


class NoAnswer(Exception):
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
        """Its JSON; NoAnswer where it is none, or no success."""
        if not self.good:
            raise NoAnswer(f"it answered {self.status} {visible(self.body[:120].decode(errors='replace').strip())}")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise NoAnswer("it answered with something that is not JSON") from None


class HttpEndpoint:
    """One service at a URL, which may hold `user:password@`; `where` is the URL without it."""

    def __init__(self, url: str, timeout_ns: int) -> None:
        parts = urlsplit(url)
        self.where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._timeout_ns = timeout_ns
        self._headers = {}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Reply:
        """Its answer to a GET."""
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, document: Any) -> Reply:
        """Its answer to this JSON."""
        return self._ask("POST", path, json.dumps(document).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Reply:
        headers = {**self._headers, **({"Content-Type": "application/json"} if body is not None else {})}
        timeout = urllib3.Timeout(self._timeout_ns / SECOND)
        try:
            with urllib3.PoolManager(retries=False, timeout=timeout) as pool:
                response = pool.request(method, f"{self.where}{path}", body=body, headers=headers)
                return Reply(response.status, response.data)
        except NameResolutionError:
            raise NoAnswer("its host name is not known") from None
        except NewConnectionError as error:
            cause = error.__cause__ or error.__context__
            raise NoAnswer(visible((getattr(cause, "strerror", None) or str(error)).lower())) from None
        except TookTooLong:
            raise NoAnswer(f"no answer within {format_duration(self._timeout_ns)}") from None
        except HTTPError as error:
            raise NoAnswer(visible(str(error))) from None
