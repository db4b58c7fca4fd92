"""Reads one answer of HTTP/1.1 from a connection: its head, and its body however its length is stated."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping

from exporter.agent.checks import shown

MAX_ANSWER = 2**22
MAX_HEAD = 65_536
_STATUS = re.compile(r"[1-5][0-9]{2}")
_LENGTH = re.compile(rb"[0-9A-Fa-f]{1,8}")


class BadAnswer(Exception):
    """What answered is not HTTP, or breaks off."""


def time_left(deadline: float) -> float:
    """Seconds until the deadline (monotonic); raises socket.timeout where none are left."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left


class ResponseReader:
    """One answer, until a deadline (monotonic seconds). Raises BadAnswer and OSError."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = b""
        self.over = False
        """The other side ended the connection."""

    def head(self) -> tuple[int, dict[str, str]]:
        """The status, and the headers by their names in lower case."""
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD or not self._more():
                raise BadAnswer("what answers is no HTTP server, or ended the connection")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not _STATUS.fullmatch(words[1]):  # noqa: PLR2004
            raise BadAnswer(f"what answers is no HTTP server: {shown(first)}")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(words[1]), headers

    def body(self, headers: Mapping[str, str]) -> bytes:
        """The body, whole, however its length is stated."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = headers.get("content-length")
        if length is None:
            while self._more():
                pass
            return self._take(len(self._buffer))
        if not length.isdecimal() or len(length) > 9:  # noqa: PLR2004 - a gigabyte
            raise BadAnswer(f"its answer has a length of {shown(length)}")
        return self._take(int(length))

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            line = self._line().partition(b";")[0].strip()
            if not _LENGTH.fullmatch(line):
                raise BadAnswer("its answer breaks off")
            length = int(line, 16)
            if length == 0:
                while self._line():
                    pass
                return b"".join(parts)
            size += length
            if size > MAX_ANSWER:
                raise BadAnswer(f"its answer has more than {MAX_ANSWER} bytes")
            parts.append(self._take(length))
            self._line()

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD or not self._more():
                raise BadAnswer("its answer breaks off")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _take(self, length: int) -> bytes:
        if length > MAX_ANSWER:
            raise BadAnswer(f"its answer has more than {MAX_ANSWER} bytes")
        while len(self._buffer) < length:
            if not self._more():
                raise BadAnswer("its answer breaks off")
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken

    def _more(self) -> bool:
        if len(self._buffer) > MAX_ANSWER:
            raise BadAnswer(f"its answer has more than {MAX_ANSWER} bytes")
        self._connection.settimeout(time_left(self._deadline))
        data = self._connection.recv(65_536)
        self._buffer += data
        self.over = self.over or not data
        return bool(data)
