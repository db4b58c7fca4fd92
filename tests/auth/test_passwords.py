"""Passwords are compared with bcrypt once; then they are remembered, right ones and wrong ones apart."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import bcrypt
import pytest

from exporter.auth import passwords
from exporter.auth.passwords import Passwords, TooMany

USERS = {"alice": bcrypt.hashpw(b"secret", bcrypt.gensalt(4))}


@pytest.fixture
def compared(monkeypatch):
    """Which passwords were compared."""
    seen: list[bytes] = []
    matches = passwords._matches

    def note(given, hashed):
        seen.append(given)
        return matches(given, hashed)

    monkeypatch.setattr(passwords, "_matches", note)
    return seen


def test_each_password_is_compared_once(compared):
    """An unknown user's too, so that nobody learns who there is."""

    async def ask():
        book = Passwords()
        pairs = [("alice", b"secret"), ("alice", b"wrong"), ("bob", b"secret")] * 2
        return [await book.check(USERS, user, password) for user, password in pairs]

    assert asyncio.run(ask()) == [True, False, False] * 2
    assert compared == [b"secret", b"wrong", b"secret"]


def test_another_hash_is_another_password(compared):
    async def ask():
        book = Passwords()
        await book.check(USERS, "alice", b"secret")
        changed = {"alice": bcrypt.hashpw(b"new", bcrypt.gensalt(4))}
        return book.remembered(USERS, "alice", b"secret"), book.remembered(changed, "alice", b"secret")

    assert asyncio.run(ask()) == (True, None)
    assert len(compared) == 1


def test_wrong_passwords_push_out_no_right_one(monkeypatch):
    """And only so many are remembered."""
    monkeypatch.setattr(passwords, "MAX_REMEMBERED", 3)

    async def ask():
        book = Passwords()
        await book.check(USERS, "alice", b"secret")
        for number in range(5):
            await book.check({"alice": USERS["alice"]}, "alice", b"%d" % number)
        return book.remembered(USERS, "alice", b"secret"), len(book._wrong)

    assert asyncio.run(ask()) == (True, 3)


@pytest.fixture
def together(monkeypatch):
    """Asks all at once: no password is compared before all are asked for."""
    asked = threading.Event()
    matches = passwords._matches

    def wait(given, hashed):
        asked.wait()
        return matches(given, hashed)

    async def ask(*checks: Coroutine[Any, Any, bool]) -> list[object]:
        answers = [asyncio.ensure_future(check) for check in checks]
        await asyncio.sleep(0)
        asked.set()
        return await asyncio.gather(*answers, return_exceptions=True)

    monkeypatch.setattr(passwords, "_matches", wait)
    return ask


def test_only_so_many_wait(monkeypatch, together):
    monkeypatch.setattr(passwords, "MAX_WAITING", 2)

    async def ask():
        book = Passwords()
        return await together(*(book.check(USERS, "alice", b"%d" % number) for number in range(3)))

    first, second, third = asyncio.run(ask())
    assert (first, second, type(third)) == (False, False, TooMany)


@pytest.mark.parametrize("password", [b"", b"x" * 100, b"a\0b", b"\xff"])
def test_odd_passwords_are_wrong_and_nothing_more(password):
    assert asyncio.run(Passwords().check(USERS, "alice", password)) is False


def test_strangers_keep_no_trusted_caller_out(monkeypatch, together):
    """However many passwords they try, half of the places are not theirs."""
    monkeypatch.setattr(passwords, "MAX_WAITING", 4)
    monkeypatch.setattr(passwords, "MAX_STRANGERS", 2)

    async def ask():
        book = Passwords()
        tried = [book.check(USERS, "alice", b"%d" % number, trusted=False) for number in range(10)]
        answers = await together(*tried, book.check(USERS, "alice", b"secret"))
        return [answer if isinstance(answer, bool) else type(answer) for answer in answers]

    assert asyncio.run(ask()) == [False] * 2 + [TooMany] * 8 + [True]


def test_a_stranger_keeps_no_other_stranger_out(compared, together):
    """It has a few places, and the other's turn comes next. The same password takes one place, sent by anybody."""

    async def ask():
        book = Passwords()
        tried = [book.check(USERS, "alice", b"%d" % number, source="a", trusted=False) for number in range(10)]
        right = [book.check(USERS, "alice", b"secret", source="b", trusted=False) for _ in range(10)]
        answers = await together(*tried, *right)
        return [answer if isinstance(answer, bool) else type(answer) for answer in answers]

    assert asyncio.run(ask()) == [False] * 4 + [TooMany] * 6 + [True] * 10
    assert compared == [b"0", b"secret", b"1", b"2", b"3"]


def test_a_stranger_that_is_alone_rests_between_its_checks(monkeypatch):
    """As long as each took; another's ends the rest."""
    ticks = iter(range(0, 10_000, 100))
    monkeypatch.setattr(passwords, "perf_counter", lambda: next(ticks))

    async def ask():
        book = Passwords()
        tried = [
            asyncio.ensure_future(book.check(USERS, "alice", each, source="a", trusted=False)) for each in (b"1", b"2")
        ]
        assert await tried[0] is False
        await asyncio.sleep(0.05)
        assert not tried[1].done()
        assert await book.check(USERS, "alice", b"secret", source="b", trusted=False) is True
        tried[1].cancel()

    asyncio.run(ask())


def test_an_unknown_users_password_is_compared_with_a_hash_of_the_same_cost(monkeypatch):
    """Else the time that the answer takes would say who there is."""
    seen: list[bytes] = []

    def note(_, hashed):
        seen.append(hashed[:7])
        return False

    monkeypatch.setattr(passwords, "_matches", note)
    users = {"alice": bcrypt.hashpw(b"secret", bcrypt.gensalt(6))}

    async def ask():
        book = Passwords()
        return [await book.check(users, user, b"wrong") for user in ("alice", "bob")]

    assert asyncio.run(ask()) == [False, False]
    assert seen == [b"$2b$06$"] * 2
