"""Tracebacks in the log show no local variables: they hold records."""

import io

import pytest

from stream_monitor.events import configure_logging, get_logger


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_a_traceback_shows_no_values(log_format):
    target = io.StringIO()
    configure_logging("INFO", log_format, stream=target)
    record = b"jane.doe" + b"@example.org"
    try:
        raise ValueError(f"{len(record)} bytes")
    except ValueError:
        get_logger("stream_monitor.test").exception("record.failed")
    assert "18 bytes" not in target.getvalue()
    assert "20 bytes" in target.getvalue()
    assert "jane.doe" not in target.getvalue()
