"""Linear relations between numbers: what each should be, given the others.

In three spaces, because each finds what the others miss: raw values find sums (a total of parts), signed logarithms find
products (total = quantity x price), normal scores of ranks find monotone ties. Residuals come from the precision matrix:
with P the inverse covariance, row j of P / P_jj maps a standardised record to x_j minus its best linear prediction.
Cost of learning: O(rows * m^2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from stream_monitor.detection.pool import Pool, are_numbers
from stream_monitor.profiling.measure import SPACES, slot_numbers
from stream_monitor.profiling.reference import Linear, Structure

Floats = NDArray[np.float64]

RIDGE = 1e-6
"""Added to the correlation matrix, so that exact relations stay invertible."""


def learn_linear(structure: Structure, pool: Pool) -> tuple[Linear, ...]:
    """One `Linear` a space, from the rows of the pool; missing numbers count as their mean."""
    return tuple(_learn(_space(structure, pool, space)) for space in range(len(SPACES)))


def _space(structure: Structure, pool: Pool, space: int) -> Floats:
    values = np.full((len(pool), len(structure.numbers)), np.nan)
    for k, j in enumerate(structure.numbers):
        field = structure.fields[j]
        column = pool.columns[field.path]
        number = are_numbers(column) & pool.teaches(field.path)
        x = np.where(number, column.numbers, np.nan)
        if space == 1:
            x = np.sign(x) * np.log1p(np.abs(x))
        if space == 2:
            x = ndtri(field.ranks)[slot_numbers(field, column)]
        values[:, k] = np.where(number, x, np.nan)
    return values


def _learn(values: Floats) -> Linear:
    m = values.shape[1]
    if not m or not len(values):
        return Linear(np.zeros(m), np.ones(m), np.eye(m), np.full(m, np.inf), np.ones(m))
    center, scale = np.nanmean(values, 0), np.nanstd(values, 0) + 1e-12
    z = np.nan_to_num(np.clip((values - center) / scale, -20, 20))
    precision = np.linalg.inv(z.T @ z / len(z) + RIDGE * np.eye(m))
    weights = precision / np.diag(precision)[:, None]
    residuals = z @ weights.T
    squares = residuals**2
    spread = np.sqrt(np.minimum(squares, np.quantile(squares, 0.99, axis=0)).mean(0)) + 1e-6
    return Linear(center, scale, weights, np.quantile(np.abs(residuals), 0.999, axis=0) * 1.2 + 1e-9, spread)
