"""Redis' protocol, as far as a bus needs it: no answer takes more time or memory than its bounds, whatever answers.

Not the package redis: it is on few machines, keeps what comes without end, and waits for what drips.
Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
"""

from __future__ import annotations

import re
import socket
import time
from typing import Any

from exporter.agent.checks import shown

MAX_TEXT = 2**20
"""Bytes of a text that are kept; a registry's own events are smaller. What is larger is passed over."""
MAX_LINE = 65_536
MAX_VALUES = 100
"""Of one answer; a message on a channel has three."""
_NUMBER = re.compile(rb"-?[0-9]{1,18}")


class BusFault(Exception):
    """What answers is no Redis, ended the connection, or refuses what was asked."""


class RespConnection:
    """One connection to a Redis. Every wait ends at the deadline that is given: seconds, monotonic.

    Everything raises BusFault and OSError; then the connection is of no use any more.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._buffer = bytearray()
        self._values = 0

    def call(self, deadline: float, *words: str | bytes) -> Any:
        """The answer to a command: bytes, an int, None, or a list of those."""
        self.send(deadline, *words)
        return self.read(deadline)

    def number(self, deadline: float, *words: str | bytes) -> int:
        """The answer to a command that is answered with a whole number."""
        answer = self.call(deadline, *words)
        if not isinstance(answer, int):
            raise BusFault(f"it does not answer as a Redis does: {shown(answer)}")
        return answer

    def send(self, deadline: float, *words: str | bytes) -> None:
        """A command, whose answer is read later."""
        parts = [word if isinstance(word, bytes) else word.encode() for word in words]
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))

    def is_there(self, deadline: float) -> bool:
        """Whether something came by then."""
        try:
            if not self._buffer:
                self._more(deadline)
        except socket.timeout:
            return False
        return True

    def read(self, deadline: float) -> Any:
        """The next answer, or message. Of a text above MAX_TEXT nothing is kept: it is empty."""
        self._values = 0
        return self._value(deadline)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _value(self, deadline: float) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise BusFault(f"its answer has more than {MAX_VALUES} values")
        line = self._line(deadline)
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise BusFault(f"it answers {shown(rest.decode('utf-8', 'replace'))}")
        if kind not in (b":", b"$", b"*") or not _NUMBER.fullmatch(rest):
            raise BusFault(f"it does not answer as a Redis does: {shown(line)}")
        number = int(rest)
        if kind == b":":
            return number
        if number < 0:
            return None
        if kind == b"$":
            return self._text(number, deadline)
        return [self._value(deadline) for _ in range(number)]

    def _line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                raise BusFault("it does not answer as a Redis does: a line has no end")
            self._more(deadline)
        return self._take(end)

    def _text(self, length: int, deadline: float) -> bytes:
        skipped = max(0, length - MAX_TEXT)
        while skipped > len(self._buffer):
            skipped -= len(self._buffer)
            self._buffer.clear()
            self._more(deadline)
        del self._buffer[:skipped]
        kept = min(length, MAX_TEXT)
        while len(self._buffer) < kept + 2:
            self._more(deadline)
        text = self._take(kept)
        return text if kept == length else b""

    def _take(self, length: int) -> bytes:
        """So many bytes, without the line end that follows them."""
        taken = bytes(self._buffer[:length])
        del self._buffer[: length + 2]
        return taken

    def _more(self, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        data = self._socket.recv(65_536)
        if not data:
            raise BusFault("it ended the connection")
        self._buffer += data


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left
