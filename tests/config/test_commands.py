from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.config.commands import Command, parse_command
from stream_monitor.errors import SensitivityError


def test_the_commands_of_the_contract_are_read() -> None:
    assert parse_command(b'{"do": "accept", "incident": "i-1"}') == Command(do="accept", incident="i-1")
    assert parse_command({"do": "reject", "incident": "i-1", "id": "c-1", "who": "ana"}).who == "ana"
    assert parse_command('{"do": "reset"}').incident is None
    assert parse_command({"do": "export"}).do == "export"


def test_a_command_survives_the_wire() -> None:
    command = Command(do="accept", incident="i-1", id="c", who="ana@ops")
    assert parse_command(command.encode()) == command


@pytest.mark.parametrize(
    ("document", "key", "part"),
    [
        ({"do": "acept", "incident": "x"}, "do", "did you mean 'accept'?"),
        ({"incident": "x"}, "do", "required"),
        ({"do": "accept"}, "incident", "the id of the incident"),
        ({"do": "accept", "incident": "current"}, "incident", "got 'current'"),
        ({"do": "reset", "incident": "x"}, "incident", "nothing"),
        ({"do": "reset", "incidents": "x"}, "incidents", "did you mean 'incident'?"),
    ],
)
def test_a_refusal_names_the_key(document: dict[str, Any], key: str, part: str) -> None:
    with pytest.raises(SensitivityError) as refused:
        parse_command(document)
    assert refused.value.key == key
    assert part in str(refused.value)


@given(
    st.binary(max_size=50) | st.dictionaries(st.sampled_from(["do", "incident", "id", "who", "x"]), st.none() | st.text() | st.integers())
)
def test_anything_is_read_or_refused_and_nothing_else(data: Any) -> None:
    with contextlib.suppress(SensitivityError):
        parse_command(data)
