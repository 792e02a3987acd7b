from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.config.moments import moment_ms
from stream_monitor.config.patterns import matches
from stream_monitor.config.sensitivity import Sensitivity, parse_sensitivity


def test_without_documents_the_defaults_are_in_force() -> None:
    sensitivity = Sensitivity.of(None, None)
    assert (sensitivity.max_alerts, sensitivity.alerts_per_day, sensitivity.adaptation) == ("1/day", 1.0, "continuous")
    assert sensitivity.weight("volume", None) == sensitivity.weight("completeness", "email") == 1.0
    assert sensitivity.muted(0) is None
    assert sensitivity.fleet_alerts_per_day is None


def test_a_topic_overrides_the_default_key_by_key() -> None:
    default = parse_sensitivity(
        {
            "max_alerts": "5/day",
            "aspects": {"uniqueness": 0, "volume": 2},
            "fields": {"id": {"uniqueness": 4, "integrity": 2}},
            "fleet_max_alerts": "9/day",
        }
    )
    topic = parse_sensitivity({"aspects": {"volume": 7}, "fields": {"id": {"integrity": 0}}, "adaptation": "frozen"})
    sensitivity = Sensitivity.of(default, topic)
    assert sensitivity.max_alerts == "5/day"
    assert sensitivity.adaptation == "frozen"
    assert (sensitivity.aspect_weight("uniqueness"), sensitivity.aspect_weight("volume")) == (0.0, 7.0)
    assert (sensitivity.weight("integrity", "id"), sensitivity.weight("uniqueness", "id")) == (0.0, 0.0)
    assert sensitivity.fleet_alerts_per_day == 9.0


def test_a_weight_is_the_product_of_aspect_and_field() -> None:
    sensitivity = Sensitivity.of(None, parse_sensitivity({"aspects": {"completeness": 3}, "fields": {"email": {"completeness": 5}}}))
    assert sensitivity.weight("completeness", "email") == 15.0
    assert sensitivity.weight("completeness", "name") == 3.0
    assert sensitivity.weight("conformity", "email") == 1.0


def test_the_most_specific_pattern_that_speaks_of_an_aspect_decides() -> None:
    fields = {"*": {"ignore": True}, "user.*": {"ignore": False, "volume": 2}, "user.email": {"completeness": 5}}
    sensitivity = Sensitivity.of(None, parse_sensitivity({"fields": fields}))
    assert sensitivity.weight("completeness", "user.email") == 5.0
    assert sensitivity.weight("volume", "user.email") == 2.0
    assert sensitivity.weight("completeness", "other") == 0.0


def test_a_topic_is_muted_until_the_moment_it_names() -> None:
    sensitivity = Sensitivity.of(None, parse_sensitivity({"mute": {"until": "2026-12-01T06:00:00+01:00", "reason": "migration"}}))
    until = moment_ms("2026-12-01T05:00:00Z")
    assert sensitivity.muted(until - 1) == "migration"
    assert sensitivity.muted(until) is None


def test_a_planned_date_is_the_whole_day_and_a_planned_time_is_excluded() -> None:
    planned = [{"from": "2026-12-24", "to": "2026-12-26"}, {"from": "2026-12-30T10:00Z", "to": "2026-12-30T12:00Z", "reason": "load test"}]
    sensitivity = Sensitivity.of(None, parse_sensitivity({"planned": planned}))
    assert sensitivity.muted(moment_ms("2026-12-24") - 1) is None
    assert sensitivity.muted(moment_ms("2026-12-26T23:59:59.999Z")) == "planned"
    assert sensitivity.muted(moment_ms("2026-12-27")) is None
    assert sensitivity.muted(moment_ms("2026-12-30T11:59Z")) == "load test"
    assert sensitivity.muted(moment_ms("2026-12-30T12:00Z")) is None


def test_an_empty_plan_takes_the_plan_of_the_default_away() -> None:
    default = parse_sensitivity({"planned": [{"from": "2026-12-24", "to": "2026-12-26"}]})
    noon = moment_ms("2026-12-25T12:00Z")
    assert Sensitivity.of(default, None).muted(noon) == "planned"
    assert Sensitivity.of(default, parse_sensitivity({"planned": []})).muted(noon) is None


def test_what_is_in_force_survives_storage() -> None:
    document = {"max_alerts": "2/week", "fields": {"a.*": {"ignore": True}}, "planned": [{"from": "2026-12-24", "to": "2026-12-26"}]}
    sensitivity = Sensitivity.of(parse_sensitivity({"fleet_max_alerts": "3/day"}), parse_sensitivity(document))
    restored = Sensitivity.from_dict(sensitivity.to_dict())
    assert restored == sensitivity
    assert restored.fleet_alerts_per_day == 3.0


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("debug.*", "debug.a.b", True),
        ("debug.*", "debug", False),
        ("items[].price", "items[].price", True),
        ("items[].*", "items[].tags[]", True),
        ("*id", "order.id", True),
        ("?d", "id", True),
        ("?d", "d", False),
        ("*", "", True),
        ("", "a", False),
        ("a*b*c", "aXbXbXc", True),
    ],
)
def test_patterns_match_paths(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab", max_size=8))
def test_patterns_agree_with_fnmatch_where_that_has_no_classes(pattern: str, path: str) -> None:
    from fnmatch import fnmatchcase

    assert matches(pattern, path) == fnmatchcase(path, pattern)


def test_many_wildcards_do_not_take_forever() -> None:
    assert not matches("*a" * 200 + "b", "a" * 500)
