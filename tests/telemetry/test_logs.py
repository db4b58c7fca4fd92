from __future__ import annotations

import asyncio
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.telemetry.logs import JsonFormatter, LogfmtFormatter, flush, log_context, setup

FORMATTERS = {"logfmt": LogfmtFormatter(), "json": JsonFormatter()}
LOGFMT = re.compile(r'([^\s=]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')
UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")
TRICKY = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))}
"""Controls, line separators and bidi tricks: never in a line as they are."""
ANY_TEXT = st.text(st.characters())


def parsed(line):
    """What a reader of logfmt makes of a line; every character of it must belong to a pair."""
    pairs = LOGFMT.findall(line)
    assert "".join(match.group() for match in LOGFMT.finditer(line)) == line
    fields = {key: json.loads(value) if value.startswith('"') else value for key, value in pairs}
    assert len(fields) == len(pairs)
    return fields


def record(msg, *args, name="exporter.test", exc_info=None, **extra):
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, msg, args, exc_info)
    made.created = 1_759_752_005.0625
    vars(made).update(extra)
    return made


@pytest.fixture
def _logging_as_before():
    loggers = [logging.getLogger(name) for name in (None, *UVICORN)]
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_a_logfmt_line_has_time_level_logger_message_and_fields():
    line = FORMATTERS["logfmt"].format(
        record("node %s is missing", "a b", seconds=1.5, held=True, until=None, port=9999)
    )

    assert line == (
        'ts=2025-10-06T12:00:05.062Z level=warning logger=exporter.test msg="node a b is missing" '
        "seconds=1.5 held=true until=null port=9999"
    )


def test_a_json_line_has_the_same_as_an_object():
    line = FORMATTERS["json"].format(record("hello", seconds=1.5, held=True, until=None, port=9999, where=["a"]))

    assert json.loads(line) == {
        "ts": "2025-10-06T12:00:05.062Z",
        "level": "warning",
        "logger": "exporter.test",
        "msg": "hello",
        "seconds": 1.5,
        "held": True,
        "until": None,
        "port": 9999,
        "where": "['a']",
    }


def test_a_field_cannot_take_the_place_of_ours():
    fields = parsed(FORMATTERS["logfmt"].format(record("m", ts="never", level="none", logger="x")))

    assert fields["level"] == "warning"
    assert fields["level_"] == "none"


def failure():
    raise ValueError("first\nsecond")


def test_an_exception_stays_on_its_line():
    with pytest.raises(ValueError, match="first") as caught:
        failure()
    made = record("failed", exc_info=(caught.type, caught.value, caught.tb))

    for name, read in (("logfmt", parsed), ("json", json.loads)):
        line = FORMATTERS[name].format(made)
        assert len(line.splitlines()) == 1
        trace = read(line)["traceback"]
        assert trace.startswith("Traceback (most recent call last):\n")
        assert trace.endswith("ValueError: first\nsecond")


@given(message=ANY_TEXT, value=ANY_TEXT, key=ANY_TEXT, name=ANY_TEXT)
def test_no_text_can_forge_a_second_line(message, value, key, name):
    """Whatever stands in a record, its line is one, can be encoded, shows no bidi trick, and reads back whole."""
    made = record("%s", message, name=name, **{f"x_{key}": value, "field": value})

    for format_name, read in (("logfmt", parsed), ("json", json.loads)):
        line = FORMATTERS[format_name].format(made)
        assert len(line.splitlines()) == 1
        assert TRICKY.isdisjoint(line)
        assert line.encode().decode() == line
        fields = read(line)
        assert (fields["msg"], fields["field"], fields["logger"]) == (message, value, name)


def test_the_context_adds_its_fields_and_takes_them_back():
    with log_context(request_id="r1", node="vengeance"):
        with log_context(trace_id="t1", node="aurora"):
            inner = parsed(FORMATTERS["logfmt"].format(record("m")))
        outer = parsed(FORMATTERS["logfmt"].format(record("m")))
    after = parsed(FORMATTERS["logfmt"].format(record("m")))

    assert [inner["request_id"], inner["trace_id"], inner["node"]] == ["r1", "t1", "aurora"]
    assert outer.items() - after.items() == {("request_id", "r1"), ("node", "vengeance")}


def test_the_context_of_one_task_is_not_that_of_another():
    async def line_of(request_id):
        with log_context(request_id=request_id):
            await asyncio.sleep(0)
            return parsed(FORMATTERS["logfmt"].format(record("m")))["request_id"]

    async def both():
        return await asyncio.gather(line_of("r1"), line_of("r2"))

    assert asyncio.run(both()) == ["r1", "r2"]


@pytest.mark.usefixtures("_logging_as_before")
@pytest.mark.parametrize("name", ["exporter.stores", *UVICORN])
def test_every_logger_goes_the_same_way_once(name, capsys):
    """Uvicorn's too, and setting up again does not double a line."""
    logging.getLogger("uvicorn").handlers = [logging.StreamHandler()]
    logging.getLogger("uvicorn").propagate = False

    setup("info", "json")
    setup("info", "logfmt")
    logging.getLogger(name).warning("hello")
    logging.getLogger(name).debug("too much")
    flush()

    [line] = capsys.readouterr().err.splitlines()
    fields = parsed(line)
    assert (fields["logger"], fields["level"], fields["msg"]) == (name, "warning", "hello")


@pytest.mark.usefixtures("_logging_as_before")
@pytest.mark.parametrize(("level", "received"), [("debug", 1), ("info", 0)])
def test_uvicorns_small_talk_is_left_out(level, received, capsys):
    """Its starting and stopping is our own to log; the debug level has it all."""
    setup(level, "json")
    logging.getLogger("uvicorn.error").info("Started server process")

    flush()
    assert len(capsys.readouterr().err.splitlines()) == received


@pytest.mark.usefixtures("_logging_as_before")
@pytest.mark.parametrize(("level", "received"), [("debug", 4), ("info", 3), ("warn", 2), ("warning", 2), ("error", 1)])
def test_a_level_lets_through_itself_and_all_above(level, received, capsys):
    setup(level, "json")
    for log in (logging.debug, logging.info, logging.warning, logging.error):
        log("hello")

    flush()
    assert len(capsys.readouterr().err.splitlines()) == received
