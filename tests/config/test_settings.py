from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stream_monitor.config.cluster import Cluster
from stream_monitor.config.durations import parse_duration
from stream_monitor.config.loading import load_settings
from stream_monitor.config.settings import Settings
from stream_monitor.config.topic_names import TopicNames
from stream_monitor.errors import SettingsError

SECURE: dict[str, Any] = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_username": "ana",
    "sasl_password": "hunter2",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith("STREAM_MONITOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load_settings()
    assert (settings.window_ms, settings.allowed_lateness_ms, settings.flush_seconds) == (60_000, 10_000, 5.0)
    assert (settings.max_fields, settings.max_depth, settings.max_record_bytes) == (1000, 32, 8 * 2**20)
    assert (settings.prefix, settings.profiler_group, settings.detector_app) == (
        "stream-monitor",
        "stream-monitor.profilers",
        "stream-monitor.detector",
    )
    assert (settings.samples, settings.alerts_partitions) == ("positions", 1)
    assert settings.source_cluster is settings


def test_flags_win_over_the_environment_over_the_file_over_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stream-monitor.toml").write_text(
        'prefix = "file"\nwindow_seconds = 1\nflush_seconds = 1\n[source]\nbootstrap_servers = "s:1"\n'
    )
    monkeypatch.setenv("STREAM_MONITOR_WINDOW_SECONDS", "2")
    monkeypatch.setenv("STREAM_MONITOR_FLUSH_SECONDS", "2")
    monkeypatch.setenv("STREAM_MONITOR_SOURCE__SECURITY_PROTOCOL", "SSL")
    settings = load_settings({"flush_seconds": 3, "prefix": None})
    assert (settings.prefix, settings.window_seconds, settings.flush_seconds) == ("file", 2.0, 3.0)
    assert settings.profiler_group == "file.profilers"
    assert settings.source is not None
    assert (settings.source.bootstrap_servers, settings.source.security_protocol) == ("s:1", "SSL")
    assert settings.source_cluster is settings.source


def test_settings_made_in_code_read_neither_file_nor_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stream-monitor.toml").write_text("window_seconds = 1\n")
    monkeypatch.setenv("STREAM_MONITOR_FLUSH_SECONDS", "2")
    assert (Settings().window_seconds, Settings().flush_seconds) == (60.0, 5.0)


def test_a_file_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('prefix = "a"\n')
    (tmp_path / "b.toml").write_text('prefix = "b"\n')
    monkeypatch.setenv("STREAM_MONITOR_CONFIG", "a.toml")
    assert load_settings().prefix == "a"
    assert load_settings(file=Path("b.toml")).prefix == "b"
    with pytest.raises(SettingsError, match=r"c\.toml: can't be read.*--config"):
        load_settings(file=Path("c.toml"))


def test_topics_are_names_or_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_MONITOR_TOPICS", "orders, ^pay.*,^stream-monitor.*,orders")
    settings = load_settings()
    assert settings.topics == ("orders", "^pay.*", "^stream-monitor.*")
    assert settings.monitors("orders")
    assert settings.monitors("payments")
    assert not settings.monitors("orders2")
    assert not settings.monitors("stream-monitor.alerts")


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ({"window_secnds": 1}, ["window_secnds", "did you mean 'window_seconds'?"]),
        ({"source": {"bootstrap_server": "x:1"}}, ["source.bootstrap_server", "did you mean 'bootstrap_servers'?"]),
        ({"window_seconds": "soon"}, ["window_seconds", "number", "got 'soon'"]),
        ({"window_seconds": 0}, ["window_seconds", "greater than 0", "got 0"]),
        ({"window_seconds": float("inf")}, ["window_seconds", "finite"]),
        ({"prefix": "a b"}, ["prefix", "got 'a b'"]),
        ({"topics": ["a b"]}, ["topics", "got 'a b'"]),
        ({"topics": ["^("]}, ["topics", "regular expression"]),
        ({"bootstrap_servers": "localhost"}, ["bootstrap_servers", "host:port"]),
        ({"bootstrap_servers": " , "}, ["bootstrap_servers", "host:port"]),
        ({"security_protocol": "TLS"}, ["security_protocol", "SASL_SSL", "got 'TLS'"]),
        ({"security_protocol": "SASL_SSL"}, ["needs sasl_username and sasl_password"]),
        ({"sasl_username": "ana"}, ["need security_protocol SASL_SSL"]),
        ({"ssl_ca_location": "ca.pem"}, ["need security_protocol SSL"]),
        ({"kafka": {"group.id": "mine"}}, ["kafka", "group.id is managed"]),
        ({"kafka": {"sasl.password": "hunter2"}}, ["kafka", "use sasl_password"]),
        ({"samples": "all"}, ["samples", "positions"]),
        ({"replication_factor": 0}, ["replication_factor", "-1"]),
        ({"log_level": "loud"}, ["log_level", "'DEBUG'"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected_and_what_came(flags: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(flags)
    for part in parts:
        assert part in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_variable_is_an_error_that_suggests_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_MONITOR_WINDOW_SECNDS", "2")
    with pytest.raises(SettingsError, match=r"STREAM_MONITOR_WINDOW_SECNDS.*'STREAM_MONITOR_WINDOW_SECONDS'"):
        load_settings()
    monkeypatch.delenv("STREAM_MONITOR_WINDOW_SECNDS")
    monkeypatch.setenv("STREAM_MONITOR_SOURCE__SASL_USER", "x")
    with pytest.raises(SettingsError, match="'STREAM_MONITOR_SOURCE__SASL_USERNAME'"):
        load_settings()


def test_the_variables_that_kubernetes_makes_for_a_service_are_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT_80_TCP_ADDR", "DASHBOARD_PORT_80_TCP"):
        monkeypatch.setenv(f"STREAM_MONITOR_{name}", "tcp://10.0.0.1:80")
    assert load_settings() == Settings()


def test_a_variable_that_is_not_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_MONITOR_KAFKA", "{")
    with pytest.raises(SettingsError, match="STREAM_MONITOR_KAFKA"):
        load_settings()


def test_an_unknown_or_broken_entry_of_the_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "stream-monitor.toml"
    file.write_text("[source]\nsasl_usernam = 1\n")
    with pytest.raises(SettingsError, match=r"stream-monitor\.toml: unknown key source\.sasl_usernam: did you mean 'sasl_username'"):
        load_settings()
    file.write_text("prefix = ")
    with pytest.raises(SettingsError, match=r"stream-monitor\.toml: expected TOML"):
        load_settings()


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_MONITOR_SASL_PASSWORD", "hunter2")
    settings = load_settings(
        {**SECURE, "sasl_password": None, "source": SECURE, "kafka": {"sasl.oauthbearer.client.secret": "hunter2", "client.rack": "eu"}}
    )
    printed = settings.print_config()
    assert "hunter2" not in printed + repr(settings) + str(settings)
    shown = json.loads(printed)
    assert shown["sasl_password"] == shown["source"]["sasl_password"] == "**********"
    assert shown["kafka"] == {"sasl.oauthbearer.client.secret": "**********", "client.rack": "eu"}
    assert settings.confluent()["sasl.password"] == "hunter2"


def test_an_error_about_a_secret_does_not_tell_it() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({**SECURE, "sasl_password": ["hunter2"]})
    assert "hunter2" not in str(refused.value)
    with pytest.raises(SettingsError) as refused:
        load_settings({"source": {"sasl_password": "hunter2", "ssl_check_hostname": "what", "kafka": 1}})
    assert "hunter2" not in str(refused.value)


def test_both_clients_get_the_same_security() -> None:
    cluster = Cluster(bootstrap_servers="a:1,b:2", kafka={"client.rack": "eu"}, **SECURE)
    assert cluster.confluent() == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "ana",
        "sasl.password": "hunter2",
        "client.rack": "eu",
    }
    arguments = cluster.aiokafka()
    context = arguments.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert arguments == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ana",
        "sasl_plain_password": "hunter2",
    }
    assert cluster.faust_broker() == ["aiokafka://a:1", "aiokafka://b:2"]


def test_faust_gets_the_same_security() -> None:
    credentials: Any = Cluster(**SECURE).faust_broker_credentials()
    assert (credentials.username, credentials.password, credentials.mechanism.value) == ("ana", "hunter2", "SCRAM-SHA-512")
    assert isinstance(credentials.ssl_context, ssl.SSLContext)
    assert isinstance(Cluster(security_protocol="SSL").faust_broker_credentials(), ssl.SSLContext)
    assert Cluster().faust_broker_credentials() is None


def test_host_names_can_go_unchecked_for_both_clients() -> None:
    cluster = Cluster(security_protocol="SSL", ssl_check_hostname=False)
    assert cluster.confluent()["ssl.endpoint.identification.algorithm"] == "none"
    assert not cluster.aiokafka()["ssl_context"].check_hostname


def test_librdkafka_takes_what_it_is_given() -> None:
    from confluent_kafka.admin import AdminClient

    AdminClient(Cluster(kafka={"socket.keepalive.enable": True}, **SECURE).confluent())


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().prefix = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("2h", 7200), ("1d", 86_400), ("1w", 604_800), ("500ms", 0.5), ("1.5 m", 90), ("7", 7)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "-1s", "1y", "s", "1s2s", "nan", "9" * 400])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--window: expected a duration"):
        parse_duration(text, name="--window")


def test_our_topics_are_those_of_the_contract() -> None:
    names = TopicNames("p")
    assert list(names) == ["p.config", "p.commands", "p.alerts", "p.verdicts", "p.profiles", "p.references", "p.status", "p.dead-letters"]
    assert names.owns("p.detector-state-changelog")
    assert not names.owns("payments")
    with pytest.raises(SettingsError, match="prefix"):
        TopicNames("a/b")
