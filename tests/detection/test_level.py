"""Levels stay honest about healthy windows, also where some of the history was not healthy."""

import numpy as np
import pytest

from stream_monitor.detection.level import PRIOR_SCALE, Level


def healthy(seed, count=200):
    return np.random.default_rng(seed).exponential(PRIOR_SCALE, count)


def test_faults_in_a_tenth_of_the_history_do_not_blind_the_level():
    series = healthy(1)
    clean = Level.fit(series)
    series[::10] = np.linspace(20, 300, 20)
    faulty = Level.fit(series)
    assert faulty.surprise(10.0) > 5
    assert faulty.surprise(10.0) == pytest.approx(float(clean.surprise(10.0)), rel=0.5)


def test_on_healthy_history_nothing_is_called_wild():
    for seed in range(20):
        level = Level.fit(healthy(seed))
        assert 0.2 < level.chance(2.0) / 0.01 < 4


def test_the_level_is_monotone_however_extreme():
    series = healthy(2)
    series[:30] = 50
    level = Level.fit(series)
    values = level.surprise(np.array([1.0, 5.0, 50.0, 1e3, 1e6]))
    assert (np.diff(values) > 0).all()
