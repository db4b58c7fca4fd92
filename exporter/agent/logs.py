"""The agent's log: a line an event on stderr, as logfmt or JSON."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time

LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}
FORMATS = ("logfmt", "json")
_PLAIN = re.compile(r"[^\s\"=\x00-\x1f\x7f-\x9f]+")


class AgentLog:
    """Where the agent says what happens. A log that cannot be written ends nothing."""

    def __init__(self, level: str = "info", form: str = "logfmt") -> None:
        self._level = LEVELS[level]
        self._json = form == "json"

    def debug(self, message: str, **fields: object) -> None:
        """Each single attempt."""
        self._write("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """What changes."""
        self._write("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """What somebody may want to look at."""
        self._write("warn", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """What somebody has to change."""
        self._write("error", message, fields)

    def _write(self, level: str, message: str, fields: dict[str, object]) -> None:
        if LEVELS[level] < self._level:
            return
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        line = {"ts": f"{now}.{nanoseconds // 10**6:03}Z", "level": level, "msg": message, **fields}
        text = json.dumps(line, default=str) if self._json else " ".join(f"{k}={_value(v)}" for k, v in line.items())
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


def _value(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
