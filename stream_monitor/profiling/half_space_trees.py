"""Half-space trees as data: where records fall, and how much healthy mass lies there (Tan, Ting, Liu, IJCAI 2011).

A forest is drawn from a seed over the unit cube, before any data is seen, so every profiler grows the same trees. The
mass profile of a window is then a count per leaf: partitions add. Depth h gives 2^h leaves a tree; a record costs
`trees * h` comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Forest:
    """`trees` complete binary trees of equal depth in heap order (children of k: 2k+1, 2k+2)."""

    features: NDArray[np.int32]
    """(trees, 2^depth - 1): the column that each inner node splits on."""
    thresholds: NDArray[np.float64]
    """(trees, 2^depth - 1): values at or above go right."""
    depth: int

    @classmethod
    def draw(cls, seed: int, columns: int, *, trees: int = 25, depth: int = 8, margin: float = 0.05) -> Forest:
        """A forest over the unit cube: each tree halves a work range of its own, drawn around a random point (paper, section 3).

        The range is as wide as it takes to cover the cube around that point, but reaches at most `margin` beyond the cube.
        """
        rng = np.random.default_rng(seed)
        inner = 2**depth - 1
        features = rng.integers(0, max(columns, 1), (trees, inner)).astype(np.int32)
        points = rng.random((trees, max(columns, 1)))
        half = np.maximum(points, 1 - points)
        low, high = np.maximum(points - half, -margin), np.minimum(points + half, 1 + margin)
        return cls(features, _halve(features, low, high), depth)

    def leaves(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """(n, trees): the leaf, 0..2^depth-1, that each of the points (n, columns) falls in."""
        out = np.empty((len(points), len(self.features)), np.int64)
        fall(self.features, self.thresholds, self.depth, np.ascontiguousarray(points), out)
        return out


@njit(cache=True, nogil=True)
def _halve(features: NDArray[np.int32], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds: every node halves its box along its feature."""
    trees, inner = features.shape
    thresholds = np.zeros((trees, inner))
    for t in range(trees):
        lows, highs = np.zeros((inner, low.shape[1])), np.zeros((inner, low.shape[1]))
        lows[0], highs[0] = low[t], high[t]
        for k in range(inner):
            q = features[t, k]
            middle = (lows[k, q] + highs[k, q]) / 2
            thresholds[t, k] = middle
            if 2 * k + 2 < inner:
                lows[2 * k + 1], highs[2 * k + 1] = lows[k], highs[k]
                lows[2 * k + 2], highs[2 * k + 2] = lows[k], highs[k]
                highs[2 * k + 1, q] = middle
                lows[2 * k + 2, q] = middle
    return thresholds


@njit(cache=True, nogil=True)
def fall(
    features: NDArray[np.int32], thresholds: NDArray[np.float64], depth: int, points: NDArray[np.float64], out: NDArray[np.int64]
) -> None:
    """Fill `out` (n, trees) with the leaf of each point."""
    first_leaf = 2**depth - 1
    for row in range(points.shape[0]):
        for t in range(features.shape[0]):
            node = 0
            for _ in range(depth):
                node = 2 * node + 1 + (points[row, features[t, node]] >= thresholds[t, node])
            out[row, t] = node - first_leaf
