"""The judge's conformance battery: nothing a stream can hold makes it raise, or say something that is no number; healthy streams stay
within the budget, corrupted windows are caught, named and told apart, whatever the budget is.
"""

import math

import orjson
import pytest

from stream_monitor import Monitor
from stream_monitor.detection.verdict import Aspect
from tests.streams import (
    RECORDS,
    WINDOW_MS,
    corrupted,
    encoded,
    healthy,
    learned,
    on_some,
    renamed,
    replayed,
    setting,
    shuffled,
    stream,
    thinned,
    truncated,
    verdict_on,
    watch,
    window,
    without,
)

NEXT = 45
"""Number of the window after those that `learned` has seen."""
WINDOW_DAYS = WINDOW_MS / 86_400_000


def all_numbers_finite(verdict):
    judgement = verdict.judgement
    finite = [judgement.return_period_days, *judgement.aspects.values()]
    finite += [x for metric in judgement.metrics for x in (metric.value, *metric.expected, metric.return_period_days)]
    finite += [x for finding in judgement.findings for x in (finding.observed, *finding.expected, finding.return_period_days)]
    told = orjson.loads(verdict.to_json())  # JSON has no NaN
    return all(map(math.isfinite, finite)) and min(finite[:1] + list(judgement.aspects.values())) >= 0 and told["topic"] == "orders"


# -- whatever comes

POISON = [
    b"", b" ", b"null", b"true", b"1", b'"text"', b"[]", b"[1,2]", b"{}", b"{", b"}", b'{"a"', b'{"price":}', b"\xff\xfe\x00",
    b'{"price":NaN}', b'{"price":Infinity}', b'{"price":1e999}', b'{"price":-1e999,"total":1e308}', b'{"price":' + b"9" * 400 + b"}",
    b'{"city":"\\ud800"}',
    b'{"city":"a","city":"b"}', b"[" * 300 + b"]" * 300, b'{"a":' * 60 + b"1" + b"}" * 60, b'{"":1}', b'{"city":"' + b"x" * 200_000 + b'"}',
    orjson.dumps({f"field{i}": i for i in range(1500)}), orjson.dumps({"items": [{"a": i} for i in range(2000)]}), b"\x00" * 50,
    '{"city":"\u202e\u0000\U0001f4a9","phone":"٣٤٥"}'.encode(), b'{"price":5e-324,"quantity":-9223372036854775808}',
    b'{"geo":[],"coupon":{}}',
]  # fmt: skip


def of(record):
    return lambda records, rng: [record(old) if callable(record) else record for old in records]


WINDOWS = {
    "one record": encoded(healthy(NEXT)[:1], NEXT),
    "all malformed": encoded([b"{"] * RECORDS, NEXT),
    "all empty objects": encoded([{}] * RECORDS, NEXT),
    "all fields null": corrupted(NEXT, of(dict.fromkeys)),
    "only new fields": corrupted(NEXT, of(lambda old: {f"new_{key}": cell for key, cell in old.items()})),
    "other types everywhere": corrupted(NEXT, of(lambda old: {key: [cell] for key, cell in old.items()})),
    "huge numbers": corrupted(NEXT, of(lambda old: {**old, "price": 1e308, "quantity": -1e308, "total": 5e-324, "geo": {"lat": 1e300}})),
    "beyond all numbers": encoded([b'{"price":1e999,"quantity":-1e999,"total":0,"city":"Lyon"}'] * RECORDS, NEXT),
    "the same record": corrupted(NEXT, of(healthy(0)[0])),
    "all tombstones": ([None] * 30, window(NEXT, records=30)[1][:1] * 30),
    "a hundred times the records": encoded(healthy(NEXT, records=100 * RECORDS), NEXT),
    "poison": encoded(POISON * 2, NEXT),
    "poison among healthy records": encoded([*healthy(NEXT), *POISON], NEXT),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_no_window_makes_it_raise_or_say_what_is_no_number(name):
    values, times = WINDOWS[name]
    monitor = Monitor.restore(learned())
    verdicts = watch(monitor, [(values, times), *stream(range(NEXT + 1, NEXT + 3))])
    assert len(verdicts) >= 2
    assert all(map(all_numbers_finite, verdicts))


@pytest.mark.parametrize("name", [name for name in WINDOWS if name not in {"one record", "all tombstones"}])
def test_windows_that_are_nothing_like_the_past_alert(name):
    values, times = WINDOWS[name]
    assert watch(Monitor.restore(learned()), [(values, times)])[0].alerts


def test_silence_is_news_where_records_are_usual():
    verdicts = watch(Monitor.restore(learned()), stream([NEXT, NEXT + 5]))
    assert [verdict.records == 0 for verdict in verdicts] == [False, True, True, True, True, False]
    assert all(map(all_numbers_finite, verdicts))
    assert verdicts[1].alerts[0].aspect == Aspect.VOLUME


UNHEALTHY = [[b"{"], [b"{}"], pytest.param(POISON, marks=pytest.mark.slow), [b'{"a":null}'], [b'{"a":1e308}', b'{"a":-1e308}']]


@pytest.mark.parametrize("values", UNHEALTHY, ids=["malformed", "empty", "poison", "null", "huge"])
def test_a_monitor_that_never_saw_anything_healthy_still_gives_verdicts(values):
    monitor = Monitor("orders")
    verdicts = watch(monitor, [encoded(values * (60 // len(values)), number) for number in range(12)])
    assert len(verdicts) == 12
    assert all(map(all_numbers_finite, verdicts))
    assert Monitor.restore(monitor.snapshot()).snapshot() == monitor.snapshot()


def test_a_metric_that_says_nothing_is_not_listed():
    verdicts = watch(Monitor("orders"), [encoded([b"{}"] * 60, number) for number in range(8)])
    assert all(math.isfinite(metric.value) for verdict in verdicts for metric in verdict.judgement.metrics)


# -- what it says about faults

CAUGHT = {
    "null": (setting("city", None), {"completeness"}, {"city"}),
    "missing field": (without("price"), {"completeness"}, {"price"}),
    "nested null": (setting("geo", None), {"completeness"}, {"geo", "geo.lat"}),
    "empty string": (setting("city", ""), {"completeness"}, {"city"}),
    "disguised null": (setting("city", "N/A"), {"completeness"}, {"city"}),
    "renamed field": (renamed("total", "Total"), {"conformity", "completeness"}, {"total", "Total"}),
    "new field": (on_some(0.25, lambda record, rng: {**record, "debug": 1}), {"conformity"}, {"debug", None}),
    "malformed": (truncated(), {"conformity"}, {None}),
    "type flip": (setting("quantity", str), {"conformity"}, {"quantity"}),
    "format": (setting("phone", lambda phone: phone.replace(" ", "")), {"conformity"}, {"phone"}),
    "padding": (setting("city", lambda city: city + " "), {"conformity"}, {"city"}),
    "case": (setting("city", str.upper), {"conformity"}, {"city"}),
    "replay": (replayed(), {"uniqueness"}, None),
    "frozen": (setting("price", 19.99), {"uniqueness", "integrity"}, {"price"}),
    "times 1000": (setting("price", lambda price: price * 1000), {"integrity"}, {"price"}),
    "negative": (setting("quantity", lambda quantity: -quantity), {"integrity"}, {"quantity"}),
    "new category": (setting("country", "ZZ"), {"integrity", "conformity", "completeness"}, {"country"}),
    "shuffled category": (shuffled("country"), {"coherence"}, {"country", "city"}),
    "shuffled number": (shuffled("total"), {"coherence"}, {"total"}),
    "volume drop": (thinned(0.25), {"volume"}, {None}),
}


@pytest.mark.parametrize("name", CAUGHT)
def test_a_planted_fault_is_caught_in_its_window_under_its_name(name):
    corruption, aspects, fields = CAUGHT[name]
    verdict = verdict_on(learned(), corrupted(NEXT, corruption))
    assert verdict.alerts, verdict.score
    first = verdict.alerts[0]
    assert first.aspect in aspects
    assert fields is None or first.field in fields
    assert verdict.score > 0.5
    assert all_numbers_finite(verdict)


def test_a_new_category_is_a_matter_of_integrity():
    assert verdict_on(learned(), corrupted(NEXT, CAUGHT["new category"][0])).alerts[0].aspect == Aspect.INTEGRITY


def test_late_disorder_is_a_matter_of_timeliness():
    values, times = window(NEXT)
    swapped = [*times[1::2], *times[::2]]  # the second half of the batch is older than the first
    verdict = verdict_on(learned(), (values, swapped))
    assert verdict.alerts[0].aspect == Aspect.TIMELINESS


@pytest.mark.parametrize("name", ["null", "malformed", "type flip", "disguised null", "times 1000"])
def test_samples_point_at_records_that_were_hit(name):
    values, times = corrupted(NEXT, CAUGHT[name][0])
    clean = window(NEXT)[0]
    monitor = Monitor.restore(learned())
    first = monitor._next_offsets[0]
    finding = watch(monitor, [(values, times)])[0].alerts[0]
    assert finding.samples
    for partition, offset in finding.samples:
        assert partition == 0
        assert values[offset - first] != clean[offset - first]


def test_only_the_partition_that_is_hit_is_named():
    monitor = Monitor("orders", sensitivity={"max_alerts": "2/day"})
    for number in range(20):
        values, times = window(number)
        monitor.observe(values, times, partitions=[place % 3 for place in range(len(values))])
    records = [{**record, "city": None} if place % 3 == 1 else record for place, record in enumerate(healthy(20))]
    values, times = encoded(records, 20)
    verdicts = monitor.observe(values, times, partitions=[place % 3 for place in range(len(values))]) + monitor.flush()
    assert verdicts[-1].alerts[0].field == "city"
    assert verdicts[-1].alerts[0].partitions == (1,)


def test_findings_tell_how_many_records_are_hit_and_what_is_usual():
    finding = verdict_on(learned(), corrupted(NEXT, CAUGHT["null"][0])).alerts[0]
    assert finding.observed == pytest.approx(0.25, abs=0.02)
    assert finding.expected[0] <= 0.01
    assert finding.expected[1] < 0.1
    assert finding.share == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(("small", "large"), [(0.05, 0.2), (0.2, 0.9)])
def test_a_larger_fault_is_more_surprising(small, large):
    scores = [verdict_on(learned(), corrupted(NEXT, setting("city", None, share))).score for share in (small, large)]
    assert scores[0] < scores[1]


# -- the budget

BUDGETS = ("0.1/day", "2/day", "50/day")


@pytest.mark.parametrize("share", [0.0, 0.007, 0.014, 0.02, 0.03, 0.05, 0.2])
def test_a_window_alerts_exactly_when_it_is_rarer_than_the_budget(share):
    for budget in BUDGETS:
        verdict = verdict_on(learned(), corrupted(NEXT, setting("city", None, share)), {"max_alerts": budget})
        least = max(1 / float(budget.partition("/")[0]), 100 * WINDOW_DAYS)
        assert bool(verdict.alerts) == (verdict.score >= least)


def test_the_budget_changes_who_alerts_without_retraining():
    faults = [corrupted(NEXT, setting("city", None, share)) for share in (0.007, 0.014, 0.02, 0.03, 0.05, 0.2)] + [
        corrupted(NEXT, thinned(share)) for share in (0.3, 0.4, 0.5, 0.6)
    ]
    before = Monitor.restore(learned()).core.reference.to_bytes()
    alerting = []
    for budget in BUDGETS:
        verdicts = []
        for fault in faults:
            monitor = Monitor.restore(learned())
            monitor.tune({"max_alerts": budget})
            verdicts += watch(monitor, [fault])
            assert monitor.core.reference.to_bytes() == before
        alerting.append({place for place, verdict in enumerate(verdicts) if verdict.alerts})
    assert alerting[0] < alerting[1] <= alerting[2]
    assert alerting[0] < alerting[2]


# -- sensitivity


@pytest.mark.parametrize(("name", "aspect"), [("malformed", "conformity"), ("volume drop", "volume"), ("replay", "uniqueness")])
def test_an_aspect_of_weight_zero_is_silent(name, aspect):
    verdict = verdict_on(learned(), corrupted(NEXT, CAUGHT[name][0]), {"max_alerts": "2/day", "aspects": {aspect: 0}})
    assert all(finding.aspect != aspect for finding in verdict.alerts)
    assert Aspect(aspect) not in verdict.judgement.aspects
    if name == "malformed":  # nothing else is wrong with the window
        assert not verdict.alerts


def test_with_all_aspects_off_nothing_alerts():
    off = {"max_alerts": "2/day", "aspects": {aspect.value: 0 for aspect in Aspect}}
    verdict = verdict_on(learned(), corrupted(NEXT, CAUGHT["malformed"][0]), off)
    assert not verdict.alerts
    assert all_numbers_finite(verdict)


@pytest.mark.parametrize("pattern", ["phone", "p*"])
def test_an_ignored_field_is_silent(pattern):
    fault = corrupted(NEXT, setting("phone", None))
    assert verdict_on(learned(), fault).alerts
    verdict = verdict_on(learned(), fault, {"max_alerts": "2/day", "fields": {pattern: {"ignore": True}}})
    assert all(finding.field != "phone" for finding in verdict.alerts)


@pytest.mark.parametrize("field", ["city", "phone"])
def test_an_ignored_field_does_not_alert_under_the_names_of_others(field):
    fault = corrupted(NEXT, setting(field, None))
    assert not verdict_on(learned(), fault, {"max_alerts": "2/day", "fields": {field: {"ignore": True}}}).alerts


def test_ignoring_one_field_does_not_hide_another():
    verdict = verdict_on(learned(), corrupted(NEXT, setting("city", None)), {"max_alerts": "2/day", "fields": {"phone": {"ignore": True}}})
    assert verdict.alerts[0].field == "city"


def test_a_heavier_field_is_allowed_more_alerts():
    faults = [corrupted(NEXT, setting("city", None, share)) for share in (0.007, 0.014, 0.02, 0.03, 0.05)]
    weights = [{"max_alerts": "0.15/day", "fields": {"city": {"completeness": weight}}} for weight in (0.01, 1, 100)]
    alerting = [sum(bool(verdict_on(learned(), fault, document).alerts) for fault in faults) for document in weights]
    assert alerting == sorted(alerting)
    assert alerting[0] < alerting[-1]


# -- healthy streams

FEW_FIELDS = ("city", "country", "price", "quantity", "total")


@pytest.mark.slow
def test_a_healthy_stream_alerts_about_as_often_as_asked_and_a_faulty_one_does():
    """Against a judge that always fires, and one that never does."""
    windows = [encoded([{key: record[key] for key in FEW_FIELDS} for record in healthy(number, 9, 50)], number) for number in range(300)]
    monitor = Monitor("orders", sensitivity={"max_alerts": "14.4/day"})  # one window in a hundred
    verdicts = watch(monitor, windows)
    openings = sum(change.status == "opened" for verdict in verdicts for change in verdict.changes)
    assert len(verdicts) == 300
    assert openings <= 3 * 3
    assert sum(bool(verdict.alerts) for verdict in verdicts) <= 5 * 3  # surprising windows come in runs
    surprising = sum(verdict.score >= 20 * WINDOW_DAYS for verdict in verdicts[30:])
    assert surprising >= 3  # 13.5 expected: it does not keep silent by claiming nothing
    fault = encoded([{**record, "city": None} if place % 4 == 0 else record for place, record in enumerate(healthy(300, 9, 50))], 300)
    assert watch(monitor, [fault])[-1].alerts


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_first_windows_after_a_cold_start_do_not_alert(seed):
    verdicts = watch(Monitor("orders", sensitivity={"max_alerts": "2/day"}), stream(range(20), seed, 60))
    assert [verdict.judgement.state for verdict in verdicts[:5]] == ["cold"] * 5
    assert sum(bool(verdict.alerts) for verdict in verdicts) <= 1
