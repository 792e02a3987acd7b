from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from stream_monitor import cli
from stream_monitor.cli import COMMANDS, app, main
from stream_monitor.cli.options import parse_assignments, with_settings
from stream_monitor.config.settings import Settings
from stream_monitor.errors import BrokerError

seen: list[Any] = []


def demonstrate(settings: Settings, *, threads: Annotated[int, typer.Option(help="How many.")] = 1) -> None:
    """Keeps what it was given."""
    seen.append((settings, threads))


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("STREAM_MONITOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stream_monitor.cli.options.configure_logging", lambda *_: None)
    seen.clear()


def call(*arguments: str) -> Any:
    command = typer.Typer(add_completion=False)
    command.command()(with_settings("topics", "window", "state")(demonstrate))
    return CliRunner().invoke(command, list(arguments))


def test_shared_options_become_settings(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("flush_seconds = 2\n")
    arguments = ["-b", "a:1", "-t", "orders", "--topic", "^pay", "--window", "1d", "--config", "mine.toml", "--threads", "3"]
    result = call(*arguments, "--set", "max_depth=8", "--set", "source.bootstrap_servers=b:2", "--set", "kafka.client.rack=eu")
    assert result.exit_code == 0, result.output
    ((settings, threads),) = seen
    assert (settings.bootstrap_servers, settings.topics, settings.window_seconds, threads) == ("a:1", ("orders", "^pay"), 86_400.0, 3)
    assert (settings.flush_seconds, settings.max_depth, settings.source.bootstrap_servers) == (2.0, 8, "b:2")
    assert settings.kafka == {"client.rack": "eu"}


def test_print_config_shows_the_settings_and_stops() -> None:
    result = call(
        "--print-config",
        "--prefix",
        "mine",
        "--set",
        "sasl_password=hunter2",
        "--set",
        "sasl_username=ana",
        "--set",
        "security_protocol=SASL_SSL",
    )
    assert result.exit_code == 0
    assert not seen
    assert json.loads(result.stdout)["prefix"] == "mine"
    assert "hunter2" not in result.output


@pytest.mark.parametrize("arguments", [["--window", "soon"], ["--set", "max_depth"], ["--threads", "x"], ["--nonsense"]])
def test_options_that_can_not_be_read_are_usage_errors(arguments: list[str]) -> None:
    assert call(*arguments).exit_code == 2


def test_every_command_has_one_line_of_help_and_the_help_loads_none_of_them() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert name in result.output


def test_watching_loads_neither_faust_nor_numba() -> None:
    code = (
        "import sys; from stream_monitor.cli import app, load_command; load_command('watch'); load_command('tune'); "
        "print([m for m in ('faust', 'numba', 'scipy', 'river') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"


def test_an_unknown_command_is_a_usage_error_that_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["dotor"])
    assert stopped.value.code == 2
    assert "doctor" in capsys.readouterr().err


def test_what_is_wrong_is_one_line_on_standard_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(**_: Any) -> None:
        raise BrokerError("a:1 refused; check bootstrap_servers")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "stream-monitor: a:1 refused; check bootstrap_servers\n")


def test_an_unknown_setting_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["watch", "--set", "prefx=a"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "stream-monitor: flag: unknown key prefx: did you mean 'prefix'?\n"


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.strip()


def test_assignments_nest_where_settings_do() -> None:
    texts = ["topics=a,b", "source.kafka.client.rack=eu", "source.sasl_username=7x", "ssl_check_hostname=false"]
    assert parse_assignments(texts) == {
        "topics": "a,b",
        "source": {"kafka": {"client.rack": "eu"}, "sasl_username": "7x"},
        "ssl_check_hostname": False,
    }
