"""What fields say about each other: pairs, linear residuals, joint scores, correlations, half-space trees.

Incoherence is one-sided: more rare pairs than usual is a fault, fewer is not. Means are of clipped evidence, counts are
beta-binomial, so that no single row is a catastrophe. Cost: O(pairs + numbers^2 + trees * leaves) a window.
"""

from __future__ import annotations

from math import atanh, log, sqrt

import numpy as np

from stream_monitor.detection.readings import Layer, Readings
from stream_monitor.detection.verdict import Aspect
from stream_monitor.profiling.measure import SPACES, Measured
from stream_monitor.profiling.reference import FIXED_POINT, Reference

COHERENCE = Aspect.COHERENCE


def read_relations(readings: Readings, reference: Reference, measured: Measured) -> None:
    """Metrics of all relations in the reference, from the measured vector of a window."""
    _read_pairs(readings, reference, measured)
    _read_joint(readings, reference, measured)
    _read_linear(readings, reference, measured)
    _read_correlations(readings, reference, measured)
    _read_trees(readings, reference, measured)


def _read_pairs(readings: Readings, reference: Reference, measured: Measured) -> None:
    paths, n = reference.paths, measured.rows
    for (i, j), (rare, mixture, half) in zip(reference.structure.pairs.tolist(), measured["pairs"].tolist(), strict=True):
        left, right = paths[i], paths[j]
        readings.rate(COHERENCE, left, f"pair_rare:{right}", rare, n, Layer.RELATION, "pairs", one_sided=True, other=right)
        for name, total in (("pair_llr", mixture), ("pair_pmi", half)):
            mean = total / FIXED_POINT / n if n else np.nan
            readings.level(COHERENCE, left, f"{name}:{right}", mean, n, Layer.RELATION, "pairs", floor=0.0015, one_sided=True, other=right)


def _read_joint(readings: Readings, reference: Reference, measured: Measured) -> None:
    n = measured.rows
    for path, (bad, low, mixture, odds) in zip(reference.paths, measured["joint"].tolist(), strict=True):
        readings.rate(COHERENCE, path, "joint_bad", bad, n, Layer.RELATION, "joint_score", one_sided=True)
        readings.rate(COHERENCE, path, "joint_low", low, n, Layer.RELATION, "joint_score", one_sided=True)
        for name, total in (("joint_llr", mixture), ("joint_mean", odds)):
            mean = total / FIXED_POINT / n if n else np.nan
            readings.level(COHERENCE, path, name, mean, n, Layer.RELATION, "joint_score", floor=0.0015, one_sided=True)


def _read_linear(readings: Readings, reference: Reference, measured: Measured) -> None:
    paths = [reference.paths[j] for j in reference.structure.numbers]
    for space, name in enumerate(SPACES):
        for path, (n, beyond, squares) in zip(paths, measured["linear"][space].tolist(), strict=True):
            readings.rate(COHERENCE, path, f"residual_big_{name}", beyond, n, Layer.RELATION, "linear", one_sided=True)
            energy = 0.5 * log(squares / FIXED_POINT / n + 1e-3) if n > 2 else np.nan
            readings.level(COHERENCE, path, f"residual_{name}", energy, n, Layer.RELATION, "linear", floor=0.02)


def _read_correlations(readings: Readings, reference: Reference, measured: Measured) -> None:
    """Fisher's z of the correlation of normal scores."""
    paths = [reference.paths[j] for j in reference.structure.numbers]
    products, n = measured["products"].astype(float), measured.rows
    for a in range(len(paths)):
        for b in range(a + 1, len(paths)):
            scale = sqrt(products[a, a] * products[b, b])
            rho = min(max(products[a, b] / scale, -0.9999), 0.9999) if scale > 0 else 0.0
            z = atanh(rho) if n > 3 else np.nan
            readings.level(COHERENCE, paths[a], f"correlation:{paths[b]}", z, n, Layer.RELATION, "correlation", floor=0.005, other=paths[b])


def _read_trees(readings: Readings, reference: Reference, measured: Measured) -> None:
    """Half-space trees by mass: records in thin places, mean score, and how the mass profile differs from the healthy one."""
    n, healthy = measured.rows, reference.probabilities.leaf_mass
    below_1, below_5, scores = measured["trees"].tolist()
    readings.rate(COHERENCE, None, "trees_tail", below_1, n, Layer.RELATION, "half_space_trees", one_sided=True)
    readings.rate(COHERENCE, None, "trees_low", below_5, n, Layer.RELATION, "half_space_trees", one_sided=True)
    share = measured["mass"] / max(n, 1)
    distance = np.abs(share - healthy).sum(1).mean() / 2
    chi = ((share - healthy) ** 2 / (healthy + 2 / max(n, 1))).sum(1).mean()
    for name, x in (("trees_mean", scores / FIXED_POINT / max(n, 1)), ("trees_divergence", distance), ("trees_chi", log(chi + 1e-9))):
        readings.level(COHERENCE, None, name, x if n else np.nan, n, Layer.RELATION, "half_space_trees", floor=0.001)
