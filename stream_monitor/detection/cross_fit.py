"""Blocked cross-fit: history judged out of sample, and cleaned by its own surprises.

A window judged by limits that it helped to set looks tamer than a new one will. So history is cut into contiguous blocks
(neighbours in time are alike, random folds would leak) and each block is judged by charts, and measured by references,
learned from the others. Windows whose largest surprise passes a Bonferroni limit are then dropped and the rest refitted, so
that faults in the history don't teach.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_monitor.detection.charts import Charts
from stream_monitor.detection.readings import Table

Floats = NDArray[np.float64]

FOLDS = 5
TRIM_CHANCE = 0.01
TRIM_ROUNDS = 3
TRIM_MOST = 0.2


def blocks(windows: int, folds: int = FOLDS) -> NDArray[np.int64]:
    """(windows,): the contiguous block, 0..folds-1, of each window."""
    return np.arange(windows) * min(folds, max(windows, 1)) // max(windows, 1)


def cross_fit(history: Table, healthy: NDArray[np.bool_], folds: NDArray[np.int64]) -> Floats:
    """(windows, metrics) -log10 p of every window, judged by charts of the healthy windows of the other blocks."""
    out = np.zeros(history.first.shape)
    for fold in np.unique(folds):
        others = healthy & (folds != fold)
        if others.sum() >= 2:
            out[folds == fold] = Charts(history.rows(others)).surprise(history.rows(folds == fold))
    return out


def trim(history: Table, folds: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Cross-fitted surprises, and which windows are healthy enough to teach."""
    healthy = np.ones(len(history), np.bool_)
    surprise = cross_fit(history, healthy, folds)
    for _ in range(TRIM_ROUNDS):
        worst = surprise.max(1, initial=0.0)
        limit = -np.log10(TRIM_CHANCE / max(surprise.shape[1] * len(history), 1))
        suspects = np.flatnonzero(healthy & (worst > limit))
        most = int(TRIM_MOST * len(history))
        suspects = suspects[np.argsort(-worst[suspects], kind="stable")][:most]
        if not len(suspects):
            break
        healthy[suspects] = False
        surprise = cross_fit(history, healthy, folds)
    return surprise, healthy
