"""Reading settings from flags, environment and file, with errors that name the key, where it came from, and the nearest known one."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError as SourceError

from stream_monitor.config.cluster import Cluster
from stream_monitor.config.settings import ENV_PREFIX, Settings, default_file
from stream_monitor.config.suggestions import nearest
from stream_monitor.errors import SettingsError
from stream_monitor.events import hide_secrets, is_secret

# Kubernetes puts NAME_PORT, NAME_SERVICE_HOST, NAME_PORT_80_TCP_ADDR… into every pod for a service called NAME: with a
# service called stream-monitor they carry our prefix, and are nobody's typing error.
_KUBERNETES = re.compile(r"(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PORT|PROTO|ADDR))?)?)")
_RESERVED = {"CONFIG"}


def load_settings(flags: Mapping[str, Any] | None = None, *, file: Path | None = None) -> Settings:
    """Settings from `flags` (None values are left out), over the environment, over the file, over the defaults.

    `file` None means the default file, if there is one. Raises SettingsError, one line for the first thing wrong.
    """
    path = file or default_file()
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    _check_known(given, "flag")
    values = merge(merge(_read_file(path) if path else {}, _read_environment()), given)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`, table by table."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}; name another file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: expected TOML, got {error}") from error
    _check_known(values, str(path))
    return values


def _read_environment() -> dict[str, Any]:
    for name in sorted(os.environ):
        if name.upper().startswith(ENV_PREFIX):
            _check_variable(name)
    try:
        return EnvSettingsSource(Settings)()
    except SourceError as error:
        raise SettingsError(f"environment: {error}: expected JSON, in {_culprit(str(error))}") from error


def _culprit(message: str) -> str:
    match = re.search(r'field "(\w+)"', message)
    return f"{ENV_PREFIX}{match[1].upper()}" if match else f"{ENV_PREFIX}*"


def _check_variable(name: str) -> None:
    key = name[len(ENV_PREFIX) :]
    head, _, rest = key.lower().partition("__")
    if head not in Settings.model_fields:
        if key.upper() in _RESERVED or _KUBERNETES.fullmatch(key.upper()):
            return
        raise SettingsError(f"environment: unknown variable {name}: {nearest(key, _variables(), show=_variable)}")
    if head == "source" and rest and rest.partition("__")[0] not in Cluster.model_fields:
        near = nearest(rest, Cluster.model_fields, show=lambda field: _variable(f"source__{field}"))
        raise SettingsError(f"environment: unknown variable {name}: {near}")


def _variable(key: str) -> str:
    return f"{ENV_PREFIX}{key.upper()}"


def _variables() -> list[str]:
    return [*Settings.model_fields, *(f"source__{name}" for name in Cluster.model_fields)]


def _check_known(values: Mapping[str, Any], where: str) -> None:
    _check_keys(values, Settings.model_fields, where, "")
    source = values.get("source")
    if isinstance(source, Mapping):
        _check_keys(source, Cluster.model_fields, where, "source.")


def _check_keys(values: Mapping[str, Any], known: Iterable[str], where: str, path: str) -> None:
    names = list(known)
    for key in values:
        if key not in names:
            raise SettingsError(f"{where}: unknown key {path}{key}: {nearest(key, names)}")


def _explain(error: ValidationError) -> str:
    errors = [entry for entry in error.errors(include_url=False) if entry["type"] != "default_factory_not_called"]
    first = errors[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if not key or ", got " in message:
        return f"{key}: {message}{more}".removeprefix(": ")
    came = "a hidden value" if is_secret(key) else _short(hide_secrets(first["input"]))
    return f"{key}: {message}, got {came}{more}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
