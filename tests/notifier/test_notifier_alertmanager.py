"""One Alertmanager that works, hangs, refuses or is gone: nothing is lost that still matters, and nobody waits."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from exporter.domain.clock import MINUTE, SECOND
from exporter.notifier import alertmanager as reporting
from exporter.notifier.alertmanager import AlertmanagerClient
from exporter.notifier.alerts import Alert
from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.reasons import Notification
from tests.support.clock import ManualClock
from tests.support.http_stub import HttpStub, Request, Response


class Sink:
    """Keeps what is posted to it, and answers with the statuses that it is given, then with 200."""

    def __init__(self) -> None:
        self.address = ""
        self.statuses: list[int] = []
        self.requests: list[tuple[str, str | None]] = []
        self.posted: list[list[dict[str, Any]]] = []
        self.go = threading.Event()
        self.go.set()
        self.strange: list[Response] = []
        """Answers that come first."""

    def respond(self, request: Request) -> Response:
        self.go.wait(30)
        if self.strange:
            return self.strange.pop(0)
        status = self.statuses.pop(0) if self.statuses else 200
        self.requests.append((request.path, request.headers["Authorization"]))
        if status == 200:
            self.posted.append(json.loads(request.body))
        return Response(status, body=b"busy")


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    with HttpStub(sink.respond) as server:
        sink.address = server.address
        yield sink
        sink.go.set()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(version="1", revision="r", started_ns=0, store_up=lambda: True, event_bus_up=lambda: True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "RETRY_SECONDS", (0.01, 0.05))


CLOCK = ManualClock()


def alert(node: str, *, ended: bool = False) -> Alert:
    labels = {"alertname": "AuroraNodeOffline", "severity": "critical", "node": node}
    now_ns = CLOCK.wall_ns()
    return Alert(node, labels, {"summary": node}, now_ns - 10 * SECOND, now_ns if ended else None)


def running(
    url: str, telemetry: Telemetry, scenario: Callable[[AlertmanagerClient], Awaitable[None]], **external_labels: str
) -> None:
    """Play the scenario while the Alertmanager is being sent to."""

    async def play() -> None:
        one = AlertmanagerClient(
            url, external_labels, source="http://reg:9999", lifetime_ns=4 * MINUTE, telemetry=telemetry, clock=CLOCK
        )
        task = asyncio.create_task(one.run())
        try:
            await scenario(one)
        finally:
            task.cancel()
            [ended] = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError)

    asyncio.run(play())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the sink's threads
            await asyncio.sleep(0.005)


def test_an_alert_is_posted_as_the_v2_api_has_it(sink, telemetry):
    """With external labels, times, and where it came from; a login and a path of the URL are used."""

    async def scenario(one: AlertmanagerClient) -> None:
        one.put([alert("ann"), alert("bob", ended=True)])
        await until(lambda: telemetry.notifications[Notification.SENT] == 2)

    running(f"http://me:p%40ss@{sink.address}/alerts/", telemetry, scenario, region="eu", severity="mine")

    assert sink.requests == [("/alerts/api/v2/alerts", "Basic bWU6cEBzcw==")]
    common = {"alertname": "AuroraNodeOffline", "severity": "critical", "region": "eu"}
    assert sink.posted == [
        [
            {
                "labels": {**common, "node": "ann"},
                "annotations": {"summary": "ann"},
                "startsAt": "2025-10-06T11:59:50.000Z",
                "endsAt": "2025-10-06T12:04:00.000Z",
                "generatorURL": "http://reg:9999/nodes/ann/why",
            },
            {
                "labels": {**common, "node": "bob"},
                "annotations": {"summary": "bob"},
                "startsAt": "2025-10-06T11:59:50.000Z",
                "endsAt": "2025-10-06T12:00:00.000Z",
                "generatorURL": "http://reg:9999/nodes/bob/why",
            },
        ]
    ]
    assert telemetry.notifications == {Notification.SENT: 2, Notification.FAILED: 0, Notification.DROPPED: 0}


def test_an_error_is_tried_again_until_it_is_sent(sink, telemetry, caplog):
    """Each failure is counted; the log says so once, and never the password."""
    sink.statuses = [503, 500, 401]

    async def scenario(one: AlertmanagerClient) -> None:
        one.put([alert("ann")])
        await until(lambda: bool(sink.posted))
        await until(lambda: one.waiting == 0)

    running(f"http://me:hunter2@{sink.address}", telemetry, scenario)

    assert [len(posted) for posted in sink.posted] == [1]
    assert telemetry.notifications[Notification.FAILED] == 3
    [line] = [record for record in caplog.records if record.name == "aurora.alertmanager"]
    assert line.getMessage() == "alerts were not sent to an Alertmanager yet, and will be"
    assert (line.reason, line.fault) == (f"http://{sink.address}", "it answered 503: busy")
    assert "hunter2" not in caplog.text


def test_what_it_will_never_take_is_dropped(sink, telemetry):
    """And does not hold up what comes next."""
    sink.statuses = [400]

    async def scenario(one: AlertmanagerClient) -> None:
        one.put([alert("ann")])
        await until(lambda: telemetry.notifications[Notification.DROPPED] == 1)
        one.put([alert("bob")])
        await until(lambda: bool(sink.posted))

    running(f"http://{sink.address}", telemetry, scenario)

    assert [[each["labels"]["node"] for each in posted] for posted in sink.posted] == [["bob"]]


def test_of_each_alert_only_the_latest_state_waits(sink, telemetry):
    """What was overtaken while an Alertmanager hangs is not sent any more."""

    async def scenario(one: AlertmanagerClient) -> None:
        sink.go.clear()
        one.put([alert("first")])
        await until(lambda: one.waiting == 0)
        for _ in range(50):
            one.put([alert("ann"), alert("ann", ended=True)])
        assert one.waiting == 1
        sink.go.set()
        await until(lambda: len(sink.posted) == 2)

    running(f"http://{sink.address}", telemetry, scenario)

    [ann] = sink.posted[1]
    assert (ann["labels"]["node"], ann["endsAt"]) == ("ann", "2025-10-06T12:00:00.000Z")


def test_one_that_does_not_answer_is_given_up_and_tried_again(sink, telemetry, monkeypatch):
    """A hanging Alertmanager costs a timeout, and no alert."""
    monkeypatch.setattr(reporting, "TIMEOUT_SECONDS", 0.1)

    async def scenario(one: AlertmanagerClient) -> None:
        sink.go.clear()
        one.put([alert("ann")])
        await until(lambda: telemetry.notifications[Notification.FAILED] > 0)
        sink.go.set()
        await until(lambda: telemetry.notifications[Notification.SENT] == 1)

    running(f"http://{sink.address}", telemetry, scenario)


CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, CHUNKED, b"-5\r\nabc\r\n"),
        Response(200, CHUNKED, b"-1\r\nabc\r\n"),
        Response(200, CHUNKED, b"zz\r\nabc\r\n"),
        Response(200, {"Content-Length": "9" * 5000}, b"abc"),
        Response(9999),
    ],
)
def test_whatever_it_answers_ends_nothing(sink, telemetry, answer):
    """What stands in its place may be anything: an error of http.client's would have ended the registry."""
    sink.strange.append(answer)

    async def scenario(one: AlertmanagerClient) -> None:
        one.put([alert("ann")])
        await until(lambda: sum(telemetry.notifications.values()) > 0)
        one.put([alert("bob")])
        await until(lambda: telemetry.notifications[Notification.SENT] >= 1)

    running(f"http://{sink.address}", telemetry, scenario)


def test_a_host_that_no_resolver_takes_ends_nothing(telemetry):
    async def scenario(one: AlertmanagerClient) -> None:
        one.put([alert("ann")])
        await until(lambda: telemetry.notifications[Notification.FAILED] > 1)

    running(f"http://{'a' * 70}.example", telemetry, scenario)


def test_what_waits_has_a_bound(telemetry, monkeypatch):
    """Nobody listens there; what is too much is counted as dropped."""
    monkeypatch.setattr(reporting, "MAX_WAITING", 3)

    async def scenario(one: AlertmanagerClient) -> None:
        one.put([alert(f"n{number}") for number in range(5)])
        assert one.waiting == 3
        assert telemetry.notifications[Notification.DROPPED] == 2
        await until(lambda: telemetry.notifications[Notification.FAILED] >= 3)

    running("http://127.0.0.1:1", telemetry, scenario)
