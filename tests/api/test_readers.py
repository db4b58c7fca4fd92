"""Who of the event stream's readers is woken, and when."""

from __future__ import annotations

import asyncio

from exporter.api import readers
from exporter.api.app import create_app
from exporter.api.readers import PER_TURN, Reader, Readers
from exporter.domain.command import Register
from exporter.domain.registration import Registration

MANY = 10 * PER_TURN


async def turns(done, count):
    """What was counted in each turn of the event loop until there is nothing left to do."""
    counts, before = [], 0
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0)
            counts.append(count() - before)
            before += counts[-1]
    return counts


def test_a_few_readers_at_a_time_are_sent_what_happened(service):
    """So that heartbeats are answered in between; an event, missed events, a keep-alive and the end alike."""

    async def play():
        app, texts = create_app(service), []
        last_id = f"{service.clock.wall_ns()}-{'0' * 12}-1"

        def follow(headers):
            scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/events", "query_string": b""}
            scope |= {"raw_path": b"/events", "headers": [(b"host", b"a"), *headers], "client": ("127.0.0.1", 1)}

            async def receive():
                await asyncio.Event().wait()

            async def send(message):
                if message.get("body"):
                    texts.append(message["body"])

            return asyncio.ensure_future(app(scope, receive, send))

        async def sent(times, cause):
            before = len(texts)
            cause()
            return await turns(lambda: len(texts) == before + times, lambda: len(texts) - before)

        def happen():
            node_map = service.node_map
            node_map.commit(node_map.plan(Register(Registration("one"))))

        tasks: list[asyncio.Future[None]] = []
        found = {
            "opening": await sent(MANY, lambda: tasks.extend(follow([]) for _ in range(MANY))),
            "event": await sent(MANY, happen),
            "missed": await sent(
                3 * MANY, lambda: tasks.extend(follow([(b"last-event-id", last_id.encode())]) for _ in range(MANY))
            ),
            "end": await sent(2 * MANY, service.events.stop),
        }
        await asyncio.gather(*tasks)
        return found

    for what, counts in asyncio.run(play()).items():
        assert 0 < max(counts) <= PER_TURN, what


def test_keep_alives_are_due_at_different_times_and_come_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(readers, "KEEP_ALIVE_SECONDS", 0.01)

    async def play():
        every = Readers(asyncio.get_running_loop())
        some = [Reader(0) for _ in range(MANY)]
        for reader in some:
            every.add(reader)
        due = {reader.due_at for reader in some}
        waits = [asyncio.create_task(reader.woken()) for reader in some]
        counts = await turns(lambda: all(wait.done() for wait in waits), lambda: sum(wait.done() for wait in waits))
        every.stop()
        return due, counts

    due, counts = asyncio.run(play())
    assert len(due) > 1
    assert max(counts) <= PER_TURN


def test_who_has_more_to_read_waits_until_others_had_their_turn():
    async def play():
        every = Readers(asyncio.get_running_loop())
        behind, other = Reader(0), Reader(0)
        order = []

        async def read(reader, times):
            for _ in range(times):
                await reader.woken()
                order.append(reader)
                every.ring(reader)

        for reader in (behind, other):
            every.add(reader)
        tasks = [asyncio.create_task(read(behind, 3 * PER_TURN)), asyncio.create_task(read(other, 1))]
        await asyncio.sleep(0)
        every.ring(behind)
        await asyncio.sleep(0)
        every.ring(other)
        await asyncio.gather(*tasks)
        every.stop()
        return order.index(other)

    assert asyncio.run(play()) <= PER_TURN


def test_a_round_ends_without_those_who_take_nothing():
    async def play():
        every = Readers(asyncio.get_running_loop())
        stuck, quick = Reader(0), Reader(0)
        every.add(stuck)
        every.add(quick)
        wait = asyncio.create_task(quick.woken())
        async with asyncio.timeout(10):
            await every.round()
            await wait
            await every.round()
        every.stop()

    asyncio.run(play())
