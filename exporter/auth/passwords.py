"""Passwords against bcrypt hashes: first in a thread, then from memory, so that a scrape does not pay for it."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

MAX_BYTES = 72
"""bcrypt ignores the rest of a password."""
MAX_REMEMBERED = 1_000
MAX_WAITING = 32
"""Checks that wait for one another; each takes its tenth of a second."""
MAX_STRANGERS = 16
"""Of callers that are not trusted, so that they do not keep the others out."""


class TooMany(Exception):
    """Too many passwords wait to be checked."""


class Passwords:
    """Recent results, right and wrong, are cached, keyed by a code that nobody else can compute."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._lock = asyncio.Lock()
        self._waiting = 0

    def remembered(self, users: Mapping[str, bytes], user: str, password: bytes) -> bool | None:
        """Whether it is right, if it was checked recently; None otherwise."""
        code = self._code(users, user, password)
        return True if code in self._right else False if code in self._wrong else None

    async def check(self, users: Mapping[str, bytes], user: str, password: bytes, *, trusted: bool = True) -> bool:
        """Whether it is the user's (of one at least); raises TooMany. `trusted`: whether the caller is."""
        if self._waiting >= (MAX_WAITING if trusted else MAX_STRANGERS):
            raise TooMany
        self._waiting += 1
        try:
            async with self._lock:
                known = self.remembered(users, user, password)
                if known is not None:
                    return known
                hashed = users.get(user)
                # That of an unknown user takes as long: whose it is compared with has the same cost, as a rule.
                matches = await asyncio.to_thread(_matches, password, hashed or next(iter(users.values())))
        finally:
            self._waiting -= 1
        right = matches and hashed is not None
        book = self._right if right else self._wrong
        book[self._code(users, user, password)] = None
        if len(book) > MAX_REMEMBERED:
            book.popitem(last=False)
        return right

    def _code(self, users: Mapping[str, bytes], user: str, password: bytes) -> bytes:
        parts = (user.encode("utf-8", "replace"), users.get(user, b""), password)
        return hmac.digest(self._key, b"".join(b"%d:%b" % (len(part), part) for part in parts), "sha256")


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:MAX_BYTES], hashed)
    except ValueError:
        return False
