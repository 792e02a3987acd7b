"""Each metric's natural tail: rates, levels, energies, and the level that calibrates largest surprises."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import betabinom

from stream_monitor.detection.beta_binomial import BetaBinomial, tails
from stream_monitor.detection.exponential import Exponential
from stream_monitor.detection.level import Level
from stream_monitor.detection.robust_t import RobustT

TWO_SIDED = np.zeros(1, np.bool_)
ONE_SIDED = np.ones(1, np.bool_)


def column(values):
    return np.asarray(values, float).reshape(-1, 1)


def fitted(x, floor=None, n=100.0):
    """Limits of windows of n records, one a minute."""
    x = np.asarray(x, float)
    return RobustT.fit(x, np.full(x.shape, n), np.arange(len(x)) * 60_000, np.zeros(x.shape[1]) if floor is None else floor)


def level_surprise(charts, x, n=100.0):
    """Of windows at midnight, two-sided."""
    return charts.surprise(x, np.full(x.shape, n), np.zeros(len(x), np.int64), np.zeros(x.shape[1], np.bool_))


def claimed(surprises, p):
    """Share of surprises that claim a chance of at most p, over p: 1 is honest."""
    return float((surprises >= -np.log10(p)).mean()) / p


# -- rates


@pytest.mark.parametrize("n", [1, 7, 500])
@pytest.mark.parametrize(("a", "b"), [(0.1, 300.0), (2.0, 5.0), (40.0, 0.1), (300.0, 900.0)])
def test_rate_tails_are_the_beta_binomials(n, a, b):
    points = betabinom.logpmf(np.arange(n + 1), n, a, b)  # scipy's own tails lose their digits far out
    for k in sorted({0, 1, n // 3, n - 1, n}):
        above, below = tails(float(k), float(n), a, b)
        assert above == pytest.approx(logsumexp(points[k:]) / np.log(10), abs=1e-6)
        assert below == pytest.approx(logsumexp(points[: k + 1]) / np.log(10), abs=1e-6)


def first_nulls(windows, nulls=1.0):
    charts = BetaBinomial.fit(np.zeros((windows, 1)), np.full((windows, 1), 500.0))
    return float(charts.surprise(column([nulls]), column([500.0]), TWO_SIDED)[0, 0])


def test_the_first_null_is_as_surprising_as_the_history_is_long():
    surprises = [first_nulls(windows) for windows in (10, 30, 100, 300, 1000)]
    assert surprises == sorted(surprises)
    assert surprises[-1] - surprises[0] > 1.5  # a hundred times the history, about a hundred times the surprise


def test_several_first_nulls_are_more_surprising_than_one():
    surprises = [first_nulls(100, nulls) for nulls in (1, 2, 5, 50, 500)]
    assert (np.diff(surprises) > 0.1).all()


def test_windows_without_values_neither_teach_nor_surprise():
    k, n = column([0, 0, 0, 5]), column([100, 0, 100, 100])
    with_hollow, without = BetaBinomial.fit(k, n), BetaBinomial.fit(k[[0, 2, 3]], n[[0, 2, 3]])
    assert with_hollow.alpha / with_hollow.beta == pytest.approx(without.alpha / without.beta)
    assert with_hollow.surprise(column([0]), column([0]), TWO_SIDED)[0, 0] == 0


def test_a_rate_that_varies_between_windows_is_given_more_room():
    rng = np.random.default_rng(0)
    n = np.full((200, 1), 400.0)
    steady = BetaBinomial.fit(column(rng.binomial(400, 0.2, 200)), n)
    loose = BetaBinomial.fit(column(rng.binomial(400, rng.beta(20, 80, 200))), n)
    seen = (column([110]), column([400]), TWO_SIDED)
    assert loose.surprise(*seen)[0, 0] < steady.surprise(*seen)[0, 0] / 2


def test_one_sided_rates_are_not_surprised_by_less():
    charts = BetaBinomial.fit(np.full((50, 1), 20.0), np.full((50, 1), 100.0))
    less = column([0]), column([100])
    assert charts.surprise(*less, ONE_SIDED)[0, 0] == 0
    assert charts.surprise(*less, TWO_SIDED)[0, 0] > 3
    assert charts.surprise(column([60]), column([100]), ONE_SIDED)[0, 0] > 3


@pytest.mark.parametrize("rate", [0.002, 0.1, 0.5])
@pytest.mark.parametrize("p", [0.1, 0.01])
def test_rate_charts_are_calibrated_or_cautious_on_healthy_draws(rate, p):
    rng = np.random.default_rng(int(rate * 1000))
    metrics = 4000  # many metrics, one new window each
    n = np.full((60, metrics), 300.0)
    charts = BetaBinomial.fit(rng.binomial(300, rate, (60, metrics)).astype(float), n)
    surprises = charts.surprise(rng.binomial(300, rate, (1, metrics)).astype(float), n[:1], np.zeros(metrics, np.bool_))
    assert claimed(surprises, p) < 1.5
    if rate >= 0.1:  # with few counts discreteness alone makes it cautious
        assert claimed(surprises, p) > 0.4


def test_rates_expect_what_is_usual():
    charts = BetaBinomial.fit(np.full((80, 1), 30.0), np.full((80, 1), 100.0))
    low, high = charts.expected(0, 100)
    assert 0 <= low < 0.3 < high < 0.6


# -- levels


def test_a_metric_that_never_varied_is_not_infinitely_surprised_by_a_trifle():
    charts = fitted(np.full((100, 1), 3.0), np.array([0.01]))
    assert level_surprise(charts, column([3.005]))[0, 0] < 1
    assert 2 < level_surprise(charts, column([4.0]))[0, 0] < 50


def test_each_side_of_a_level_has_its_own_scale():
    charts = fitted(np.random.default_rng(0).exponential(1, (400, 1)))
    middle, reach = charts.center[0], 2.5
    assert level_surprise(charts, column([middle - reach]))[0, 0] > level_surprise(charts, column([middle + reach]))[0, 0] + 0.5


def test_one_wild_window_in_the_history_does_not_widen_a_level():
    x = np.random.default_rng(1).normal(0, 1, (150, 1))
    wild = np.vstack([x, [[1e6]]])
    new = column([8.0])
    clean, after = (level_surprise(fitted(history), new)[0, 0] for history in (x, wild))
    assert after > clean / 2


def test_levels_without_a_number_say_nothing():
    charts = fitted(np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]]), np.full(2, 0.1))
    surprises = level_surprise(charts, np.array([[np.nan, 5.0], [1.5, np.nan]]))
    assert surprises[0, 0] == surprises[1, 1] == 0
    assert np.isfinite(surprises).all()


@pytest.mark.parametrize("windows", [20, 150])
@pytest.mark.parametrize("p", [0.1, 0.01])
def test_level_charts_are_calibrated_or_cautious_on_healthy_draws(windows, p):
    rng = np.random.default_rng(windows)
    charts = fitted(rng.normal(5, 2, (windows, 6000)))
    assert 0.2 < claimed(level_surprise(charts, rng.normal(5, 2, (1, 6000))), p) < 1.3


def means(rng, windows, n, shared=0.0):
    """Means of n numbers, (windows, 3000), of which a part varies alike whatever n is."""
    return 5 + rng.normal(0, 1, (windows, 3000)) * np.sqrt(shared + 1 / np.asarray(n))


@pytest.mark.parametrize("shared", [0.0, 0.01], ids=["sampling alone", "drift too"])
@pytest.mark.parametrize("n", [20.0, 100.0, 2000.0])
@pytest.mark.parametrize("p", [0.1, 0.01])
def test_windows_of_any_size_are_calibrated_by_a_history_of_varied_ones(shared, n, p):
    rng = np.random.default_rng(7)
    sizes = rng.choice([20.0, 60.0, 300.0, 2000.0], (300, 1))
    history = means(rng, 300, sizes, shared)
    charts = RobustT.fit(history, np.broadcast_to(sizes, history.shape), np.arange(300) * 60_000, np.zeros(3000))
    share = claimed(level_surprise(charts, means(rng, 4, n, shared), n), p)
    assert share < 1.3
    if p == 0.1 or n < 2000:  # far out the largest windows are judged with caution: their own part in the variance is hard to tell
        assert share > 0.2


def test_what_varies_with_the_number_of_records_is_told_from_what_does_not():
    rng = np.random.default_rng(8)
    sizes = rng.choice([20.0, 60.0, 300.0, 2000.0], (300, 1))
    for shared, low, high in ((0.0, 0.0, 0.2), (10.0, 0.8, 1.0)):
        history = means(rng, 300, sizes, shared)
        charts = RobustT.fit(history, np.broadcast_to(sizes, history.shape), np.arange(300) * 60_000, np.zeros(3000))
        assert low <= np.median(charts.shared) <= high


def test_limits_and_expected_ranges_are_wider_for_fewer_records_and_move_with_the_hour():
    rng = np.random.default_rng(9)
    times = np.arange(24 * 14) * 3_600_000
    sizes = rng.choice([20.0, 200.0], (len(times), 1))
    x = rng.normal(0, 1, sizes.shape) / np.sqrt(sizes) + np.where(times // 3_600_000 % 24 < 12, 3.0, -3.0)[:, None]
    charts = RobustT.fit(x, sizes, times, np.zeros(1))
    at = {(n, hour): charts.expected(0, n, hour * 3_600_000) for n in (20.0, 200.0) for hour in (3, 15)}
    assert at[20.0, 3][1] - at[20.0, 3][0] > 2 * (at[200.0, 3][1] - at[200.0, 3][0])
    assert at[200.0, 3][0] > at[200.0, 15][1]
    for (n, hour), (low, high) in at.items():
        assert low < (3.0 if hour < 12 else -3.0) < high
        least, most = charts.limits(np.full((1, 1), n), np.array([hour * 3_600_000]), 4.0)
        assert least[0, 0] < low < high < most[0, 0]
        edge = charts.surprise(most, np.full((1, 1), n), np.array([hour * 3_600_000]), TWO_SIDED)
        assert edge[0, 0] == pytest.approx(4.0, abs=1e-6)


# -- energies


def test_energies_of_the_assumed_kind_are_calibrated():
    rng = np.random.default_rng(0)
    charts = Exponential.fit(rng.exponential(1, (100, 8000)))
    surprises = charts.surprise(rng.exponential(1, (1, 8000)))
    assert 0.6 < claimed(surprises, 0.1) < 1.4
    assert 0.5 < claimed(surprises, 0.01) < 1.5


def test_energies_learn_a_larger_scale_from_history():
    rng = np.random.default_rng(1)
    narrow, wide = (Exponential.fit(rng.exponential(scale, (200, 1))) for scale in (1, 6))
    assert wide.surprise(column([15]))[0, 0] < narrow.surprise(column([15]))[0, 0] - 2


def test_energies_grow_without_end_and_nan_says_nothing():
    charts = Exponential.fit(np.random.default_rng(2).exponential(1, (100, 1)))
    surprises = charts.surprise(column([0, 1, 5, 20, 1e3, 1e6, np.nan]))[:, 0]
    assert (np.diff(surprises[:6]) >= 0).all()
    assert (np.diff(surprises[2:6]) > 0).all()
    assert surprises[6] == 0


# -- the level of largest surprises


def test_a_level_is_strictly_monotone_far_beyond_its_history():
    level = Level.fit(np.random.default_rng(0).exponential(0.4343, 60))
    x = np.linspace(level.history[-1], 1e6, 400)
    assert (np.diff(level.surprise(x)) > 0).all()


@pytest.mark.parametrize("windows", [10, 30, 100, 300])
def test_a_level_never_spends_more_than_asked(windows):
    rng = np.random.default_rng(windows)
    levels = [Level.fit(series) for series in rng.exponential(0.4343, (300, windows))]
    spent = np.mean([level.surprise(rng.exponential(0.4343, 20)) >= 2 for level in levels])
    assert spent < 0.015
    if windows >= 100:
        assert spent > 0.004


def test_fewer_windows_make_a_level_more_cautious():
    shape = 0.4343 * -np.log(1 - (np.arange(400) + 0.5) / 400)
    at = [float(Level.fit(shape[place::step]).surprise(4.0)) for step, place in ((40, 20), (10, 5), (1, 0))]
    assert at == sorted(at)
    assert at[0] < at[-1]


def test_faults_in_the_history_do_not_widen_a_level():
    healthy = np.random.default_rng(3).exponential(0.4343, 200)
    faulty = np.concatenate([healthy[:-6], np.full(6, 40.0)])  # 3 %
    assert float(Level.fit(faulty).surprise(6.0)) > 0.75 * float(Level.fit(healthy).surprise(6.0))


def test_a_threshold_is_where_the_chance_is_that_of_the_threshold():
    level = Level.fit(np.random.default_rng(4).exponential(0.4343, 150))
    for chance in (0.1, 0.01, 1e-4, 1e-8):
        assert level.chance(level.threshold(chance)) == pytest.approx(chance, rel=1e-9)


def test_a_level_without_history_is_that_of_honest_p_values():
    level = Level.fit(np.zeros(0))
    assert 1.0 < float(level.surprise(2.0)) < 2.2
