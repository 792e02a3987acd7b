from __future__ import annotations

import re
import threading
import time

import pytest

from stream_monitor.config.settings import Settings
from stream_monitor.errors import BrokerError, SettingsError
from stream_monitor.streaming.profiler_process import own_topics_pattern, run_profiler


@pytest.mark.parametrize("topics", [(), ("orders", "p.profiles")])
def test_no_topics_or_our_own_are_a_settings_error(topics: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="topics: expected"):
        run_profiler(Settings(topics=topics, prefix="p"), threading.Event())


def test_a_broker_that_is_not_there_is_a_broker_error_in_bounded_time() -> None:
    start = time.monotonic()
    with pytest.raises(BrokerError, match="bootstrap_servers"):
        run_profiler(Settings(topics=("orders",), bootstrap_servers="127.0.0.1:1"), threading.Event())
    assert time.monotonic() - start < 20


def test_expressions_never_match_our_topics_and_kafkas() -> None:
    patterns = own_topics_pattern("stream-monitor.eu").split(",")
    for topic in ("stream-monitor.eu.profiles", "stream-monitor.eu.detector-state-changelog", "__consumer_offsets"):
        assert any(re.match(pattern, topic) for pattern in patterns)
    for topic in ("stream-monitor-eu.orders", "orders", "stream-monitor.europe"):
        assert not any(re.match(pattern, topic) for pattern in patterns)
