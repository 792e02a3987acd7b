import numpy as np
import pytest

from stream_monitor.detection.memory import DENSE, STEP, TIERS, Memory, Remembered, is_kept
from stream_monitor.detection.pool import PaneRows, Pool, absent
from stream_monitor.detection.readings import Layer, Readings, Table
from stream_monitor.detection.schedule import LONGEST, first_training, next_training
from stream_monitor.detection.shift import ADAPT_AFTER, ShiftTracker, is_stable
from stream_monitor.detection.verdict import Aspect, Finding, Judgement


def metrics(value, number=0):
    readings = Readings()
    readings.level(Aspect.INTEGRITY, "a", "mean", value, 10, Layer.VALUE, floor=0.1)
    readings.rate(Aspect.COMPLETENESS, None, "null", value, 10, Layer.MISSING)
    return Table.of(readings, number)


def memory_of(windows):
    memory = Memory()
    for number in range(windows):
        memory.remember(Remembered(number, number * 1000, (), PaneRows(0, {}).to_bytes()), metrics(number % 5, number * 1000))
    return memory


# -- which windows are remembered


def test_the_recent_past_is_remembered_window_by_window_and_older_ones_ever_more_thinly():
    newest = 20_000
    kept = np.array([number for number in range(newest + 1) if is_kept(number, newest)])
    ages = newest - kept
    assert (ages < DENSE).sum() == DENSE
    reach = DENSE
    for tier in range(1, TIERS):
        stop = reach + DENSE * STEP**tier
        share = ((ages >= reach) & (ages < stop)).sum() / (stop - reach)
        assert share == pytest.approx(STEP**-tier, rel=0.1)
        reach = stop
    assert ages.max() < reach


def test_what_was_forgotten_is_never_asked_for_again():
    for number in range(0, 3000, 7):
        kept = [is_kept(number, newest) for newest in range(number, number + 12_000, 11)]
        assert kept == sorted(kept, reverse=True)


def test_memory_is_bounded():
    assert max(sum(is_kept(n, newest) for n in range(newest + 1)) for newest in (500, 5_000, 20_011)) <= DENSE * TIERS + TIERS


def test_thinning_keeps_windows_and_their_metrics_together():
    memory = memory_of(400)
    memory.thin()
    assert len(memory) == len(memory.table) < 400
    for window, time, first in zip(memory.windows, memory.table.times_ms, memory.table.first[:, 0], strict=True):
        assert time == window.start_ms
        assert first == window.number % 5


def test_what_is_forgotten_of_a_field_no_longer_teaches_but_the_rest_does():
    memory = memory_of(6)
    memory.forget(frozenset({"a"}), since_ms=4000)
    taught = memory.lessons(memory.table)
    assert np.isnan(taught.first[4:, 0]).all()
    assert not np.isnan(taught.first[:4]).any()
    assert not np.isnan(taught.first[4:, 1]).any()
    assert not np.isnan(memory.table.first).any()  # a copy: what happened is still known


def test_an_accepted_shift_teaches_only_from_where_it_began():
    memory = memory_of(8)
    memory.windows[6].excluded = frozenset({"a"})
    memory.accept_shift(frozenset({"a"}), since=5)
    assert np.isnan(memory.lessons(memory.table).first[:5, 0]).all()
    assert not np.isnan(memory.lessons(memory.table).first[5:, 0]).any()
    assert memory.windows[6].excluded == frozenset()


# -- tables


def test_tables_of_different_metrics_align():
    one, other = metrics(1), Readings()
    other.energy(Aspect.INTEGRITY, "b", "ks", 2.0, 10, Layer.VALUE)
    table = one.below(Table.of(other, 5))
    assert table.first.shape == (2, 3)
    assert np.isnan(table.first[0, 2])
    assert np.isnan(table.first[1, :2]).all()
    assert (table.second[1, :2] == 0).all()
    back = table.aligned(one.specs)
    assert back.first[0].tolist() == one.first[0].tolist()


def test_rates_stay_within_their_bounds_whatever_is_counted():
    readings = Readings()
    readings.rate(Aspect.COMPLETENESS, "a", "null", 12, 10, Layer.MISSING)
    readings.rate(Aspect.COMPLETENESS, "a", "empty", -1, 10, Layer.MISSING)
    assert readings.first == [10, 0]


# -- sampled rows


def test_sampled_rows_survive_their_bytes():
    column = absent(4)
    column.kinds[:] = [0, 1, 4, 5]
    column.numbers[2], column.hashes[2:], column.masks[3] = 2.5, [7, 8], 9
    back = PaneRows.from_bytes(PaneRows(4, {"x": column}).to_bytes()).columns["x"]
    for name in ("kinds", "numbers", "hashes", "masks"):
        assert np.array_equal(getattr(back, name), getattr(column, name), equal_nan=name == "numbers")


def test_a_field_that_a_pane_lacks_is_absent_there():
    column = absent(2)
    column.kinds[:] = 3
    pool = Pool.join([PaneRows(2, {"x": column}), PaneRows(3, {}), PaneRows(2, {"x": column}, frozenset({"x"}))])
    assert len(pool) == 7
    assert pool.columns["x"].kinds.tolist() == [3, 3, 0, 0, 0, 3, 3]
    assert pool.teaches("x").tolist() == [True] * 5 + [False] * 2
    assert pool.teaches("unknown").all()
    part = pool.select(np.arange(7) >= 4)
    assert part.teaches("x").tolist() == [True, False, False]


# -- when to train


def test_training_is_frequent_at_first_and_never_too_rare():
    at = [first_training()]
    while at[-1] < 5000:
        at.append(next_training(at[-1]))
    gaps = np.diff(at)
    assert (gaps >= 1).all()
    assert gaps.max() <= LONGEST
    assert len([number for number in at if number <= 100]) >= 7
    assert len(at) < 30


# -- shifts that stay


def judgement(value, *, alerting=True, field="a"):
    finding = Finding(Aspect.INTEGRITY, field, "ks", "mean", value, (0.0, 1.0), 50.0, 0.5, None, ())
    aspects, findings = ((Aspect.INTEGRITY,), (finding,)) if alerting else ((), ())
    return Judgement("t", 0, 1, 10, "ready", 50.0, {}, alerting, aspects, findings, (), 1)


def test_a_level_that_stays_is_accepted_once_from_where_it_began():
    tracker, noise = ShiftTracker(), np.random.default_rng(0)
    accepted = [tracker.update(judgement(8 + noise.normal(0, 0.3)), number) for number in range(100, 100 + ADAPT_AFTER)]
    assert accepted[:-1] == [None] * (ADAPT_AFTER - 1)
    assert accepted[-1].fields == frozenset({"a"})
    assert accepted[-1].since == 100
    assert tracker.update(judgement(8.0), 200) is None


def test_a_level_that_keeps_moving_is_not_accepted():
    tracker = ShiftTracker()
    assert not any(tracker.update(judgement(float(number)), number) for number in range(200))


def test_three_quiet_windows_end_a_streak():
    tracker = ShiftTracker()
    for number in range(ADAPT_AFTER - 1):
        tracker.update(judgement(8.0), number)
    for number in range(3):
        tracker.update(judgement(0.0, alerting=False), ADAPT_AFTER + number)
    assert tracker.update(judgement(8.0), ADAPT_AFTER + 4) is None
    assert tracker.since == ADAPT_AFTER + 4


def test_a_single_quiet_window_does_not_end_a_streak():
    tracker = ShiftTracker()
    accepted = [tracker.update(judgement(8.0, alerting=number % 4 != 3), number) for number in range(60)]
    assert sum(found is not None for found in accepted) == 1


def test_a_tracker_restored_has_the_same_future():
    whole, half = ShiftTracker(), ShiftTracker()
    futures = []
    for number in range(50):
        if number == 17:
            half = ShiftTracker.from_state(half.to_state())
        futures.append((whole.update(judgement(8.0 + number % 3), number), half.update(judgement(8.0 + number % 3), number)))
    assert all(one == other for one, other in futures)
    assert any(one for one, _ in futures)


def test_what_moves_early_or_not_at_all_is_stable():
    steady = np.random.default_rng(0).normal(0, 0.1, 60)
    assert is_stable(steady.tolist())
    assert is_stable((steady + np.where(np.arange(60) < 10, 5, 0)).tolist())
    assert not is_stable([1.0] * 5)  # too few to tell


def test_what_moves_late_is_not_stable():
    steady = np.random.default_rng(0).normal(0, 0.1, 60)
    assert not is_stable((steady + np.where(np.arange(60) < 40, 5, 0)).tolist())
