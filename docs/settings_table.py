"""Writes the table of settings into docs/operations.md, from the settings themselves: `python docs/settings_table.py`."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr

from stream_monitor.config.settings import Settings

PAGE = Path(__file__).parent / "operations.md"
BEGIN, END = "<!-- settings: made by docs/settings_table.py -->", "<!-- end of settings -->"
SHOWN = {"worker": "the host's name", "kafka": "none", "source": "none", "topics": "none"}
"""Defaults that are not the same everywhere, or that print badly."""


def table() -> str:
    """One line a setting, those of the cluster first, in the order of the code."""
    settings = Settings()
    lines = ["| setting | takes | default | |", "| --- | --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = SHOWN.get(name) or _shown(getattr(settings, name))
        lines.append(f"| `{name}` | {_takes(field.annotation)} | {default} | {field.description} |")
    return "\n".join(lines)


def page() -> str:
    """The whole page with a fresh table."""
    text = PAGE.read_text("utf-8")
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: f"{BEGIN}\n{table()}\n{END}", text, flags=re.DOTALL)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "none" if value is None else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _takes(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return ", ".join(_takes(one) for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is tuple:
        return "texts"
    if get_origin(kind) is dict:
        return "table"
    words = {str: "text", Path: "path", int: "integer", float: "number", bool: "true, false", SecretStr: "secret"}
    return words.get(kind, "table")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
