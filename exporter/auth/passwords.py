"""Passwords against bcrypt hashes: first in a thread, then from memory, so that a scrape does not pay for it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import bcrypt

from exporter.domain.roundrobin import RoundRobin

MAX_BYTES = 72
"""bcrypt ignores the rest of a password."""
MAX_REMEMBERED = 1_000
MAX_WAITING = 32
"""Checks that wait for one another; each takes its tenth of a second."""
MAX_STRANGERS = 16
"""Of callers that are not trusted, so that they do not keep the others out."""
MAX_OF_SOURCE = 4
"""Of one such caller, so that it does not keep other strangers out."""


class TooMany(Exception):
    """Too many passwords wait to be checked."""


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """One password that waits; all who sent it get the answer."""

    code: bytes
    source: str
    trusted: bool
    password: bytes
    hashed: bytes
    """The user's; where there is no such user, anybody's: so that the answer takes as long."""
    known: bool
    answer: asyncio.Future[bool]


class Passwords:
    """Recent results, right and wrong, are cached, keyed by a code that nobody else can compute.

    One password is checked at a time. Sources take turns, and one that is alone rests after each of its checks for as
    long as that took: so it never has more than half of a processor.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._checks: dict[bytes, _Check] = {}
        """Those that wait, and the one under way."""
        self._queue: RoundRobin[_Check] = RoundRobin()
        self._of_source: Counter[str] = Counter()
        """Strangers' alone."""
        self._another = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def remembered(self, users: Mapping[str, bytes], user: str, password: bytes) -> bool | None:
        """Whether it is right, if it was checked recently; None otherwise."""
        code = self._code(users, user, password)
        return True if code in self._right else False if code in self._wrong else None

    async def check(
        self, users: Mapping[str, bytes], user: str, password: bytes, *, source: str = "", trusted: bool = True
    ) -> bool:
        """Whether it is the user's (of one at least); raises TooMany. `source` is the caller."""
        code = self._code(users, user, password)
        known = self.remembered(users, user, password)
        if known is not None:
            return known
        check = self._checks.get(code)
        if check is None:
            if len(self._checks) >= (MAX_WAITING if trusted else MAX_STRANGERS):
                raise TooMany
            if not trusted and self._of_source[source] >= MAX_OF_SOURCE:
                raise TooMany
            hashed = users.get(user) or next(iter(users.values()))
            answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            check = _Check(code, source, trusted, password, hashed, user in users, answer)
            self._add(check)
        return await asyncio.shield(check.answer)

    def _add(self, check: _Check) -> None:
        self._checks[check.code] = check
        self._of_source[check.source] += not check.trusted
        self._queue.add(check.source, check)
        self._another.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._queue:
            check = self._queue.pop()
            began = perf_counter()
            try:
                right = await asyncio.to_thread(_matches, check.password, check.hashed) and check.known
                self._remember(check.code, right=right)
                check.answer.set_result(right)
            finally:
                check.answer.cancel()
                del self._checks[check.code]
                self._of_source -= Counter({check.source: not check.trusted})
            if not check.trusted:
                await self._rest(check.source, perf_counter() - began)

    async def _rest(self, source: str, seconds: float) -> None:
        """Until another source waits, at most for the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._queue.has_others(source):
                    self._another.clear()
                    await self._another.wait()

    def _remember(self, code: bytes, *, right: bool) -> None:
        book = self._right if right else self._wrong
        book[code] = None
        if len(book) > MAX_REMEMBERED:
            book.popitem(last=False)

    def _code(self, users: Mapping[str, bytes], user: str, password: bytes) -> bytes:
        parts = (user.encode("utf-8", "replace"), users.get(user, b""), password)
        return hmac.digest(self._key, b"".join(b"%d:%b" % (len(part), part) for part in parts), "sha256")


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:MAX_BYTES], hashed)
    except ValueError:
        return False
