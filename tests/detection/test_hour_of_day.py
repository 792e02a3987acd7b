import numpy as np
import pytest

from stream_monitor.detection.hour_of_day import HOUR_MS, HOURS, hour_effects, hours_of

RHYTHM = 2 * np.sin(np.arange(HOURS) / HOURS * 2 * np.pi)


def stream(days, rhythm=None, every_ms=HOUR_MS // 4, metrics=200, seed=0):
    """Standard normal values of windows over some days, and their times; the rhythm is added."""
    times = np.arange(0, days * HOURS * HOUR_MS, every_ms)
    x = np.random.default_rng(seed).normal(0, 1, (len(times), metrics))
    return (x if rhythm is None else x + rhythm[hours_of(times)][:, None]), times


def test_hours_are_those_of_the_day():
    assert hours_of(np.array([0, HOUR_MS - 1, HOUR_MS, 25 * HOUR_MS])).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("days", [4, 10])
def test_a_planted_daily_rhythm_is_found(days):
    x, times = stream(days, RHYTHM)
    effects = hour_effects(x, times)
    assert np.abs(effects - RHYTHM[:, None]).mean() < 1.2 * (2 / np.pi / (4 * days)) ** 0.5  # what 4 windows an hour leave of noise
    assert np.abs(effects.mean(1) - RHYTHM).max() < 0.15


def test_without_a_rhythm_hardly_anything_is_taken_off():
    x, times = stream(10)
    effects = hour_effects(x, times)
    assert (effects == 0).all(0).mean() > 0.95
    assert (effects**2).mean() < 0.001


def test_less_than_three_days_say_nothing():
    x, times = stream(4, RHYTHM)
    short = times < 3 * HOURS * HOUR_MS - HOUR_MS
    assert not hour_effects(x[short], times[short]).any()
    assert hour_effects(x, times).any()


def test_few_windows_say_nothing_however_long_they_took():
    x, times = stream(30, RHYTHM, every_ms=HOURS * HOUR_MS)
    assert not hour_effects(x, times).any()


def test_an_hour_never_seen_and_values_that_are_none_count_for_nothing():
    x, times = stream(10, RHYTHM)
    seen = hours_of(times) != 7
    holes = np.where(np.random.default_rng(1).random(x.shape) < 0.3, np.nan, x)
    effects = hour_effects(holes[seen], times[seen])
    assert not effects[7].any()
    assert np.abs(np.delete(effects, 7, 0).mean(1) - np.delete(RHYTHM, 7)).max() < 0.2
    assert not hour_effects(np.full_like(x, np.nan), times).any()


def test_a_fault_at_one_hour_of_one_day_is_not_taken_for_a_rhythm():
    x, times = stream(10)
    clean = hour_effects(x, times)
    x[100:102] = 1000.0
    assert np.abs(hour_effects(x, times) - clean).max() < 1.0
