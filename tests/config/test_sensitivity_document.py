from __future__ import annotations

import contextlib
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.config.schema_files import DIRECTORY, schema, schema_texts
from stream_monitor.config.sensitivity_document import ASPECTS, AspectWeights, alerts_per_day, parse_sensitivity
from stream_monitor.detection.verdict import Aspect
from stream_monitor.errors import SensitivityError

FULL: dict[str, Any] = {
    "max_alerts": "2/day",
    "aspects": {"completeness": 3, "uniqueness": 0},
    "fields": {"email": {"completeness": 5}, "debug.*": {"ignore": True}},
    "mute": {"until": "2026-12-01T06:00:00Z", "reason": "migration"},
    "planned": [{"from": "2026-12-24", "to": "2026-12-26", "reason": "holidays"}],
    "adaptation": "on-shift",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(
    [
        "max_alerts",
        "aspects",
        "fields",
        "mute",
        "planned",
        "adaptation",
        "fleet_max_alerts",
        "until",
        "from",
        "to",
        "reason",
        "ignore",
        *ASPECTS,
    ]
)
telling_values = st.sampled_from(
    [
        "2/day",
        "0/day",
        "1e3/day",
        "٣/day",
        "2026-12-24",
        "2026-02-30",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "frozen",
        10**400,
    ]
)
near_documents = st.recursive(
    json_values | telling_values, lambda inner: st.dictionaries(keys, inner, max_size=4) | st.lists(inner, max_size=3), max_leaves=10
)


def test_the_full_document_of_the_contract_is_read_and_written_back_the_same() -> None:
    document = parse_sensitivity(json.dumps(FULL).encode())
    assert document.to_dict() == FULL
    assert parse_sensitivity(document.encode()) == document
    assert parse_sensitivity(document.to_dict()) == document
    assert parse_sensitivity(document.encode().decode()) == document


def test_an_empty_document_says_nothing_and_is_valid() -> None:
    assert parse_sensitivity(b"{}").to_dict() == {}


@pytest.mark.parametrize(
    ("document", "key", "parts"),
    [
        ({"max_alert": "2/day"}, "max_alert", ["did you mean 'max_alerts'?"]),
        ({"aspects": {"completness": 3}}, "aspects.completness", ["did you mean 'completeness'?"]),
        ({"fields": {"geo.lat": {"volum": 3}}}, "fields.geo.lat.volum", ["did you mean 'volume'?"]),
        ({"fields": {"geo.lat": {"volume": -1}}}, "fields.geo.lat.volume", ["a weight", "got -1"]),
        ({"fields": {"a": {"ignore": 1}}}, "fields.a.ignore", ["true or false", "got 1"]),
        ({"aspects": {"volume": True}}, "aspects.volume", ["a weight", "got true"]),
        ({"aspects": {"volume": "3"}}, "aspects.volume", ["a weight", "got '3'"]),
        ({"aspects": {"volume": float("nan")}}, "aspects.volume", ["got nan"]),
        ({"aspects": {"volume": 10**400}}, "aspects.volume", ["a weight"]),
        ({"aspects": None}, "aspects", ["an object", "null"]),
        ({"max_alerts": 2}, "max_alerts", ["<number above 0>/<hour|day|week|month>", "got 2"]),
        ({"max_alerts": "2/dya"}, "max_alerts", ["got '2/dya'"]),
        ({"max_alerts": "-1/day"}, "max_alerts", ["got '-1/day'"]),
        ({"max_alerts": "0/day"}, "max_alerts", ["got '0/day'", "mute"]),
        ({"fleet_max_alerts": "0.0/week"}, "fleet_max_alerts", ["got '0.0/week'"]),
        ({"mute": {"until": "2026-12-01T06:00:00"}}, "mute.until", ["zone"]),
        ({"mute": {"reason": "x"}}, "mute.until", ["required"]),
        ({"mute": {"until": "2026-13-01T06:00:00Z"}}, "mute.until", ["month"]),
        ({"planned": [{"from": "2026-12-24", "to": "2026-12-23"}]}, "planned[0].to", ["after from"]),
        ({"planned": [{"from": "2026-12-24", "until": "2026-12-25"}]}, "planned[0].until", ["unknown key"]),
        ({"planned": [{"from": "2026-12-24"}]}, "planned[0].to", ["required"]),
        ({"planned": {}}, "planned", ["a list"]),
        ({"adaptation": "frosen"}, "adaptation", ["continuous, on-shift, scheduled, frozen", "did you mean 'frozen'?"]),
        ([], "", ["a JSON object", "[]"]),
    ],
)
def test_a_refusal_names_the_key_what_was_expected_and_what_came(document: Any, key: str, parts: list[str]) -> None:
    data = document if isinstance(document, dict) else json.dumps(document)
    with pytest.raises(SensitivityError) as refused:
        parse_sensitivity(data)
    assert refused.value.key == key
    assert str(refused.value).startswith(key)
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"null", b'{"a": NaN}', b"[" * 100_000, "\ud800", b'{"aspects": {"volume": 1e999}}'])
def test_what_is_not_json_is_refused(data: bytes | str) -> None:
    with pytest.raises(SensitivityError):
        parse_sensitivity(data)


def test_the_fleet_budget_belongs_to_the_default_document_only() -> None:
    assert parse_sensitivity({"fleet_max_alerts": "9/day"}, "*").fleet_max_alerts == "9/day"
    with pytest.raises(SensitivityError, match=r"fleet_max_alerts.*'\*'"):
        parse_sensitivity({"fleet_max_alerts": "9/day"}, "orders")


@pytest.mark.parametrize(("text", "rate"), [("2/day", 2.0), ("1/hour", 24.0), ("14/week", 2.0), ("3/month", 0.1), ("0.5/day", 0.5)])
def test_budgets_are_alerts_a_day(text: str, rate: float) -> None:
    assert alerts_per_day(text) == pytest.approx(rate)


def test_the_aspects_are_those_of_verdicts() -> None:
    assert set(ASPECTS) == {aspect.value for aspect in Aspect} == set(AspectWeights.__struct_fields__)


@settings(max_examples=200, deadline=None)
@given(near_documents | json_values)
def test_any_value_is_read_or_refused_and_nothing_else(value: Any) -> None:
    data: Any = value if isinstance(value, dict) else json.dumps(value)
    try:
        document = parse_sensitivity(data)
    except SensitivityError:
        return
    assert parse_sensitivity(document.to_dict()) == document
    jsonschema.validate(document.to_dict(), schema("sensitivity"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes | str) -> None:
    with contextlib.suppress(SensitivityError):
        parse_sensitivity(data)


def test_the_schema_files_are_fresh() -> None:
    for name, text in schema_texts().items():
        assert (DIRECTORY / name).read_text("utf-8") == text, "run python -m stream_monitor.config.schema_files"


def test_the_schema_accepts_the_contract_and_refuses_typing_errors() -> None:
    jsonschema.validate(FULL, schema("sensitivity"))
    for wrong in ({"max_alert": "2/day"}, {"max_alerts": "2/dya"}, {"aspects": {"volume": -1}}, {"fields": {"a": {"x": 1}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema("sensitivity"))
