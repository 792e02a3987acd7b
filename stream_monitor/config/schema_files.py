"""JSON Schemas of our documents, generated from the Structs: `python -m stream_monitor.config.schema_files` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from stream_monitor.config.commands import Command
from stream_monitor.config.sensitivity_document import SensitivityDocument
from stream_monitor.config.status import StatusEvent

DIRECTORY = Path(__file__).parent / "schemas"
_KINDS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "sensitivity": (SensitivityDocument, "Sensitivity document of stream_monitor"),
    "command": (Command, "Command of stream_monitor"),
    "status": (StatusEvent, "Status event of stream_monitor"),
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document kind `name`: sensitivity, command or status."""
    kind, title = _KINDS[name]
    _, definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    body = definitions.pop(kind.__name__)
    body = {"$schema": "https://json-schema.org/draft/2020-12/schema", **body, "title": title}
    return {**body, "$defs": definitions} if definitions else body


def schema_texts() -> dict[str, str]:
    """File name -> contents, for all kinds."""
    return {
        f"{name}.schema.json": msgspec.json.format(msgspec.json.encode(schema(name), order="sorted"), indent=2).decode() + "\n"
        for name in _KINDS
    }


def write_schemas(directory: Path = DIRECTORY) -> None:
    """Writes all files into `directory`."""
    for name, text in schema_texts().items():
        (directory / name).write_text(text, "utf-8")


if __name__ == "__main__":
    write_schemas()
