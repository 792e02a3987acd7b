from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from stream_monitor.events import HIDDEN, configure_logging, get_logger, hide_secrets


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def leave_logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("stream_monitor").setLevel(logging.NOTSET)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_a_line_is_one_json_object_with_its_context() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    with structlog.contextvars.bound_contextvars(topic="orders"):
        get_logger("stream_monitor.streaming").info("profiler.flushed", deltas=4)
    (line,) = lines(stream)
    assert (line["event"], line["topic"], line["deltas"], line["level"]) == ("profiler.flushed", "orders", 4, "info")
    assert str(line["at"]).endswith("Z")


def test_the_clients_lines_have_the_same_shape_and_speak_from_warning_on() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    logging.getLogger("aiokafka.consumer").info("joined")
    logging.getLogger("aiokafka.consumer").warning("lost %s", "broker-1")
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["level"]) == ("lost broker-1", "aiokafka.consumer", "warning")


def test_on_a_terminal_lines_are_for_people() -> None:
    stream = Terminal()
    configure_logging("INFO", stream=stream)
    get_logger("stream_monitor.x").info("started")
    assert "started" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())


def test_the_level_is_kept() -> None:
    stream = io.StringIO()
    configure_logging("ERROR", stream=stream)
    get_logger("stream_monitor.x").warning("no")
    get_logger("stream_monitor.x").error("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_secrets_are_never_logged() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    properties = {"sasl.password": "hunter2", "nested": [{"ssl.key.pem": "hunter2"}]}
    get_logger("stream_monitor.x").info("connecting", sasl_password="hunter2", properties=properties, value=SecretStr("hunter2"))
    assert "hunter2" not in stream.getvalue()
    assert HIDDEN in stream.getvalue()


def test_errors_keep_their_traceback() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    try:
        int("what came")
    except ValueError:
        get_logger("stream_monitor.x").exception("failed")
    (line,) = lines(stream)
    assert "what came" in json.dumps(line["exception"])


def test_hiding_leaves_what_is_no_secret() -> None:
    assert hide_secrets({"topic": "a", "password": None, "items": ("b",)}) == {"topic": "a", "password": None, "items": ["b"]}
