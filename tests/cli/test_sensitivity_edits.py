from __future__ import annotations

import pytest
import typer

from stream_monitor.cli.sensitivity_edits import Edits, apply_edits, describe_changes
from stream_monitor.config.sensitivity import parse_sensitivity

NOW_MS = 1_795_356_000_000  # 2026-11-22T14:00:00Z


def test_the_example_of_the_contract_makes_a_valid_document() -> None:
    edits = Edits("2/day", aspects=("completeness=3",), fields=("email.completeness=5",), mute="2h", reason="migration")
    document = apply_edits({"adaptation": "frozen"}, edits, NOW_MS)
    assert document == {
        "adaptation": "frozen",
        "max_alerts": "2/day",
        "aspects": {"completeness": 3},
        "fields": {"email": {"completeness": 5}},
        "mute": {"until": "2026-11-22T16:00:00Z", "reason": "migration"},
    }
    parse_sensitivity(document)


def test_fields_may_be_paths_and_patterns_and_be_ignored() -> None:
    document = apply_edits({}, Edits(fields=("geo.lat.volume=0.5", "debug.*.ignore=true", "a=b.volume=2")), NOW_MS)
    assert document["fields"] == {"geo.lat": {"volume": 0.5}, "debug.*": {"ignore": True}, "a=b": {"volume": 2}}


def test_the_word_default_takes_a_key_out() -> None:
    before = {"max_alerts": "2/day", "aspects": {"volume": 0}, "fields": {"a": {"volume": 1}}, "mute": {"until": "2026-11-22T16:00:00Z"}}
    edits = Edits("default", aspects=("volume=default",), fields=("a.volume=default",), mute="off")
    assert apply_edits(before, edits, NOW_MS) == {}
    assert before["max_alerts"] == "2/day"


@pytest.mark.parametrize("edits", [Edits(aspects=("volume",)), Edits(aspects=("=3",)), Edits(fields=("email=5",)), Edits(mute="soon")])
def test_options_that_can_not_be_read_are_usage_errors(edits: Edits) -> None:
    with pytest.raises(typer.BadParameter):
        apply_edits({}, edits, NOW_MS)


def test_changes_are_told_key_by_key() -> None:
    before = {"max_alerts": "1/day", "aspects": {"volume": 1.0}, "planned": []}
    after = {"max_alerts": "1/day", "aspects": {"volume": 0.0}, "fields": {"debug.*": {"ignore": True}}}
    assert describe_changes(before, after) == ["aspects.volume: 1 -> 0", "planned: [] -> default", "fields.debug.*.ignore: default -> true"]
    assert describe_changes(after, after) == []
