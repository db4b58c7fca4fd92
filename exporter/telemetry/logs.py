"""Our log: one line a record on standard error, as logfmt or JSON, and no record can forge a second line.

Nothing waits for standard error: where nobody reads it, lines are dropped and counted.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from exporter.telemetry.linewriter import FLUSH_SECONDS, LineWriter

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes that logging itself gives to a record; all others are from `extra`."""
_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_BARE = re.compile(r"[!#-<>-\[\]-~]+")
"""Values that logfmt takes without quotes: printable ASCII but for space, quote, equals sign and backslash."""
_NO_KEY = re.compile(r"[^A-Za-z0-9_.]")
# Characters that JSON keeps, although a terminal or log shipper may read them as a newline or reverse the text.
_TRICKY = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NOTHING: Mapping[str, str] = {}
_writers: list[LineWriter] = []
_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default=_NOTHING)


def setup(level: str, format: str) -> None:  # noqa: A002 - the setting's name
    """Send every logger's records, uvicorn's too, from this level up to standard error; safe to call again.

    `level`: debug, info, warn, warning or error. `format`: logfmt or json.
    """
    handler = LineHandler(_writer())
    handler.setFormatter(JsonFormatter() if format == "json" else LogfmtFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _UVICORN:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
        # We log start and stop ourselves.
        logger.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Wait until the log is written, at most for this time."""
    for writer in _writers:
        writer.flush(seconds)


def dropped() -> int:
    """Lines that were dropped so far, since nobody read them."""
    return sum(writer.dropped for writer in _writers)


def _writer() -> LineWriter:
    """That of standard error as it is now; the one of before stays with what it was given."""
    if not _writers or _writers[-1].stream is not sys.stderr:
        _writers.append(LineWriter(sys.stderr))
    return _writers[-1]


class LineHandler(logging.Handler):
    """Formats where the record was made, since that is where its context is, and leaves the writing to others."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a record that cannot be formatted must not end its caller's work
            line = f'level=error logger=aurora.log msg="a log record cannot be formatted" error={type(error).__name__}'
        self._writer.write(line)

    def flush(self) -> None:
        """Wait for what is left, a second at most; logging calls it at the end of the program."""
        self._writer.flush()


@contextlib.contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Add fields (`request_id`, `trace_id`, `node`) to every record logged inside, also by tasks begun there."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


class JsonFormatter(logging.Formatter):
    """A JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        return json.dumps(_fields(record))


class LogfmtFormatter(logging.Formatter):
    """`key=value` pairs; a value that needs quotes is written as a JSON string."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        return " ".join(f"{key}={_logfmt(value)}" for key, value in _fields(record).items())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    when = dt.datetime.fromtimestamp(record.created, dt.UTC)
    fields: dict[str, Any] = {
        "ts": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "msg": record.getMessage(),
    }
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    for name, value in {**_context.get(), **extra}.items():
        key = _NO_KEY.sub("_", name) or "_"
        while key in fields:
            key += "_"
        fields[key] = value if _is_plain(value) else str(value)
    if record.exc_info and record.exc_info[0]:
        fields["traceback"] = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | None) or (isinstance(value, float) and math.isfinite(value))


def _logfmt(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _BARE.fullmatch(value):
        return value
    return _TRICKY.sub(lambda match: f"\\u{ord(match.group()):04x}", json.dumps(value, ensure_ascii=False))
