"""Command documents of the commands topic: things done once, so not in the compacted config topic.

{"do": "accept", "incident": "…", "id": "…", "who": "ana@ops"}
{"do": "reset"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from stream_monitor.config.strict import RefusalError, load_object, read_struct

Action = Literal["accept", "reject", "reset", "export"]
Name = Annotated[str, Meta(max_length=500, extra={"expected": "a string of at most 500 characters"})]


class Command(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    """One command for one monitored topic (the record's key).

    do:       accept what an incident shows as the new normal, reject it for good, reset (forget) the baseline, or export it.
    incident: id of the incident; for accept and reject only. Clients resolve "current" before they send.
    id:       names the command, so that a repeat is seen to be one.
    who:      asked for it.
    """

    do: Action
    incident: Name | None = None
    id: Name = ""
    who: Name = ""

    def __post_init__(self) -> None:
        if self.do in ("accept", "reject"):
            if not self.incident or self.incident == "current":
                raise RefusalError("incident", f"the id of the incident to {self.do}", self.incident)
        elif self.incident is not None:
            raise RefusalError("incident", f"nothing, with {self.do}", self.incident)

    def encode(self) -> bytes:
        """JSON, for the commands topic."""
        return msgspec.json.encode(self)


def parse_command(data: bytes | str | Mapping[str, Any]) -> Command:
    """The command in `data`. Raises SensitivityError, and nothing else, for the first thing wrong in it.

    >>> parse_command(b'{"do": "reset"}').do
    'reset'
    """
    return read_struct(load_object(data), Command)
