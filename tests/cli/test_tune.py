from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_monitor.cli import config_log
from stream_monitor.config.topic_names import TopicNames
from stream_monitor.streaming.embedded import EmbeddedBroker
from tests.apache_kafka.cluster import KafkaCluster
from tests.cli.broker_kit import alert, answering, make_topics, produce, run


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
    return make_topics(broker.bootstrap, topic_prefix)


def test_a_change_is_written_acknowledged_and_told(broker: EmbeddedBroker, names: TopicNames) -> None:
    produce(broker.bootstrap, names.config, ("orders", b'{"max_alerts": "1/day"}'), ("*", b"{}"), ("other", b"{}"))
    with answering(broker.bootstrap, names) as heard:
        options = ["--max-alerts", "2/day", "--aspect", "completeness=3", "--field", "email.completeness=5"]
        result = run(broker.bootstrap, names.prefix, "tune", "orders", *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "orders: max_alerts: 1/day -> 2/day",
        "orders: aspects.completeness: default -> 3",
        "orders: fields.email.completeness: default -> 5",
    ]
    assert "next window" in result.stderr
    assert heard[-1]["value"] == {"max_alerts": "2/day", "aspects": {"completeness": 3.0}, "fields": {"email": {"completeness": 5.0}}}


def test_the_topics_are_made_when_they_are_missing(broker: EmbeddedBroker, topic_prefix: str) -> None:
    result = run(broker.bootstrap, topic_prefix, "tune", "orders", "--max-alerts", "2/day", "--wait", "0", "--set", "replication_factor=1")
    assert result.exit_code == 0, result.output
    shown = run(broker.bootstrap, topic_prefix, "tune", "orders", "--show")
    assert json.loads(shown.stdout)["document"] == {"max_alerts": "2/day"}


def test_without_an_acknowledgement_it_fails_and_says_why(broker: EmbeddedBroker, names: TopicNames) -> None:
    result = run(broker.bootstrap, names.prefix, "tune", "orders", "--max-alerts", "2/day", "--wait", "0.3")
    assert result.exit_code == 1
    assert "no detector answered in 0.3 s" in str(result.exception)


def test_an_invalid_change_is_refused_before_it_is_written(broker: EmbeddedBroker, names: TopicNames) -> None:
    result = run(broker.bootstrap, names.prefix, "tune", "orders", "--aspect", "completness=3")
    assert result.exit_code == 1
    assert "did you mean 'completeness'" in str(result.exception)
    assert json.loads(run(broker.bootstrap, names.prefix, "tune", "orders", "--show").stdout)["document"] is None


def conflict(bootstrap: str, names: TopicNames, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """tune, while another client writes between its reading and its writing."""
    produce(bootstrap, names.config, ("orders", b'{"max_alerts": "1/day"}'))
    write = config_log.write
    between = [("other", b'{"max_alerts": "7/day"}'), ("orders", b'{"max_alerts": "9/day"}')]

    def write_late(*arguments: Any, **values: Any) -> int:
        while between:
            produce(bootstrap, names.config, between.pop(0))
        return write(*arguments, **values)

    monkeypatch.setattr(config_log, "write", write_late)
    result = run(bootstrap, names.prefix, "tune", "orders", "--max-alerts", "2/day", "--wait", "0")
    return result, json.loads(run(bootstrap, names.prefix, "tune", "orders", "--show").stdout)


def test_it_fails_when_the_document_changed_in_between(broker: EmbeddedBroker, names: TopicNames, monkeypatch: pytest.MonkeyPatch) -> None:
    result, shown = conflict(broker.bootstrap, names, monkeypatch)
    assert result.exit_code == 1
    assert "changed in between" in str(result.exception)
    assert shown["document"] == {"max_alerts": "9/day"}


def test_a_change_to_another_topic_in_between_does_no_harm(
    broker: EmbeddedBroker, names: TopicNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = config_log.write

    def write_late(*arguments: Any, **values: Any) -> int:
        produce(broker.bootstrap, names.config, ("other", b"{}"))
        return write(*arguments, **values)

    monkeypatch.setattr(config_log, "write", write_late)
    assert run(broker.bootstrap, names.prefix, "tune", "orders", "--max-alerts", "2/day", "--wait", "0").exit_code == 0


def test_a_document_in_a_file_replaces_the_current_one(broker: EmbeddedBroker, names: TopicNames, tmp_path: Path) -> None:
    produce(broker.bootstrap, names.config, ("orders", b'{"max_alerts": "1/day"}'))
    (tmp_path / "s.json").write_text('{"adaptation": "frozen"}')
    result = run(broker.bootstrap, names.prefix, "tune", "orders", "--file", "s.json", "--aspect", "volume=0", "--wait", "0")
    assert result.exit_code == 0, result.output
    shown = json.loads(run(broker.bootstrap, names.prefix, "tune", "orders", "--show").stdout)
    assert shown["document"] == {"adaptation": "frozen", "aspects": {"volume": 0.0}}
    assert shown["in_force"]["max_alerts"] == "1/day"
    missing = run(broker.bootstrap, names.prefix, "tune", "orders", "--file", "none.json")
    assert "none.json: can't be read" in str(missing.exception)


def test_default_takes_the_document_away(broker: EmbeddedBroker, names: TopicNames) -> None:
    produce(broker.bootstrap, names.config, ("orders", b'{"max_alerts": "9/day"}'), ("*", b'{"max_alerts": "3/day"}'))
    with answering(broker.bootstrap, names) as heard:
        result = run(broker.bootstrap, names.prefix, "tune", "orders", "--default")
    assert result.exit_code == 0, result.output
    assert heard[-1]["value"] is None
    shown = json.loads(run(broker.bootstrap, names.prefix, "tune", "orders", "--show").stdout)
    assert (shown["document"], shown["in_force"]["max_alerts"]) == (None, "3/day")


def test_a_rejected_document_in_the_topic_leaves_the_one_before_in_force(broker: EmbeddedBroker, names: TopicNames) -> None:
    produce(broker.bootstrap, names.config, ("orders", b'{"max_alerts": "9/day"}'), ("orders", b'{"max_alrts": "1/day"}'))
    assert json.loads(run(broker.bootstrap, names.prefix, "tune", "orders", "--show").stdout)["in_force"]["max_alerts"] == "9/day"


def test_current_is_resolved_to_the_open_incident(broker: EmbeddedBroker, names: TopicNames) -> None:
    events = [
        alert("i-1"),
        alert("i-1", status="resolved"),
        alert("i-2", topic="other"),
        alert("i-3"),
        alert("i-3", status="updated"),
        b"noise",
    ]
    produce(broker.bootstrap, names.alerts, *[("orders", event) for event in events])
    with answering(broker.bootstrap, names) as heard:
        result = run(broker.bootstrap, names.prefix, "tune", "orders", "--accept", "current")
    assert result.exit_code == 0, result.output
    command = heard[-1]["value"]
    assert (command["do"], command["incident"]) == ("accept", "i-3")
    assert command["id"]
    assert "@" in command["who"]


def test_no_open_incident_and_several_are_errors(broker: EmbeddedBroker, names: TopicNames) -> None:
    assert "no open incident" in str(run(broker.bootstrap, names.prefix, "tune", "orders", "--reject", "current").exception)
    produce(broker.bootstrap, names.alerts, ("orders", alert("i-1")), ("orders", alert("i-2")))
    assert "name one: i-1, i-2" in str(run(broker.bootstrap, names.prefix, "tune", "orders", "--reject", "current").exception)


def test_a_rejected_command_is_a_failure(broker: EmbeddedBroker, names: TopicNames) -> None:
    with answering(broker.bootstrap, names):
        result = run(broker.bootstrap, names.prefix, "tune", "orders", "--accept", "unknown-incident")
        assert result.exit_code == 1
        assert "no such incident" in str(result.exception)
        assert run(broker.bootstrap, names.prefix, "tune", "orders", "--reset").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [["orders"], ["orders", "--accept", "a", "--reject", "b"], ["*", "--reset"], ["orders", "--default", "--max-alerts", "1/day"], []],
)
def test_what_makes_no_sense_is_a_usage_error(arguments: list[str]) -> None:
    assert run("127.0.0.1:9", "p", "tune", *arguments).exit_code == 2


def test_on_apache_kafka_a_change_is_acknowledged_and_a_conflict_is_seen(
    kafka: KafkaCluster, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = make_topics(kafka.bootstrap, topic_prefix)
    with answering(kafka.bootstrap, names) as heard:
        result = run(kafka.bootstrap, topic_prefix, "tune", "*", "--fleet-max-alerts", "5/day")
        assert result.exit_code == 0, result.output
        assert heard[-1]["value"] == {"fleet_max_alerts": "5/day"}
    result, shown = conflict(kafka.bootstrap, names, monkeypatch)
    assert "changed in between" in str(result.exception)
    assert shown["document"] == {"max_alerts": "9/day"}
