"""The registry over HTTP: an answer, or a Failure that says what to do next."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time_ns
from typing import Any, Self, TypeVar
from urllib.parse import unquote, urlencode, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import (
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
    TimeoutError,  # noqa: A004 - urllib3's own, which is not the built-in one
)

from exporter import __version__
from exporter.domain.clock import SECOND
from exporter.domain.duration import format_duration
from exporter.programs.cli.failures import NoRegistry, Refused, Unreachable
from exporter.programs.cli.terminal import visible

T = TypeVar("T")
ELSEWHERE = "name another with --registry or AURORA_REGISTRY"
UNAVAILABLE = 503
UNKNOWN_NODE = "urn:aurora:problem:unknown-node"


class _Fault(msgspec.Struct):
    message: str
    field: str = ""


class _Problem(msgspec.Struct):
    """Source: RFC 9457, with our `errors`."""

    type: str = ""
    title: str = ""
    detail: str = ""
    errors: list[_Fault] = []


@dataclass(frozen=True, slots=True)
class Reply:
    """A body of JSON, where it came from, and the time at the registry when it was sent (wall clock)."""

    url: str
    body: bytes
    at_ns: int

    def of(self, shape: type[T]) -> T:
        """The answer in this shape; NoRegistry where it has another."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._strange(error) from None

    def document(self) -> Any:
        """The answer as it came, whatever its shape."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise self._strange(error) from None

    def _strange(self, error: Exception) -> NoRegistry:
        return NoRegistry(
            f"{self.url} does not answer as a registry of this version does ({visible(str(error))}). "
            f"Check the address, and that aurora-cli {__version__} is not older than the registry."
        )


class Client:
    """Asks one registry. Nothing is repeated: people do that better, with what they were told."""

    def __init__(self, registry: str, timeout_ns: int) -> None:
        """`registry` may hold `user:password@`, for a registry behind basic authentication."""
        parts = urlsplit(registry)
        host = parts.netloc.rpartition("@")[2]
        self._base = f"{parts.scheme}://{host}{parts.path}"
        self._timeout_ns = timeout_ns
        headers = {"Accept": "application/json", "User-Agent": f"aurora-cli/{__version__}"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        self._pool = urllib3.PoolManager(
            headers=headers, retries=False, timeout=urllib3.Timeout(timeout_ns / SECOND), maxsize=1
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Reply:
        """The answer to a GET; Refused, NoRegistry or Unreachable where there is none to show."""
        url = f"{self._base}{path}"
        try:
            response = self._pool.request("GET", f"{url}?{urlencode(query)}" if query else url)
        except HTTPError as error:
            raise Unreachable(self._unreachable(error)) from None
        if response.status == 200:  # noqa: PLR2004 - the one success that a read of the contract has
            return Reply(url, response.data, _sent_at_ns(response))
        raise self._refusal(response)

    def _unreachable(self, error: HTTPError) -> str:
        where = f"cannot reach the registry at {self._base}"
        if isinstance(error, NameResolutionError):
            return f"{where}: its host name is not known. Check it, or {ELSEWHERE}."
        if isinstance(error, SSLError):
            return (
                f"{where}: TLS failed ({visible(str(error))}). "
                "For a private authority, SSL_CERT_FILE names its certificate; http:// is for a registry without TLS."
            )
        # One of the timeouts as well, as urllib3 sees it; so it is looked at first.
        if isinstance(error, NewConnectionError):
            cause = error.__cause__ or error.__context__
            reason = getattr(cause, "strerror", None) or str(error)
            return f"{where}: {visible(reason.lower())}. Is aurora-registry running there? Otherwise {ELSEWHERE}."
        if isinstance(error, TimeoutError):
            waited = format_duration(self._timeout_ns)
            return f"{where}: no answer within {waited}. Wait longer with --timeout, or {ELSEWHERE}."
        return f"{where}: {visible(str(error))}. Does aurora-registry listen there, and is it http:// or https://?"

    def _refusal(self, response: urllib3.BaseHTTPResponse) -> Refused | NoRegistry:
        if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
            moved = response.headers.get("Location")
            return NoRegistry(
                f"{self._base} answered {response.status} {visible(response.reason or '')}".rstrip()
                + (f", and points to {visible(moved)}" if moved else "")
                + f": no registry of ours says that. Check the address, or {ELSEWHERE}."
            )
        try:
            problem = msgspec.json.decode(response.data, type=_Problem)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            problem = _Problem()
        return Refused(_sentences(response.status, problem, response.headers.get("Retry-After", "")))


def _sentences(status: int, problem: _Problem, retry_after: str) -> str:
    faults = [fault for fault in problem.errors if fault.message]
    if faults:
        lines = ["the registry refused the request:"]
        lines += [f"  {fault.field}: {fault.message}" if fault.field else f"  {fault.message}" for fault in faults]
    else:
        lines = [_sentence(problem.detail or problem.title or f"the registry answered {status}")]
    if problem.type == UNKNOWN_NODE:
        lines[-1] += " `aurora-cli nodes` lists those that are."
    if status == UNAVAILABLE:
        seconds = f"in {retry_after} seconds" if retry_after.isdecimal() else "in a moment"
        lines[-1] += f" Try again {seconds}."
    return "\n".join(visible(line) for line in lines)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _sent_at_ns(response: urllib3.BaseHTTPResponse) -> int:
    # Ages are told by the registry's clock: ours may be wrong, and is asked only where a proxy drops the Date.
    try:
        return int(parsedate_to_datetime(response.headers["Date"]).timestamp()) * SECOND
    except (KeyError, ValueError, OverflowError):
        return time_ns()
