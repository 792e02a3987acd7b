"""What the values of each field say against the reference: patterns, vocabulary, categories, distribution.

Rates of values in unusual places, energies of whole distributions (G, Jensen-Shannon, Kolmogorov-Smirnov, the most
over-represented bin and value), and clipped moments. Cost: O(fields * bins) a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import asinh, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from stream_monitor.decoding.columns import Column, Kind
from stream_monitor.detection.readings import Layer, Readings
from stream_monitor.detection.verdict import Aspect
from stream_monitor.profiling.measure import Measured
from stream_monitor.profiling.reference import FIXED_POINT, FieldProbabilities, FieldStructure, Reference

Floats = NDArray[np.float64]

TOP_PATTERNS = 6
LEAST_EXPECTED = 0.05
"""A value is expected at least this often in a window, however rare: one odd value is no catastrophe."""


def read_fields(readings: Readings, reference: Reference, measured: Measured, columns: Mapping[str, Column] | None) -> None:
    """Metrics of every field of the reference, from the sampled columns of a window and their measured vector; without columns
    those of the vector alone.
    """
    starts = np.concatenate([[0], np.cumsum(measured.layout.slots)]).astype(int)
    for j, (field, known) in enumerate(zip(reference.structure.fields, reference.probabilities.fields, strict=True)):
        column = columns.get(field.path) if columns is not None else None
        if column is not None:
            column = column.take(np.flatnonzero(column.kinds > Kind.NULL))
        if columns is not None:
            _read_vocabulary(readings, field, known, column, reference.probabilities.rows)
        _read_categories(readings, field.path, measured["bins"][j].astype(float), known.bins)
        if j in measured.layout.numeric:
            place = measured.layout.numeric.index(j)
            if columns is not None:
                _read_range(readings, field, known, column)
            _read_distribution(readings, field, known, measured["slots"][starts[place] : starts[place + 1]].astype(float))
            _read_moments(readings, field.path, measured["moments"][place])


def _read_vocabulary(readings: Readings, field: FieldStructure, known: FieldProbabilities, column: Column | None, rows: int) -> None:
    n = 0 if column is None else len(column)
    hashes, counts = (np.zeros(0, np.uint64), np.zeros(0)) if column is None else np.unique(column.hashes, return_counts=True)
    masks = np.zeros(0, np.uint64) if column is None else column.masks
    layer = Layer.VALUE if field.numeric else Layer.FORM  # the decimals of a number change with its value
    new_patterns = int(np.count_nonzero(~np.isin(masks, known.patterns)))
    readings.rate(Aspect.CONFORMITY, field.path, "new_pattern", new_patterns, n, layer, "patterns")
    for pattern, text in list(zip(field.top_patterns, field.pattern_texts, strict=True))[:TOP_PATTERNS]:
        readings.rate(Aspect.CONFORMITY, field.path, f"pattern:{text}", int(np.count_nonzero(masks == pattern)), n, layer, "patterns")
    seen = _counts(known, hashes)
    if field.closed:
        aspect = Aspect.INTEGRITY if field.numeric else Aspect.CONFORMITY
        readings.rate(aspect, field.path, "unseen_value", counts[seen == 0].sum(), n, layer, "categories")
    new = counts[seen == 0].max(initial=0)
    readings.rate(Aspect.COMPLETENESS, field.path, "repeated_new_value", max(new - 1, 0), n, Layer.VALUE, "categories")
    expected = np.maximum(n * (seen + 0.5) / (rows + 0.5), LEAST_EXPECTED)
    over = counts > expected
    scan = counts * np.log(np.maximum(counts, 1) / expected) - counts + expected
    readings.energy(Aspect.COMPLETENESS, field.path, "value_scan", float(scan[over].max(initial=0.0)), n, Layer.VALUE, "categories")


def _counts(known: FieldProbabilities, hashes: NDArray[np.uint64]) -> Floats:
    """How often each hash was seen in healthy data."""
    if not len(known.values):
        return np.zeros(len(hashes))
    place = np.minimum(np.searchsorted(known.values, hashes), len(known.values) - 1)
    return np.where(known.values[place] == hashes, known.counts[place], 0.0)


def _read_categories(readings: Readings, path: str, counts: Floats, healthy: Floats) -> None:
    """G = 2 sum c log(c / np), its half in nats; n times the Jensen-Shannon divergence; the most over-represented bin."""
    n = counts.sum()
    there = counts > 0
    g = (counts[there] * np.log(counts[there] / (n * healthy[there]))).sum() if n else 0.0
    readings.energy(Aspect.INTEGRITY, path, "categories_g", max(g, 0.0), n, Layer.VALUE, "categories")
    z = (counts - n * healthy) / np.sqrt(n * healthy * (1 - healthy) + 0.3)
    readings.energy(Aspect.INTEGRITY, path, "category_peak", float(max(z.max(), 0.0)) ** 2 / 2, n, Layer.VALUE, "categories")
    share = counts / max(n, 1)
    middle = (share + healthy) / 2
    divergence = 0.5 * ((share[there] * np.log(share[there] / middle[there])).sum() + (healthy * np.log(healthy / middle)).sum())
    readings.energy(Aspect.INTEGRITY, path, "categories_jsd", 4 * n * max(float(divergence), 0.0), n, Layer.VALUE, "categories")


def _read_range(readings: Readings, field: FieldStructure, known: FieldProbabilities, column: Column | None) -> None:
    x = np.zeros(0) if column is None else column.numbers[(column.kinds == Kind.INT) | (column.kinds == Kind.FLOAT)]
    low, high = field.tails
    for name, count in (
        ("below_range", x < known.low), ("above_range", x > known.high), ("low_tail", x < low), ("high_tail", x > high),
    ):
        readings.rate(Aspect.INTEGRITY, field.path, name, int(np.count_nonzero(count)), len(x), Layer.VALUE)


def _read_distribution(readings: Readings, field: FieldStructure, known: FieldProbabilities, counts: Floats) -> None:
    """Kolmogorov-Smirnov distance at the reference edges, 2 n D^2 in nats; moments of the normal scores of the ranks."""
    n = counts.sum()
    share = counts / max(n, 1)
    distance = np.abs(np.cumsum(share) - np.cumsum(known.slots)).max() if n else 0.0
    readings.energy(Aspect.INTEGRITY, field.path, "ks", 2 * n * distance**2, n, Layer.VALUE, "ks")
    score = ndtri(field.ranks)
    mean = share @ score
    spread = sqrt(max(share @ score**2 - mean**2, 0.0))
    for name, x in (
        ("rank_mean", mean), ("rank_spread", log(spread + 1e-3)), ("rank_kurtosis", log(share @ score**4 + 1e-3)),
    ):
        readings.level(Aspect.INTEGRITY, field.path, name, x if n > 2 else np.nan, n, Layer.VALUE, floor=0.001)


def _read_moments(readings: Readings, path: str, sums: NDArray[np.int64]) -> None:
    n = int(sums[0])
    mean, square = (sums[1] / FIXED_POINT / n, sums[2] / FIXED_POINT / n) if n else (0.0, 0.0)
    spread = sqrt(max(square - mean**2, 0.0))
    nothing = n < 3
    readings.level(Aspect.INTEGRITY, path, "mean", np.nan if nothing else asinh(5 * mean), n, Layer.VALUE, floor=0.001)
    readings.level(Aspect.INTEGRITY, path, "spread", np.nan if nothing else log(spread + 1e-3), n, Layer.VALUE, floor=0.01)
