"""Metrics in units that people know: the inverse of what the charts' scales do to them, as far as the reference is not needed.

Charts work on scales where healthy data has a steady spread (2 sqrt(records), Fisher's z, nats). Alerts and verdicts tell shares, counts,
milliseconds, correlations. Every function here is monotone, so an observed value and the limits of its range keep their order.

>>> in_units("records", 2 * math.sqrt(900), 900), in_units("ks", 2 * 500 * 0.3**2, 500)
(900.0, 0.3)
"""

from __future__ import annotations

import math
from collections.abc import Callable

_MAX_EXPONENT = 700.0

Scale = Callable[[float, float], float]
"""(x on the chart's scale, n) -> x as people know it."""


def _exp(x: float) -> float:
    return math.exp(min(x, _MAX_EXPONENT))


def _above(x: float, offset: float) -> float:
    """Undo log(y + offset)."""
    return max(_exp(x) - offset, 0.0)


def _root(x: float, offset: float) -> float:
    """Undo 0.5 log(y^2 + offset)."""
    return math.sqrt(max(_exp(2 * min(x, _MAX_EXPONENT / 2)) - offset, 0.0))


def _square(x: float) -> float:
    """Undo a square root."""
    return min(max(x, 0.0), 1e150) ** 2


def _share(x: float) -> float:
    return min(max(x, 0.0), 1.0)


_SCALES: dict[str, Scale] = {
    "records": lambda x, n: _square(x / 2),  # a window of the usual length
    "delay": lambda x, n: _above(x, 10.0),  # milliseconds, median
    "length_spread": lambda x, n: _root(x, 0.0025),  # bytes
    "distinct": lambda x, n: _share(x / 100),  # share of the values, among 100 of them
    "singles": lambda x, n: _share(x / 100),  # share of the values, among 100 of them
    "longest_run": lambda x, n: x + 1,  # records
    "ks": lambda x, n: math.sqrt(max(x, 0.0) / (2 * n)),  # distance, 0..1
    "categories_jsd": lambda x, n: x / (4 * n),  # nats a value
    "rank_mean": lambda x, n: x,  # mean normal score
    "rank_spread": lambda x, n: _above(x, 1e-3),
    "rank_kurtosis": lambda x, n: _above(x, 1e-3),
    "correlation": lambda x, n: math.tanh(x),
    "residual_raw": lambda x, n: _root(x, 1e-3),
    "residual_log": lambda x, n: _root(x, 1e-3),
    "residual_rank": lambda x, n: _root(x, 1e-3),
    "trees_chi": lambda x, n: _above(x, 1e-9),
}


def in_units(name: str, x: float, n: float) -> float:
    """The value of the metric `name` as people know it.

    Args:
        name: of the metric; a parameter after a colon does not matter. Unknown names (rates among them) are as they are.
        x: on the chart's scale. NaN and infinities stay what they are.
        n: records or values that it is about.
    """
    scale = _SCALES.get(name.partition(":")[0])
    return x if scale is None or not math.isfinite(x) else scale(x, max(n, 1.0))
