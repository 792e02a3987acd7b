"""Half-space trees for single records: how thin healthy data is where a record falls (Tan, Ting, Liu, IJCAI 2011).

A tree halves a box again and again along random features, without looking at the data; then the share m of healthy records in
a node of depth k, against the 2^-k that the node has of the box, estimates density. A record falls from the root until a node
holds less than a tenth of the mass (further down counts are too small to trust), and there

    score = - mean over trees of [ log m + k log 2 ] + 2 * sum over features of log(1 + distance outside the range / sd).

What a record scores in a tree depends on its leaf alone, so masses become one table a tree, and scoring is one look-up a tree.
The second term sees what trees can't: beyond the edge of the box all records fall in the same leaf, however far they lie.

Where this departs from the paper, and why (each measured on streams in stored order):
- features are asinh((x - median) / spread) of a reservoir of healthy records, spread being the mean distance from the median: heavy
  tails don't squeeze the rest into one leaf, and the few values of a nearly constant feature stay together;
- masses are those of all healthy records so far, not of the last window: a slow burst can't become its own reference;
- work ranges just cover the data, each around a point of its own, so that trees differ; twice as far, as in the paper, costs a level;
- trees are drawn anew at 250, 1,000, 4,000 and 16,000 healthy records, as the reservoir learns the ranges;
- a batch with more than five times the usual records beyond the healthy 99 % quantile is scored but not learned;
  so a shift that stays is never learned: start a new scorer then.

Cost: `trees * depth` comparisons and `trees` look-ups a record; 150,000 records/s at 25 x 9 in batches of 250.

>>> rng = np.random.default_rng(7)
>>> healthy = rng.normal([0.0, 50.0], [1.0, 5.0], (2000, 2))
>>> scorer = RecordScorer(seed=0)
>>> _ = [scorer.score_batch(healthy[start : start + 250]) for start in range(0, 2000, 250)]
>>> usual, odd, far = scorer.score_batch(np.array([[0.0, 50.0], [3.5, 30.0], [9.0, 900.0]]))
>>> bool(usual < odd < far)
True
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from stream_monitor.profiling.half_space_trees import Forest

Floats = NDArray[np.float64]

SIZE_LIMIT = 0.1
"""A node with a smaller share of the mass ends the fall (paper, section 4)."""
RESERVOIR = 4_000
"""Healthy records that ranges and spreads are read from."""
REBUILDS = (250, 1_000, 4_000, 16_000)
"""Healthy records at which trees are drawn anew."""
RECENT = 4_000
"""Healthy scores that the 99 % quantile is read from."""
DISTANCE_WEIGHT = 2.0
SUSPECT_SHARE = 0.05
"""A batch with a larger share of records beyond the healthy 99 % quantile is not learned."""
MOST = 1e150
"""Numbers are clipped here, so that their squares stay finite."""


def node_masses(leaf_masses: NDArray[np.float64]) -> list[Floats]:
    """Masses by level, from the root (trees, 1) to the leaves (trees, 2^depth): a node holds what its children hold.

    >>> [level.tolist() for level in node_masses(np.array([[1.0, 2.0, 0.0, 4.0]]))]
    [[[7.0]], [[3.0, 4.0]], [[1.0, 2.0, 0.0, 4.0]]]
    """
    levels = [leaf_masses]
    while levels[-1].shape[1] > 1:
        levels.append(levels[-1].reshape(len(leaf_masses), -1, 2).sum(2))
    return levels[::-1]


def river_scores(forest: Forest, leaf_masses: Floats, window: int, points: Floats) -> Floats:
    """What river's `HalfSpaceTrees.score_one` gives for each of the points (n, columns), from leaf masses alone.

    `leaf_masses` (trees, 2^depth) are the counts of the last full window of `window` records. Along a path it sums mass * 2^k down
    to the first node with less than a tenth of the window; 1 means that nothing was seen there.
    """
    levels = node_masses(leaf_masses)
    table, going = np.zeros(leaf_masses.shape), np.ones(leaf_masses.shape, np.bool_)
    for level, masses in enumerate(levels):
        here = masses.repeat(2 ** (forest.depth - level), axis=1)
        table += np.where(going, here * 2.0**level, 0.0)
        going &= here >= SIZE_LIMIT * window
    most = len(leaf_masses) * window * (2.0 ** (forest.depth + 1) - 1)
    return np.asarray(1 - _look_up(table, forest.leaves(points)).sum(1) / most)


def density_scores(leaf_masses: Floats) -> Floats:
    """(trees, 2^depth): minus the log density, relative to the box, at the node where a record of each leaf stops."""
    levels = node_masses(leaf_masses)
    total = levels[0] + 1.0
    out, going = np.zeros(leaf_masses.shape), np.ones(leaf_masses.shape, np.bool_)
    for level, masses in enumerate(levels):
        here = masses.repeat(leaf_masses.shape[1] >> level, axis=1)
        stops = going & ((here < SIZE_LIMIT * total) | (level == len(levels) - 1))
        out[stops] = -np.log((here + 0.5) / total)[stops] - level * log(2)
        going &= ~stops
    return out


class RecordScorer:
    """Scores records prequentially: each batch by what came before it, then it is learned. Higher is more anomalous.

    Args:
        seed: of trees and reservoir.
        trees, depth: more trees steady the scores, deeper ones tell finer.
    """

    def __init__(self, seed: int = 0, *, trees: int = 25, depth: int = 9) -> None:
        self.seed, self.trees, self.depth = seed, trees, depth
        self.healthy = 0
        """Records learned."""
        self._rng = np.random.default_rng(seed)
        self._reservoir = np.empty((0, 0))
        self._recent: list[Floats] = []
        self._built = 0
        self._space: _Space | None = None
        self._forest: Forest | None = None
        self._masses = np.zeros((trees, 2**depth))

    def score_batch(self, X: Floats | Sequence[Sequence[float]]) -> Floats:
        """(n,) scores of the records X (n, d); 0 until there are trees. What is not finite counts as missing, and as usual.

        Raises ValueError if X has not the shape (n, d), with the d of the batches before.
        """
        X = self._checked(X)
        if self._space is None or self._forest is None:
            scores = np.zeros(len(X))
            self._learn(X, None, scores)
            return scores
        leaves = self._forest.leaves(self._space.points(X))
        scores = _look_up(density_scores(self._masses), leaves).mean(1) + DISTANCE_WEIGHT * self._space.distances(X)
        if not self._is_suspect(scores):
            self._learn(X, leaves, scores)
        return np.asarray(scores)

    def _checked(self, X: Floats | Sequence[Sequence[float]]) -> Floats:
        X = np.asarray(X, np.float64)
        width = self._reservoir.shape[1] or (X.shape[1] if X.ndim == 2 else 0)
        if X.ndim != 2 or X.shape[1] != width or width == 0:
            raise ValueError(f"expected records of shape (n, {width or 'd'}), got {X.shape}: a row a record, always the same features")
        return np.where(np.isfinite(X), np.clip(X, -MOST, MOST), np.nan)

    def _is_suspect(self, scores: Floats) -> bool:
        if not len(scores) or not self._recent:
            return False
        beyond = np.count_nonzero(scores > np.quantile(np.concatenate(self._recent), 0.99))
        return bool(beyond > max(SUSPECT_SHARE * len(scores), 1))

    def _learn(self, X: Floats, leaves: NDArray[np.int64] | None, scores: Floats) -> None:
        self._keep(X)
        self.healthy += len(X)
        if leaves is not None:
            self._masses += _counts(leaves, self._masses.shape[1])
            self._recent.append(scores)
            while sum(map(len, self._recent[1:])) >= RECENT:
                self._recent.pop(0)
        if self._built < len(REBUILDS) and self.healthy >= REBUILDS[self._built]:
            self._rebuild()

    def _keep(self, X: Floats) -> None:
        """Reservoir sampling (Vitter's algorithm R), a batch at a time."""
        room = max(RESERVOIR - len(self._reservoir), 0)
        if room:
            self._reservoir = np.vstack([self._reservoir, X[:room]]) if len(self._reservoir) else X[:room].copy()
        rest = X[room:]
        places = (self._rng.random(len(rest)) * (self.healthy + room + 1 + np.arange(len(rest)))).astype(np.int64)
        kept = places < RESERVOIR
        self._reservoir[places[kept]] = rest[kept]

    def _rebuild(self) -> None:
        """New ranges and trees; the reservoir stands for all healthy records so far."""
        while self._built < len(REBUILDS) and self.healthy >= REBUILDS[self._built]:
            self._built += 1
        self._space = _Space(self._reservoir)
        self._forest = Forest.draw(self.seed + self._built, self._reservoir.shape[1], trees=self.trees, depth=self.depth, margin=np.inf)
        leaves = self._forest.leaves(self._space.points(self._reservoir))
        self._masses = _counts(leaves, 2**self.depth) * (self.healthy / len(self._reservoir))


class _Space:
    """The unit cube that trees halve, and how far outside the reservoir's range a record lies."""

    def __init__(self, reservoir: Floats) -> None:
        blank = np.isnan(reservoir).all(0)
        filled = np.where(blank, 0.0, reservoir)
        self.median = np.nanmedian(filled, axis=0)
        self.low, self.high = np.nanmin(filled, axis=0), np.nanmax(filled, axis=0)
        self.deviation = _positive(np.nanstd(filled, axis=0), self.high - self.low)
        self.spread = _positive(np.nanmean(np.abs(filled - self.median), axis=0), self.deviation)
        self.start = self._scaled(self.low)
        self.width = _positive(self._scaled(self.high) - self.start, np.ones(len(self.median)))

    def points(self, X: Floats) -> Floats:
        """Each feature on [0, 1] over the reservoir's range; missing ones at the median."""
        return np.ascontiguousarray((self._scaled(np.where(np.isnan(X), self.median, X)) - self.start) / self.width)

    def distances(self, X: Floats) -> Floats:
        """(n,): sum over features of log(1 + distance outside the range / standard deviation)."""
        outside = np.maximum(np.maximum(self.low - X, X - self.high), 0.0) / self.deviation
        return np.asarray(np.log1p(np.nan_to_num(outside)).sum(1))

    def _scaled(self, x: Floats) -> Floats:
        return np.asarray(np.arcsinh((x - self.median) / self.spread))


def _positive(x: Floats, otherwise: Floats) -> Floats:
    """x where it is positive, else `otherwise`, else 1."""
    return np.where(x > 0, x, np.where(otherwise > 0, otherwise, 1.0))


def _counts(leaves: NDArray[np.int64], size: int) -> Floats:
    return np.stack([np.bincount(column, minlength=size) for column in leaves.T]).astype(np.float64)


def _look_up(table: Floats, leaves: NDArray[np.int64]) -> Floats:
    """(n, trees)."""
    return np.asarray(table[np.arange(len(table)), leaves])
