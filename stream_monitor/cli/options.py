"""Options that several commands share, and how they become Settings.

    @with_settings("topics", "window")
    def profile(settings: Settings, threads: Annotated[int, typer.Option(help="…")] = 1) -> None: ...

gives `profile` the options `--bootstrap-servers`, `--prefix`, `--config`, `--set`, `--print-config`, `--log-level`, `--log-format`
and those of the named groups; their values, the environment and the file arrive as the one `settings` argument. Logging is
configured on the way.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
import typer

from stream_monitor.config.durations import parse_duration
from stream_monitor.config.loading import load_settings
from stream_monitor.config.settings import Settings
from stream_monitor.errors import SettingsError
from stream_monitor.events import configure_logging

_PANEL = "Settings (also STREAM_MONITOR_* variables and stream-monitor.toml)"


def _option(annotation: Any, *names: str, text: str, metavar: str | None = None) -> Any:
    return Annotated[annotation, typer.Option(*names, help=text, metavar=metavar, rich_help_panel=_PANEL, show_default=False)]


# group -> parameter -> annotation; a parameter is named as its setting, but those in _DURATIONS, which take 60s, 5m, 1d
_GROUPS: dict[str, dict[str, Any]] = {
    "cluster": {
        "bootstrap_servers": _option(str | None, "--bootstrap-servers", "-b", text="Brokers, host:port.", metavar="B"),
        "prefix": _option(str | None, "--prefix", text="Of the names of our topics: stream-monitor.", metavar="P"),
    },
    "topics": {"topics": _option(list[str] | None, "--topic", "-t", text="Topic to monitor, or ^expression; repeat.", metavar="T")},
    "window": {
        "window": _option(str | None, "--window", text="Length of a pane: 60s.", metavar="DURATION"),
        "allowed_lateness": _option(str | None, "--allowed-lateness", text="Wait for late records: 10s.", metavar="DURATION"),
        "flush": _option(str | None, "--flush", text="Send what is profiled every: 5s.", metavar="DURATION"),
        "timestamp_field": _option(str | None, "--timestamp-field", text="Path of the event time.", metavar="F"),
    },
    "state": {"state_directory": _option(Path | None, "--state-directory", text="Local state of the detector.", metavar="DIR")},
    "common": {
        "log_level": _option(str | None, "--log-level", text="DEBUG, INFO, WARNING or ERROR.", metavar="LEVEL"),
        "log_format": _option(str | None, "--log-format", text="auto, json or pretty.", metavar="FORMAT"),
        "set_values": _option(list[str] | None, "--set", text="Any other setting, KEY=VALUE; repeat.", metavar="KEY=VALUE"),
        "config": _option(Path | None, "--config", text="Settings file: stream-monitor.toml.", metavar="FILE"),
        "print_config": _option(bool, "--print-config", text="Show the settings in force, secrets hidden, and stop."),
    },
}
_DURATIONS = {"window": "window_seconds", "allowed_lateness": "allowed_lateness_seconds", "flush": "flush_seconds"}


def with_settings(*groups: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command whose first parameter is `settings`; `groups` are of "topics", "window", "state" (see _GROUPS)."""
    options = {name: kind for group in ("cluster", *groups, "common") for name, kind in _GROUPS[group].items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = [parameter.replace(annotation=hints[parameter.name]) for parameter in inspect.signature(command).parameters.values()][1:]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            settings = settings_from({name: values.pop(name) for name in options})
            configure_logging(settings.log_level, settings.log_format)
            command(settings, **values)

        shared = [_parameter(name, kind) for name, kind in options.items()]
        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        run.__signature__ = inspect.Signature([*parameters, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*parameters, *shared)}
        return run

    return decorate


def _parameter(name: str, kind: Any) -> inspect.Parameter:
    default = False if name == "print_config" else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def settings_from(options: dict[str, Any]) -> Settings:
    """Settings from the values of shared options by parameter name; with print_config, prints them and exits 0."""
    values = dict(options)
    file = values.pop("config", None)
    stop = values.pop("print_config", False)
    flags: dict[str, Any] = parse_assignments(values.pop("set_values", None) or [])
    for name, value in values.items():
        if value is None or value == []:
            continue
        if name in _DURATIONS:
            flags[_DURATIONS[name]] = duration_option(value, f"--{name.replace('_', '-')}")
        else:
            flags[name] = value
    settings = load_settings(flags, file=file)
    if stop:
        typer.echo(settings.print_config())
        raise typer.Exit
    return settings


def duration_option(text: str, name: str) -> float:
    """Seconds in the value of the option `name`; a usage error (exit 2) when it is no duration."""
    try:
        return parse_duration(text, name=name)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error


def parse_assignments(texts: list[str]) -> dict[str, Any]:
    """`["source.bootstrap_servers=a:1", "kafka.debug=broker"]` as nested settings; JSON values are read as such.

    >>> parse_assignments(["max_depth=8", "kafka.client.rack=eu"])
    {'max_depth': 8, 'kafka': {'client.rack': 'eu'}}
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"--set: expected KEY=VALUE, got {text!r}")
        target, (head, _, rest) = values, key.partition(".")
        if rest and head in ("kafka", "source"):
            target, key = values.setdefault(head, {}), rest
        if rest.startswith("kafka.") and head == "source":
            target, key = target.setdefault("kafka", {}), rest.removeprefix("kafka.")
        target[key] = _value(value)
    return values


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
