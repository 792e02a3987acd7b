import math

import pytest

from stream_monitor.detection.units import in_units

N = 400
KNOWN = [
    ("records", 2 * math.sqrt(120), 120), ("delay", math.log(2500 + 10), 2500), ("length_spread", 0.5 * math.log(4**2 + 0.0025), 4),
    ("distinct", 50.0, 0.5), ("singles", 25.0, 0.25), ("longest_run", 11, 12),
    ("ks", 2 * N * 0.31**2, 0.31), ("categories_jsd", 4 * N * 0.02, 0.02), ("rank_mean", -0.7, -0.7),
    ("rank_spread", math.log(1.4 + 1e-3), 1.4), ("rank_kurtosis", math.log(3 + 1e-3), 3),
    ("correlation:amount", math.atanh(0.9), 0.9), ("residual_raw", 0.5 * math.log(2**2 + 1e-3), 2),
    ("trees_chi", math.log(0.4 + 1e-9), 0.4), ("null", 0.21, 0.21), ("value_scan", 17.0, 17.0),
]


@pytest.mark.parametrize(("name", "x", "known"), KNOWN)
def test_a_metric_is_told_in_units_that_people_know(name, x, known):
    assert in_units(name, x, N) == pytest.approx(known)


@pytest.mark.parametrize("name", [name for name, _, _ in KNOWN])
def test_order_is_kept_and_nothing_overflows(name):
    xs = [-math.inf, -1e300, -5.0, -0.1, 0.0, 0.1, 5.0, 1e300, math.inf]
    told = [in_units(name, x, 0) for x in xs]
    assert told == sorted(told)
    assert math.isnan(in_units(name, math.nan, N))
