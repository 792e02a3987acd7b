"""Monitor and TopicMonitor: windows, state, learning, incidents and commands. What is judged how is tested with detection."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import orjson
import pytest

from stream_monitor import Monitor
from stream_monitor.alerting.incidents import IncidentBook
from stream_monitor.config.commands import Command
from stream_monitor.config.sensitivity import Sensitivity, parse_sensitivity
from stream_monitor.detection.verdict import Aspect
from stream_monitor.errors import FormatError, OverlapError, SensitivityError
from stream_monitor.monitor import TopicMonitor
from stream_monitor.profiling.stream_profiler import StreamProfiler
from tests.streams import (
    BASE_MS,
    WINDOW_MS,
    corrupted,
    encoded,
    healthy,
    learned,
    setting,
    stream,
    thinned,
    truncated,
    verdict_on,
    watch,
    window,
)

NEXT = 45
FAULT = setting("city", None)
SENSITIVE = Sensitivity.of(parse_sensitivity({"max_alerts": "2/day"}))


def documents(verdicts):
    return [verdict.to_json() for verdict in verdicts]


# -- windows


def test_a_window_closes_when_event_time_has_passed_its_end_and_the_lateness():
    monitor = Monitor("t", window_seconds=60, allowed_lateness_seconds=10)
    values, times = window(0)
    assert monitor.observe(values, times) == []
    assert monitor.observe(values[:1], [BASE_MS + WINDOW_MS + 9_999]) == []
    (verdict,) = monitor.observe(values[:1], [BASE_MS + WINDOW_MS + 10_000])
    assert verdict.window_start_ms == BASE_MS
    assert verdict.records == len(values)
    assert monitor.flush()[0].records == 2


def test_every_record_is_in_one_verdict_or_late():
    monitor = Monitor("t")
    windows = stream(range(6), records=40)
    late = [windows[0][0][0]] * 7
    verdicts = watch(monitor, windows[:4], flush=False) + monitor.observe(late, [BASE_MS] * 7) + watch(monitor, windows[4:])
    assert sum(verdict.records for verdict in verdicts) == sum(len(values) for values, _ in windows)
    assert [verdict.window_start_ms for verdict in verdicts] == [BASE_MS + number * WINDOW_MS for number in range(6)]


def test_late_records_are_counted_and_alert():
    monitor = Monitor.restore(learned())
    watch(monitor, stream([NEXT, NEXT + 1]), flush=False)
    values, times = window(NEXT + 2)
    late = times[-1] - 5 * WINDOW_MS
    verdicts = monitor.observe(values, [late if place % 3 == 2 else time for place, time in enumerate(times)]) + monitor.flush()
    last = verdicts[-1]
    assert last.records == len(values) - len(values[2::3])
    named = {(finding.aspect, finding.metric): finding for finding in last.alerts}
    assert named[Aspect.TIMELINESS, "late"].observed == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.slow
def test_slow_arrival_alerts_as_a_delay():
    monitor = Monitor("t", sensitivity={"max_alerts": "2/day"})
    rng = np.random.default_rng(0)
    for number in range(42):
        values, times = window(number, records=25)
        delay = 300_000 if number == 41 else 800
        verdicts = monitor.observe(values, times, arrivals_ms=[time + int(rng.exponential(delay)) for time in times])
    assert verdicts[-1].window_start_ms == BASE_MS + 40 * WINDOW_MS
    (last,) = monitor.flush()
    assert not any(verdict.alerts for verdict in verdicts)
    assert last.alerts[0].aspect == Aspect.TIMELINESS


def test_verdicts_do_not_depend_on_how_records_are_batched():
    windows = [*stream(range(8), records=40), corrupted(8, FAULT, records=40), window(9, records=40)]
    values, times = ([cell for own in windows for cell in own[side]] for side in (0, 1))
    seen = []
    for size in (1, 13, 10**6):
        monitor, verdicts = Monitor("t"), []
        for at in range(0, len(values), size):
            verdicts += monitor.observe(values[at : at + size], times[at : at + size])
        seen.append(documents(verdicts + monitor.flush()))
    assert seen[0] == seen[1] == seen[2]


def test_a_named_field_can_hold_the_event_time():
    monitor = Monitor("t", timestamp_field="at")
    values, times = window(0, records=30)
    dated = [orjson.dumps({**orjson.loads(value), "at": time}) for value, time in zip(values, times, strict=True)]
    monitor.observe(dated, [0] * len(dated))
    (verdict,) = monitor.flush()
    assert verdict.window_start_ms == BASE_MS


def test_offsets_that_come_twice_are_refused_and_change_nothing():
    monitor, undisturbed = Monitor("t"), Monitor("t")
    values, times = window(0, records=30)
    for one in (monitor, undisturbed):
        one.observe(values, times, offsets=range(100, 100 + len(values)))
    with pytest.raises(OverlapError):
        monitor.observe(values[:5], times[:5], offsets=range(110, 115))
    assert documents(monitor.flush()) == documents(undisturbed.flush())


def test_nothing_observed_gives_nothing():
    monitor = Monitor("t")
    assert monitor.observe([], []) == monitor.flush() == []


def test_an_unknown_key_of_the_sensitivity_is_refused_by_name():
    with pytest.raises(SensitivityError, match="max_alert"):
        Monitor("t", sensitivity={"max_alert": "2/day"})
    monitor = Monitor("t", sensitivity={"max_alerts": "2/day"})
    with pytest.raises(SensitivityError):
        monitor.tune({"aspects": {"beauty": 1}})
    assert monitor.sensitivity.max_alerts == "2/day"


# -- state

FUTURE = [window(NEXT), corrupted(NEXT + 1, FAULT), corrupted(NEXT + 2, truncated()), *stream(range(NEXT + 3, NEXT + 8))]


def test_a_restored_monitor_has_the_same_future_to_the_bit():
    one, other = Monitor.restore(learned()), Monitor.restore(learned())
    for values, times in FUTURE:
        half = len(values) // 2
        seen = [documents(monitor.observe(values[:half], times[:half])) for monitor in (one, other)]
        other = Monitor.restore(other.snapshot())  # in the middle of every window
        seen = [before + documents(m.observe(values[half:], times[half:])) for before, m in zip(seen, (one, other), strict=True)]
        assert seen[0] == seen[1]
        other = Monitor.restore(other.snapshot())
    assert documents(one.flush()) == documents(other.flush())
    for section, blob in one.core.snapshot_sections(open_panes=True).items():
        assert section == "topic" or blob == other.core.snapshot_sections(open_panes=True)[section]


@pytest.mark.xfail(strict=True, reason="the offset from which an open pane's order counts depends on when records were collected")
def test_a_restored_monitor_has_the_same_state_to_the_bit():
    one, other = Monitor.restore(learned()), Monitor.restore(learned())
    for values, times in FUTURE[:2]:
        half = len(values) // 2
        one.observe(values[:half], times[:half]), other.observe(values[:half], times[:half])
        other = Monitor.restore(other.snapshot())
        one.observe(values[half:], times[half:]), other.observe(values[half:], times[half:])
    assert one.snapshot() == other.snapshot()


def test_a_monitor_restored_while_cold_has_the_same_future_through_its_first_trainings():
    windows = stream(range(14), records=50)
    one, other = Monitor("orders"), Monitor("orders")
    for own in windows:
        other = Monitor.restore(other.snapshot())
        assert documents(watch(one, [own], flush=False)) == documents(watch(other, [own], flush=False))
    assert one.core.reference is not None
    assert documents(one.flush()) == documents(other.flush())


def test_a_snapshot_leaves_the_monitor_as_it_was():
    one = Monitor.restore(learned())
    assert one.snapshot() == one.snapshot() == learned()


def test_tuning_survives_a_snapshot():
    monitor = Monitor.restore(learned())
    monitor.tune({"max_alerts": "3/week", "aspects": {"volume": 0}, "fields": {"c*": {"ignore": True}}})
    assert Monitor.restore(monitor.snapshot()).sensitivity == monitor.sensitivity


def test_corrupt_snapshots_are_refused():
    blob = learned()
    for broken in (b"", blob[:5], blob[:-1], blob[:100] + b"?" + blob[101:], b"XXXX" + blob[4:], b"a" * 50):
        with pytest.raises(FormatError):
            Monitor.restore(broken)


@pytest.mark.parametrize("section", ["topic", "judge", "specs", "patterns"])
def test_a_topic_with_a_section_missing_or_exchanged_is_refused(section):
    sections = Monitor.restore(learned()).core.snapshot_sections(open_panes=True)
    with pytest.raises(FormatError):
        TopicMonitor.restore_sections({name: blob for name, blob in sections.items() if name != section})
    with pytest.raises(FormatError):
        TopicMonitor.restore_sections({**sections, section: sections["reference"]})


def test_only_what_changed_is_written_again_after_a_window():
    monitor = Monitor.restore(learned())
    before = monitor.core.snapshot_sections()
    watch(monitor, [window(NEXT)])
    after = monitor.core.snapshot_sections()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed <= {"topic", "judge", "patterns", "specs", f"rows/{NEXT}", f"window/{NEXT}"}
    assert sum(len(after[name]) for name in changed) < sum(map(len, after.values())) / 3


PROGRAM = """
import hashlib
from stream_monitor import Monitor
from tests.streams import corrupted, setting, stream, watch
monitor = Monitor("orders", sensitivity={"max_alerts": "2/day"})
verdicts = watch(monitor, [*stream(range(13), records=40), corrupted(13, setting("city", None), records=40)])
told = b"".join(verdict.to_json() for verdict in verdicts) + b"".join(c.incident.encode() for v in verdicts for c in v.changes)
print(len(verdicts), hashlib.sha256(told).hexdigest(), hashlib.sha256(monitor.snapshot()).hexdigest())
"""


@pytest.mark.slow
def test_verdicts_and_snapshots_are_the_same_bytes_in_every_process():
    seen = set()
    for seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=100)
        seen.add(done.stdout)
    assert len(seen) == 1
    assert seen.pop().startswith("14 ")


# -- learning


def opened(verdicts):
    return [change for verdict in verdicts for change in verdict.changes if change.status == "opened"]


@pytest.mark.slow
def test_a_level_shift_is_alerted_once_and_then_absorbed():
    monitor = Monitor.restore(learned())
    shifted = [corrupted(number, setting("quantity", lambda q: q + 4, 1.0)) for number in range(NEXT, NEXT + 40)]
    verdicts = watch(monitor, shifted)
    assert verdicts[0].alerts
    assert len(opened(verdicts)) == 1
    assert not any(verdict.alerts for verdict in verdicts[-5:])
    assert not monitor.core.incidents.open


def test_a_fault_that_comes_again_is_caught_again():
    monitor = Monitor.restore(learned())
    caught, quiet, number = [], [], NEXT
    for _ in range(3):
        caught += watch(monitor, [corrupted(number, FAULT), corrupted(number + 1, FAULT)])
        quiet += watch(monitor, stream(range(number + 2, number + 7)))
        number += 7
    assert all(verdict.alerts for verdict in caught)
    assert sum(bool(verdict.alerts) for verdict in quiet) <= 1


def test_frozen_monitors_do_not_learn():
    monitor = Monitor.restore(learned())
    monitor.tune({"max_alerts": "2/day", "adaptation": "frozen"})
    before = monitor.core.judge.judged
    verdicts = watch(monitor, stream(range(NEXT, NEXT + 4)))
    assert len(verdicts) == 4
    assert monitor.core.judge.judged == before


def at(number):
    return np.datetime_as_string(np.datetime64(BASE_MS + number * WINDOW_MS, "ms"), unit="s") + "Z"


@pytest.mark.parametrize("quiet", [
    {"mute": {"until": at(NEXT + 3), "reason": "migration"}}, {"planned": [{"from": at(NEXT), "to": at(NEXT + 3), "reason": "test"}]},
], ids=["mute", "planned"])
def test_muted_windows_are_judged_but_neither_alert_anyone_nor_teach(quiet):
    monitor = Monitor.restore(learned())
    monitor.tune({"max_alerts": "2/day", **quiet})
    before = monitor.core.judge.judged
    verdicts = watch(monitor, [corrupted(number, FAULT) for number in range(NEXT, NEXT + 3)])
    assert [verdict.judgement.alerting for verdict in verdicts] == [True] * 3  # verdicts go on
    assert not any(verdict.changes for verdict in verdicts)
    assert monitor.core.judge.judged == before
    assert opened(watch(monitor, [corrupted(NEXT + 3, FAULT)]))


def test_new_fields_that_stay_become_known():
    monitor = Monitor.restore(learned(20, records=40))
    more = [encoded([{**record, "channel": "web"} for record in healthy(number, records=40)], number) for number in range(20, 60)]
    verdicts = watch(monitor, more)
    assert verdicts[0].alerts
    assert "channel" in monitor.core.judge.paths
    assert not any(verdict.alerts for verdict in verdicts[-5:])


# -- incidents and commands


def test_an_incident_opens_goes_on_and_is_resolved():
    monitor = Monitor.restore(learned())
    verdicts = watch(monitor, [*(corrupted(number, FAULT) for number in range(NEXT, NEXT + 3)), *stream(range(NEXT + 3, NEXT + 8))])
    changes = [(change.status, change.incident) for verdict in verdicts for change in verdict.changes]
    assert [status for status, _ in changes if status != "updated"] == ["opened", "resolved"]
    assert len({incident for _, incident in changes}) == 1


def ongoing(windows=4):
    monitor = Monitor.restore(learned())
    watch(monitor, [corrupted(number, setting("quantity", lambda q: q + 4, 1.0)) for number in range(NEXT, NEXT + windows)])
    return monitor, monitor.core.incidents.open[0].id


def test_accepting_an_incident_ends_it_and_makes_it_normal():
    monitor, incident = ongoing(8)
    (status,) = monitor.core.command(Command(do="accept", incident=incident))
    assert status["event"] == "command.accepted"
    verdicts = watch(monitor, [corrupted(number, setting("quantity", lambda q: q + 4, 1.0)) for number in range(NEXT + 8, NEXT + 14)])
    assert not monitor.core.incidents.open
    assert sum(bool(verdict.alerts) for verdict in verdicts) <= 1


def test_rejecting_an_incident_keeps_it_a_fault():
    monitor, incident = ongoing(4)
    (status,) = monitor.core.command(Command(do="reject", incident=incident))
    assert status["event"] == "command.accepted"
    assert watch(monitor, [corrupted(NEXT + 4, setting("quantity", lambda q: q + 4, 1.0))])[0].alerts


@pytest.mark.parametrize("do", ["accept", "reject"])
def test_commands_about_unknown_incidents_are_rejected_and_change_nothing(do):
    monitor = Monitor.restore(learned())
    (status,) = monitor.core.command(Command(do=do, incident="no-such-incident"))
    assert status["event"] == "command.rejected"
    assert monitor.snapshot() == learned()


def test_a_reset_forgets_everything_and_starts_anew():
    monitor, _ = ongoing()
    (status,) = monitor.core.command(Command(do="reset"))
    assert status["event"] == "command.accepted"
    assert monitor.core.reference is None
    assert not monitor.core.incidents.open
    verdicts = watch(monitor, stream(range(NEXT + 4, NEXT + 12)))
    assert verdicts[0].judgement.state == "cold"
    assert verdicts[-1].judgement.state == "warming"


# -- TopicMonitor: deltas in, cold start


def deltas(windows, profiler=None):
    profiler = profiler or StreamProfiler("orders")
    out = []
    for values, times in windows:
        first = profiler.partitions[0].next_offset if 0 in profiler.partitions else 0
        profiler.add(values, times, [0] * len(values), list(range(first, first + len(values))))
        out += profiler.drain()
    return out


def test_history_gives_limits_and_raises_no_alert():
    core = TopicMonitor("orders")
    history = [*stream(range(14)), corrupted(14, FAULT), *stream(range(15, 20))]
    for delta in deltas(history):
        core.merge_history(delta, "run-1")
    outcome = core.end_history(SENSITIVE, "run-1")
    assert outcome.verdicts == outcome.changes == []
    assert outcome.reference is not None
    for delta in deltas([corrupted(60, FAULT)]):
        core.merge(delta)
    live = core.advance(SENSITIVE, flush=True)
    assert [judgement.alerting for judgement in live.verdicts] == [True]
    assert live.verdicts[0].findings[0].field == "city"


def test_a_new_cold_start_forgets_what_an_unfinished_one_brought():
    core, fresh = TopicMonitor("orders"), TopicMonitor("orders")
    for delta in deltas([corrupted(number, FAULT) for number in range(6)]):
        core.merge_history(delta, "died")
    for monitor in (core, fresh):
        for delta in deltas(stream(range(10))):
            monitor.merge_history(delta, "again")
    assert core.end_history(SENSITIVE, "died").reference is None
    assert core.end_history(SENSITIVE, "again").reference.to_bytes() == fresh.end_history(SENSITIVE, "again").reference.to_bytes()


def test_deltas_that_come_twice_change_nothing():
    core, other = TopicMonitor("orders"), TopicMonitor("orders")
    for delta in deltas(stream(range(4))):
        core.merge(delta), core.merge(delta)
        other.merge(delta)
    one, two = (monitor.advance(SENSITIVE, flush=True).verdicts for monitor in (core, other))
    assert one == two


def test_a_topic_restored_without_open_panes_goes_on_when_they_are_merged_again():
    profiler = StreamProfiler("orders")
    core = TopicMonitor("orders")
    first = deltas(stream(range(8), records=50), profiler)
    for delta in first:
        core.merge(delta)
    core.advance(SENSITIVE)
    oldest = core.oldest_open_ms
    back = TopicMonitor.restore_sections(core.snapshot_sections())
    for delta in first:
        if delta.pane_start_ms >= oldest:
            back.merge(delta)
    rest = deltas(stream(range(8, 12), records=50), profiler)
    futures = []
    for monitor in (core, back):
        for delta in rest:
            monitor.merge(delta)
        futures.append(monitor.advance(SENSITIVE, flush=True).verdicts)
    assert futures[0] == futures[1]
    assert len(futures[0]) >= 4


def test_an_idle_topic_with_few_records_is_not_judged_on_every_pane():
    monitor = Monitor("t")
    values, times = [b'{"a":1}'] * 12, [BASE_MS + number * WINDOW_MS for number in range(12)]
    verdicts = monitor.observe(values, times) + monitor.flush()
    assert [verdict.records for verdict in verdicts] == [10, 2]


def test_an_unchanged_document_gives_the_same_verdict_whoever_asks():
    fault = corrupted(NEXT, thinned(0.4))
    again = verdict_on(learned(), fault, {"max_alerts": "2/day"})
    assert again.to_json() == verdict_on(learned(), fault).to_json()
    assert hashlib.sha256(learned()).digest() == hashlib.sha256(learned()).digest()


def test_incident_books_of_a_topic_and_of_its_snapshot_agree():
    monitor, incident = ongoing(2)
    book = IncidentBook.restore(monitor.core.incidents.snapshot())
    assert book.find(incident).causes == monitor.core.incidents.find(incident).causes
