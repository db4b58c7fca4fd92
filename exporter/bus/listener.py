"""The listener on the event bus: a Redis Pub/Sub channel, with proof that messages still arrive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from redis.asyncio import Connection, Redis
from redis.exceptions import NoPermissionError

from exporter.auth.audit import AuditLog
from exporter.bus.clusterprobe import ClusterProbe
from exporter.bus.consumer import BusConsumer
from exporter.bus.signatures import SignatureCheck
from exporter.domain.backoff import Backoff
from exporter.domain.clock import SECOND, Clock
from exporter.domain.command import Command
from exporter.domain.errors import StillLoading
from exporter.domain.reception import Source
from exporter.domain.status import Thresholds
from exporter.domain.text import shown
from exporter.nodemap.nodemap import NodeMap
from exporter.process.tasks import first_of
from exporter.redislink.connecting import master_of, subscriber
from exporter.redislink.errors import REDIS_ERRORS, explain
from exporter.redislink.parser import NOT_ENOUGH_DATA, parser_of
from exporter.redislink.url import RedisScheme, parse_redis_url
from exporter.telemetry.metrics import Telemetry

CONNECT_SECONDS = 2.0
RETRY_SECONDS = (0.1, 2.0)
PING_EVERY = SECOND // 2
BURST = 64
"""Events, or KiB of them, that are read before others have their turn on the event loop."""
_log = logging.getLogger("aurora.bus")


class SubscriptionStalled(Exception):
    """The subscription neither broke nor brought anything, not even the answer to a ping."""


class BusListener:
    """Reads the channel and proves that it receives.

    Pub/Sub keeps nothing for those who are away, so a connection that broke is never mended behind our back: each
    new subscription ends an outage.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        *,
        node_map: Callable[[], NodeMap],
        source: Source,
        submit: Callable[[Command], Awaitable[object]],
        telemetry: Telemetry,
        clock: Clock,
        thresholds: Callable[[], Thresholds],
        signatures: SignatureCheck,
        audit: AuditLog,
        request_registration: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`node_map` raises StillLoading until there is one; `source` is what the bus transport needs to receive.

        Raises Invalid for a URL that redislink does not accept.
        """
        self._url = parse_redis_url(url)
        self._channel = channel
        self._node_map = node_map
        self._source = source
        self._clock = clock
        self._thresholds = thresholds
        self._consumer = BusConsumer(
            node_map=node_map,
            submit=submit,
            telemetry=telemetry,
            clock=clock,
            signatures=signatures,
            audit=audit,
            request_registration=request_registration,
        )
        self._probe = ClusterProbe(self._url, channel, clock) if self._url.kind is RedisScheme.CLUSTER else None
        self._channels = (channel, self._probe.channel) if self._probe else (channel,)
        self._proven_ns = 0
        self._replies = 0
        self._telemetry = telemetry
        self._logged: set[str] = set()
        self.up = False
        """Subscribed, and nothing says that we do not receive."""

    async def run(self) -> None:
        """Listen until cancelled."""
        self._source.mark_down()
        try:
            await first_of(self._listen_again_and_again(), self._consumer.work())
        finally:
            self._mark_down()

    async def _listen_again_and_again(self) -> None:
        backoff = Backoff(random.random, *RETRY_SECONDS)
        while True:
            try:
                await self._listen()
            except (*REDIS_ERRORS, SubscriptionStalled) as fault:
                if isinstance(fault, SubscriptionStalled):
                    # Of a cluster, the next node is tried.
                    self._url = replace(self._url, hosts=(*self._url.hosts[1:], self._url.hosts[0]))
                if self.up:
                    self._telemetry.subscriptions_lost += 1
                    backoff.reset()
                self._mark_down()
                self._warn(str(fault) if isinstance(fault, SubscriptionStalled) else explain(fault, self._url))
            await asyncio.sleep(backoff.next())

    async def _listen(self) -> None:
        client = subscriber(self._url)
        # Not a PubSub of redis-py: that one reconnects and subscribes again without a word.
        connection: Connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # as it ships
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]  # as it ships
                identity = await self._identity(connection) if self._probe else b""
                for channel in self._channels:
                    await connection.send_command("SUBSCRIBE", channel, check_health=False)
                    reply = await connection.read_response(push_request=True)
                    if reply[:2] != [b"subscribe", channel.encode()]:
                        raise ValueError(f"subscribing was answered with {shown(reply)}")
            self._proven_ns = self._clock.monotonic_ns()
            # Not up before the first proof: a Redis that loads its data takes subscriptions, and answers no ping.
            work = [self._read(connection), self._ping(connection)]
            if self._probe:
                work.append(self._probe.publish(identity, self._look_every_ns))
            if self._url.kind is RedisScheme.SENTINEL:
                work.append(self._watch_master(client, (connection.host, connection.port)))
            await first_of(*work)
        finally:
            await connection.disconnect(nowait=True)
            await client.aclose()

    async def _identity(self, connection: Connection) -> bytes:
        """What the cluster calls the node that we are connected to; empty where we may not ask."""
        await connection.send_command("CLUSTER", "MYID", check_health=False)
        try:
            return bytes(await connection.read_response())
        except NoPermissionError:
            return b""

    async def _read(self, connection: Connection) -> None:
        read, received = connection.read_response, parser_of(connection).received
        take, channel = self._consumer.take, self._channel.encode()
        while True:
            left = BURST
            while left > 0:
                reply = received()
                if reply is NOT_ENOUGH_DATA:
                    reply = await read(timeout=math.inf, disconnect_on_error=False, push_request=True)
                kind = reply[0]
                if kind == b"message":
                    _, subject, payload = reply
                    if subject == channel:
                        take(payload)
                        left -= len(payload) // 1024
                    else:
                        self._prove(int(payload))
                elif kind == b"pong":
                    self._take_pong(int(reply[1]))  # It says what its ping said.
                else:
                    raise ValueError(f"expected an event or the answer to a ping, got {shown(reply)}")
                self._replies += 1
                left -= 1
            self._source.mark_heard(self._clock.monotonic_ns(), self._thresholds().gap)
            await self._consumer.room()
            await asyncio.sleep(0)

    async def _ping(self, connection: Connection) -> None:
        """Ping, since redis-py gets no error when its connection is black-holed or Redis is stopped.

        The answer comes after all that was published before the ping: it proves what was received until then, which an
        event that waited in a buffer does not. Looks are counted instead of time, so that a stall of our own, during
        which answers wait to be read, is not taken for an outage.
        """
        looks = 0
        while True:
            replies, every_ns, gap_ns = self._replies, self._look_every_ns(), self._thresholds().gap
            await connection.send_command("PING", str(self._clock.monotonic_ns()), check_health=False)
            await asyncio.sleep(every_ns / SECOND)
            looks = 0 if self._replies != replies else looks + 1
            if looks * every_ns >= gap_ns:
                raise SubscriptionStalled(f"neither an event nor an answer to a ping came for {gap_ns / SECOND:g} s")

    async def _watch_master(self, client: Redis, ours: tuple[str, int]) -> None:
        """A master that was replaced by mistake lives on, and answers pings, while all others publish elsewhere."""
        while True:
            if await master_of(client) not in {None, ours}:
                raise SubscriptionStalled("the Sentinels name another master")
            await asyncio.sleep(self._look_every_ns() / SECOND)

    def _look_every_ns(self) -> int:
        return min(PING_EVERY, self._thresholds().warning_after // 40)

    def _take_pong(self, sent_ns: int) -> None:
        """Of one server the answer is the proof; of a cluster, what was published through another node."""
        gap_ns = self._thresholds().gap
        if self._probe is None or not self._probe.allowed:
            self._prove(sent_ns)
        elif sent_ns - self._proven_ns >= gap_ns:
            raise SubscriptionStalled(
                f"nothing that was published through another node of the cluster came for {gap_ns / SECOND:g} s: was "
                "the node that we are subscribed at removed from the cluster?"
            )

    def _prove(self, sent_ns: int) -> None:
        """All that was published until then was received, however long ago: many answers wait where many events do."""
        self._proven_ns = min(sent_ns, self._clock.monotonic_ns())
        if not self.up:
            self._reception_returns()
        self._source.mark_alive(self._proven_ns)
        with contextlib.suppress(StillLoading):
            self._node_map().take_proofs()

    def _reception_returns(self) -> None:
        """Reception returned: close the outage before the first new event is taken in."""
        now_ns = self._clock.monotonic_ns()
        blind_seconds = (now_ns - self._source.proof_ns) / SECOND
        self._source.mark_alive(now_ns)
        with contextlib.suppress(StillLoading):  # Then the map will start from now.
            self._node_map().tick()
        self.up = True
        if self._logged:
            _log.info("the event bus is received again", extra={"blind_seconds": round(blind_seconds, 1)})
        else:
            _log.info("listening on the event bus", extra={"channel": self._channel})
        self._logged.clear()

    def _mark_down(self) -> None:
        self.up = False
        self._source.mark_down()

    def _warn(self, reason: str) -> None:
        """Log why we do not receive, each reason once in an outage."""
        if reason not in self._logged:
            self._logged.add(reason)
            _log.warning(
                "the event bus is not received: its nodes keep their status until it is", extra={"reason": reason}
            )
