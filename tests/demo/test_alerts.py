"""How alerts become lines."""

from __future__ import annotations

from demo.alerts import Messages, changes, states, suppressed
from demo.receiver import Notification, SentAlert


def alert(name: str, state: str = "firing", **labels: str) -> dict[str, object]:
    return {"labels": {"alertname": name, **labels}, "state": state}


def test_nodes_of_one_site_are_one_line() -> None:
    """A site that fails would be a screen of lines."""
    four = [alert("A", "pending", node=f"n{number}", site="austin") for number in range(4)]
    two = [alert("A", "pending", node=name, site="berlin") for name in ("x", "y")]
    lines = changes({}, states([*four, *two]))
    assert lines == ["A pending: 4 nodes of austin", "A pending: x, y of berlin"]


def test_what_becomes_of_an_alert_is_printed() -> None:
    """Firing ones resolve, pending ones were never sent to anybody."""
    before = states([alert("A", "pending", node="a"), alert("B", site="austin"), alert("C", "pending")])
    after = states([alert("A", node="a"), alert("AuroraWatchdog")])
    assert changes(before, after) == ["A firing: a", "B resolved: site austin", "C no longer pending"]


def test_what_is_only_for_information_is_printed_once_it_fires() -> None:
    """GPUs that are idle at this moment are nobody's business."""
    idle = [alert("AuroraGpuIdle", state, node=state, severity="info") for state in ("pending", "firing")]
    assert changes({}, states(idle)) == ["AuroraGpuIdle firing: firing"]


def test_suppressed_nodes_are_counted_by_site() -> None:
    """Those without a site count as well."""
    samples = [{"metric": {"site": "austin"}, "value": [0, "2"]}, {"metric": {}, "value": [0, "1"]}]
    assert suppressed(samples) == {"austin": 2, "": 1}


def test_a_message_says_what_is_new() -> None:
    """A repeated end of an alert is not shown, until it has fired again; the watchdog is shown once."""

    def reported(status: str, name: str = "A") -> Notification:
        return Notification("pager", (SentAlert(status, {"alertname": name}, {"summary": f"{name} is down"}),))

    messages = Messages()
    sent = ["firing", "resolved", "resolved", "firing", "resolved"]
    assert [messages.lines(reported(status)) for status in sent] == [
        ["pager: A is down"],
        ["pager: over: A is down"],
        [],
        ["pager: A is down"],
        ["pager: over: A is down"],
    ]
    watchdog = reported("firing", "AuroraWatchdog")
    assert [messages.lines(watchdog), messages.lines(watchdog)] == [["pager: AuroraWatchdog is down"], []]


def test_a_long_message_is_shortened() -> None:
    """A site that is back ends an alert for each of its nodes."""
    over = tuple(SentAlert("resolved", {"alertname": "A", "node": each}, {"summary": each}) for each in "abcde")
    assert Messages().lines(Notification("chat", over)) == ["chat: over: a; b; c; and 2 more"]
