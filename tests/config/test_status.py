from __future__ import annotations

import pytest

from stream_monitor.config.status import StatusEvent, StatusKind, iso_utc
from stream_monitor.errors import FormatError


def test_an_event_survives_the_wire() -> None:
    event = StatusEvent.at_ms(
        StatusKind.CONFIG_REJECTED, 1_500, topic="orders", offset=0, message="no", source="detector@a", details={"key": "x"}
    )
    assert StatusEvent.decode(event.encode()) == event
    assert event.encode().startswith(b'{"event":"config.rejected","at":"1970-01-01T00:00:01.500Z","topic":"orders"')


def test_what_newer_versions_add_is_let_pass() -> None:
    event = StatusEvent.decode(b'{"event": "brand.new", "at": "2026-01-01T00:00:00Z", "more": [1]}')
    assert event.event == "brand.new"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"event": 1, "at": ""}'])
def test_anything_else_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        StatusEvent.decode(data)


def test_times_are_iso_8601_in_utc() -> None:
    assert iso_utc(1_795_000_000_123) == "2026-11-18T11:06:40.123Z"
