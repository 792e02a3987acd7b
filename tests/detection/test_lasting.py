"""Small shifts that last are noticed soon; healthy scores, also those that depend on the ones before, hardly ever."""

import numpy as np
import pytest

from stream_monitor.detection.lasting import LEAST_WINDOWS, Lasting, run, scores

GATE = 4.0
METRICS = 2000


def noise(windows, seed, memory=0.0):
    """Standard normal scores (windows, METRICS), each with this share of the one before."""
    rng = np.random.default_rng(seed)
    out = rng.normal(0, 1, (windows, METRICS))
    for place in range(1, windows):
        out[place] = memory * out[place - 1] + (1 - memory**2) ** 0.5 * out[place]
    return out


def learned(history, followed=None):
    """Charts after a history, at rest."""
    charts, _ = run(history, np.zeros(history.shape), np.ones(history.shape[1], np.bool_) if followed is None else followed, GATE)
    charts.mean, charts.high, charts.low = (np.zeros(history.shape[1]) for _ in range(3))
    return charts


def watched(charts, new):
    """Surprises (windows, metrics) of new scores."""
    return np.array([charts.update(z, np.zeros(len(z), np.bool_)) for z in new])


def test_scores_have_the_sign_of_the_difference_and_the_size_of_the_surprise():
    z = scores(np.array([0.0, 1.30103, 1.30103, 40.0]), np.array([True, True, False, True]))
    assert z[:3] == pytest.approx([0.0, 1.96, -1.96], abs=0.01)
    assert 8 < z[3] < 15


@pytest.mark.parametrize("shift", [1.0, -1.0])
def test_a_shift_of_one_sigma_is_noticed_within_eight_windows(shift):
    surprises = watched(learned(noise(150, 0)), noise(8, 1) + shift)
    healthy = watched(learned(noise(150, 0)), noise(8, 2))
    assert (surprises.max(0) > 1.5).mean() > 0.65
    assert (healthy.max(0) > 1.5).mean() < 0.08
    assert np.median(surprises.max(0)) > 1.9
    assert np.median(healthy.max(0)) < 0.8


def test_white_noise_hardly_ever_surprises():
    surprises = watched(learned(noise(150, 3)), noise(200, 4))[20:]
    assert (surprises >= 2).mean() < 0.011
    assert (surprises >= 3).mean() < 0.0015
    assert (surprises >= 2).mean() > 0.001  # nor is it deaf


def test_scores_that_depend_on_the_ones_before_are_given_more_room():
    history, new = noise(200, 5, memory=0.6), noise(200, 6, memory=0.6)
    charts = learned(history)
    assert np.median(charts.stretch) > 1.3
    assert np.median(learned(noise(200, 5)).stretch) < 1.1
    careless = learned(history)
    careless.stretch = np.ones(METRICS)
    wandering, usual = ((watched(one, new) >= 3).mean() for one in (careless, charts))
    assert usual < wandering / 5
    assert usual < 0.02


def test_too_little_history_and_metrics_not_followed_are_silent():
    assert not watched(learned(noise(LEAST_WINDOWS - 1, 0)), noise(20, 1) + 3).any()
    followed = np.arange(METRICS) % 2 == 0
    surprises = watched(learned(noise(100, 0), followed), noise(20, 1) + 1)
    assert not surprises[:, ~followed].any()
    assert (surprises[:, followed].max(0) > 2).mean() > 0.85


def test_a_single_wild_window_does_not_ring_on():
    charts = learned(noise(100, 0))
    charts.update(np.full(METRICS, 30.0), np.ones(METRICS, np.bool_))  # Shewhart's: starts afresh
    assert not charts.mean.any()
    assert not (charts.high + charts.low).any()
    assert (watched(charts, np.zeros((1, METRICS))) < 0.5).all()


def test_charts_aligned_and_restored_have_the_same_future():
    charts = learned(noise(100, 0, memory=0.5))
    watched(charts, noise(5, 1) + 1)
    back = Lasting.from_state(charts.to_state())
    turned = charts.aligned(np.array([3, -1, 0], np.int64))
    z = noise(1, 2)[0]
    gone = np.zeros(METRICS, np.bool_)
    expected = charts.update(z, gone)
    assert np.array_equal(back.update(z, gone), expected)
    assert np.array_equal(turned.update(z[[3, 1, 0]], gone[:3])[[0, 2]], expected[[3, 0]])
    assert turned.surprises()[0][1] == turned.surprises()[1][1] == 0
