"""Blocked cross-fit: history judged out of sample, and cleaned by its own surprises.

A window judged by limits that it helped to set looks tamer than a new one will. So history is cut into contiguous blocks
(neighbours in time are alike, random folds would leak) and each block is judged by charts, and measured by references,
learned from the others. Windows whose largest surprise passes a Bonferroni limit are then dropped and the rest refitted, so
that faults in the history don't teach.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from stream_monitor.detection.charts import Charts
from stream_monitor.detection.level import count_runs
from stream_monitor.detection.readings import Table

Floats = NDArray[np.float64]

FOLDS = 5
TRIM_CHANCE = 0.01
TRIM_ROUNDS = 3
RARE = 0.08
"""Faults are rare: a field that surprises in more runs of windows than that share has a habit, not a fault, and must teach it."""
SUSPICIOUS_CLIP = 0.95


def blocks(windows: int, folds: int = FOLDS) -> NDArray[np.int64]:
    """(windows,): the contiguous block, 0..folds-1, of each window."""
    return np.arange(windows) * min(folds, max(windows, 1)) // max(windows, 1)


def blocks_apart(groups: Sequence[Hashable]) -> NDArray[np.int64]:
    """(windows,): the blocks of windows in several groups, each of which is cut on its own: no block holds all of a group.

    Windows that teach about other fields than most do are such a group: after an accepted shift only the last ones know the field.
    """
    out = np.zeros(len(groups), np.int64)
    for group in dict.fromkeys(groups):
        members = np.array([other == group for other in groups], np.bool_)
        out[members] = blocks(int(members.sum()))
    return out


def cross_fit(history: Table, healthy: NDArray[np.bool_], folds: NDArray[np.int64], clip: float = 0.99) -> Floats:
    """(windows, metrics) -log10 p of every window, judged by charts of the healthy windows of the other blocks."""
    out = np.zeros(history.first.shape)
    for fold in np.unique(folds):
        others = healthy & (folds != fold)
        if others.sum() >= 2:
            out[folds == fold] = Charts(history.rows(others), clip).surprise(history.rows(folds == fold))
    return out


def trim(history: Table, folds: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Cross-fitted surprises, and which windows are healthy enough to teach."""
    healthy = np.ones(len(history), np.bool_)
    for _ in range(TRIM_ROUNDS):
        surprise = cross_fit(history, healthy, folds, SUSPICIOUS_CLIP)
        faulty = _rarely_wild(history, surprise) & healthy
        if not faulty.any():
            break
        healthy &= ~faulty
    return cross_fit(history, healthy, folds), healthy


def _rarely_wild(history: Table, surprise: Floats) -> NDArray[np.bool_]:
    """Windows in which a field surprises beyond a Bonferroni limit, though it hardly ever does."""
    limit = -np.log10(TRIM_CHANCE / max(surprise.size, 1))
    wild = surprise > limit
    fields: dict[str | None, NDArray[np.bool_]] = {}
    for place in np.flatnonzero(wild.any(0)).tolist():
        path = history.specs[place].field
        fields[path] = fields.get(path, np.zeros(len(history), np.bool_)) | wild[:, place]
    most = max(RARE * len(history), 1)
    rare = [windows for windows in fields.values() if count_runs(windows) <= most and windows.sum() <= len(history) / 2]
    return np.logical_or.reduce(rare) if rare else np.zeros(len(history), np.bool_)
