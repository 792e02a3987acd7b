"""The joint score: does this value belong to this row?

Self-supervised: for every field, a logistic regression tells real rows from rows with that field's column permuted. Its
features are the field's pairwise log-ratios and linear residuals, so the weights say which relations carry evidence; the
score is the log-odds that the value belongs. It names the field that broke a relation, which no sum over pairs does.
Cost of learning: O(fields * rows * features^2), 0.3 s for 15 fields and 12,000 rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream_monitor.detection.pool import Pool
from stream_monitor.profiling.measure import Measurer, RowEvidence
from stream_monitor.profiling.reference import BINS, Reference, Structure

Floats = NDArray[np.float64]

PENALTY = 10.0
"""Ridge penalty on the standardised weights."""
LIMIT_MARGINS = np.array([0.3, 0.05])
"""Limits lie this far below the healthy 0.1 % and 1 % quantiles, because those are learned in sample."""


def learn_joint_scores(reference: Reference, pool: Pool, seed: int) -> Structure:
    """The structure of `reference` with weights, intercepts and limits of the joint scores, learned from the pool's rows."""
    structure = reference.structure
    evidence = Measurer(reference).rows(pool.columns, len(pool))
    rng = np.random.default_rng(seed)
    pair_weights, residual_weights = np.zeros((len(structure.pairs), 2)), np.zeros((len(structure.numbers), 6))
    intercepts = np.zeros(len(structure.fields))
    for j in range(len(structure.fields)):
        shuffled = rng.permutation(len(pool))
        real, fake = (_features(reference, evidence, j, rows) for rows in (np.arange(len(pool)), shuffled))
        weights, intercepts[j] = logistic_regression(np.vstack([real, fake]), np.r_[np.ones(len(real)), np.zeros(len(fake))])
        sides = [(p, int(pair[1] == j)) for p, pair in enumerate(structure.pairs) if j in pair]
        for (p, side), weight in zip(sides, weights, strict=False):
            pair_weights[p, side] = weight
        if j in structure.numbers:
            residual_weights[int(np.flatnonzero(structure.numbers == j)[0])] = weights[len(sides) :]
    learned = replace(structure, pair_weights=pair_weights, residual_weights=residual_weights, intercepts=intercepts)
    joint = Measurer(replace(reference, structure=learned)).rows(pool.columns, len(pool)).joint
    limits = np.quantile(joint, [0.001, 0.01], axis=0).T - LIMIT_MARGINS if len(joint) else structure.joint_limits
    return replace(learned, joint_limits=limits)


def _features(reference: Reference, evidence: RowEvidence, field: int, rows: NDArray[np.int64]) -> Floats:
    """(n, pairs of the field + 6 if it is a number): features of each row with the field's value taken from row `rows[i]`."""
    structure, codes = reference.structure, evidence.codes.astype(np.int64)
    own = codes[rows, field]
    out = []
    for p, (i, j) in enumerate(structure.pairs):
        if field in (i, j):
            cells = own * BINS + codes[:, j] if field == i else codes[:, i] * BINS + own
            out.append(reference.probabilities.pair_ratios[p, cells].astype(np.float64))
    if field in structure.numbers:
        k = int(np.flatnonzero(structure.numbers == field)[0])
        squares = [_squares(reference, evidence, k, space, rows) for space in range(len(structure.linear))]
        out += squares + [np.sqrt(square) for square in squares]
    return np.stack(out, 1) if out else np.zeros((len(codes), 0))


def _squares(reference: Reference, evidence: RowEvidence, k: int, space: int, rows: NDArray[np.int64]) -> Floats:
    linear, scores = reference.structure.linear[space], evidence.scores[space].copy()
    scores[:, k] = scores[rows, k]
    residual = scores @ linear.weights[k] / linear.spread[k]
    return np.where(scores[:, k] == 0, 0.0, np.minimum(residual**2, 25.0))


def logistic_regression(features: Floats, labels: Floats, *, steps: int = 25) -> tuple[Floats, float]:
    """Ridge-penalised weights and intercept by Newton's method (iteratively reweighted least squares).

    >>> weights, intercept = logistic_regression(np.array([[-1.0], [1.0]] * 200), np.array([0.0, 1.0] * 200))
    >>> bool(weights[0] > 1)
    True
    """
    scale = features.std(0) + 0.05
    x = np.hstack([features / scale, np.ones((len(features), 1))])
    penalty = np.full(x.shape[1], PENALTY)
    penalty[-1] = 1e-9
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (labels - chance) - penalty * weights
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-6:
            break
    return weights[:-1] / scale, float(weights[-1])
