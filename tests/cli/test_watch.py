from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_monitor.config.topic_names import TopicNames
from stream_monitor.streaming.embedded import EmbeddedBroker
from tests.cli.broker_kit import alert, make_topics, produce, run


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stream_monitor.cli.options.configure_logging", lambda *_: None)
    for name in list(os.environ):
        if name.startswith("STREAM_MONITOR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def names(broker: EmbeddedBroker, topic_prefix: str) -> TopicNames:
    names = make_topics(broker.bootstrap, topic_prefix)
    long = alert("i-3", explanation="word " * 60)
    produce(
        broker.bootstrap, names.alerts, ("orders", alert("i-1")), ("orders", b"noise"), ("pay", alert("i-2", topic="pay")), ("orders", long)
    )
    return names


def test_alerts_are_lines_of_at_most_80_columns(broker: EmbeddedBroker, names: TopicNames) -> None:
    result = run(broker.bootstrap, names.prefix, "watch", "--from-beginning", "--limit", "3")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:3] == ["2026-11-22 14:05  WARNING   orders: opened - volume", "  few", "  incident i-1"]
    assert max(map(len, lines)) <= 80
    assert "skipped" in result.stderr


def test_json_is_one_event_a_line(broker: EmbeddedBroker, names: TopicNames) -> None:
    result = run(broker.bootstrap, names.prefix, "watch", "--from-beginning", "--limit", "3", "--json")
    assert [json.loads(line)["data"]["incident"] for line in result.stdout.splitlines()] == ["i-1", "i-2", "i-3"]


def test_topics_can_be_chosen(broker: EmbeddedBroker, names: TopicNames) -> None:
    result = run(broker.bootstrap, names.prefix, "watch", "--from-beginning", "--limit", "1", "--topic", "pay", "--json")
    assert json.loads(result.stdout)["data"]["incident"] == "i-2"


def test_a_missing_topic_says_what_to_start(broker: EmbeddedBroker, topic_prefix: str) -> None:
    result = run(broker.bootstrap, topic_prefix, "watch")
    assert result.exit_code == 1
    assert f"{topic_prefix}.alerts does not exist" in str(result.exception)


def test_new_alerts_are_shown_as_they_come_and_sigterm_ends_it_well(broker: EmbeddedBroker, names: TopicNames) -> None:
    command = [sys.executable, "-m", "stream_monitor", "watch", "-b", broker.bootstrap, "--prefix", names.prefix, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "watching" in process.stderr.readline()
        for number in range(50):  # the end is looked up after "watching" is said
            produce(broker.bootstrap, names.alerts, ("orders", alert(f"new-{number}")))
            if number == 49 or _readable(process):
                break
        assert json.loads(process.stdout.readline())["data"]["incident"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def _readable(process: subprocess.Popen[str]) -> bool:
    import select

    return bool(select.select([process.stdout], [], [], 0.2)[0])
