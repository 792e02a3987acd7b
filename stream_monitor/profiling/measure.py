"""Records against a reference: one additive vector of integers.

`measure` turns the columns of some records into an int64 vector; the vectors of two sets of records add up to the vector of
both, exactly, because every entry is a count or a sum of fixed-point integers that each depend on one record only.
`Layout` names the sections. Cost: about 0.1 us a field and record, 10 ns a pair, 1 ns a product of the linear relations,
0.4 us for 25 trees of depth 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, log1p

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from stream_monitor.decoding.columns import Column, Kind
from stream_monitor.profiling.half_space_trees import fall
from stream_monitor.profiling.reference import (
    BINS,
    FIXED_POINT,
    MISSING,
    OTHER,
    UNSEEN,
    FieldProbabilities,
    FieldStructure,
    Reference,
    Structure,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SPACES = ("raw", "log", "rank")
Z_CLIP = 10.0
"""A standardised number counts as at most this many standard deviations: no single row may decide a mean."""
RESIDUAL_CLIP = 9.0
"""Squared residuals are clipped here, for the same reason."""
LLR_CLIP = 1.5
"""So are log-likelihood ratios."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each section of the measured vector begins."""

    fields: int
    numeric: tuple[int, ...]
    """Fields that have edges."""
    slots: tuple[int, ...]
    """Slots of each of them."""
    numbers: int
    pairs: int
    trees: int
    leaves: int

    @classmethod
    def of(cls, structure: Structure) -> Layout:
        """Of what a structure measures."""
        numeric = tuple(j for j, field in enumerate(structure.fields) if len(field.edges))
        slots = tuple(len(structure.fields[j].edges) + 2 for j in numeric)
        trees = len(structure.forest.features)
        return cls(len(structure.fields), numeric, slots, len(structure.numbers), len(structure.pairs), trees, 2**structure.forest.depth)

    def sections(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Name -> (start, shape)."""
        shapes: dict[str, tuple[int, ...]] = {
            "rows": (1,),
            "bins": (self.fields, BINS),
            "slots": (sum(self.slots),),
            "moments": (len(self.numeric), 3),  # values, sum z, sum z^2
            "linear": (len(SPACES), self.numbers, 3),  # residuals, beyond the limit, sum of clipped squares
            "products": (self.numbers, self.numbers),  # sum of products of normal scores
            "pairs": (self.pairs, 3),  # rare, sum of mixture llr, sum of half-and-half llr
            "joint": (self.fields, 4),  # below 0.1 %, below 1 %, sum of mixture llr, sum of odds
            "trees": (3,),  # below 1 %, below 5 %, sum of scores
            "mass": (self.trees, self.leaves),
        }
        out, start = {}, 0
        for name, shape in shapes.items():
            out[name] = (start, shape)
            start += int(np.prod(shape))
        out["end"] = (start, ())
        return out


class Measured:
    """A measured vector read by section."""

    def __init__(self, layout: Layout, vector: Ints) -> None:
        self.layout = layout
        self.vector = vector
        self._sections = layout.sections()

    def __getitem__(self, name: str) -> Ints:
        start, shape = self._sections[name]
        return self.vector[start : start + int(np.prod(shape))].reshape(shape)

    @property
    def rows(self) -> int:
        """Records measured."""
        return int(self["rows"][0])


@dataclass(frozen=True, slots=True)
class RowEvidence:
    """What each record looks like in the light of the reference; the vector is its sum, and samples are picked from it."""

    codes: NDArray[np.uint8]
    """(n, d) bins."""
    slots: NDArray[np.int32]
    """(n, numeric) slot between the edges, -1 where there is no number."""
    deviations: Floats
    """(n, numeric) standardised and clipped numbers, NaN where there is none."""
    scores: Floats
    """(3, n, m) standardised numbers in raw, log and rank space; 0 where there is none."""
    residuals: Floats
    """(3, n, m) squared residuals over their spread, at most 25; 0 where there is no number."""
    beyond: NDArray[np.bool_]
    """(3, n, m) residual beyond its limit."""
    joint: Floats
    """(n, d) joint score of each field: low when it does not fit the others."""
    tree_scores: Floats
    """(n,) mean log10 healthy mass of the leaves."""
    leaves: Ints
    """(n, trees)."""


class Measurer:
    """A reference made ready for measuring: tables computed once."""

    def __init__(self, reference: Reference) -> None:
        structure, healthy = reference.structure, reference.probabilities
        self.reference = reference
        self.layout = Layout.of(structure)
        self.sections = self.layout.sections()
        self._normal = [ndtri(structure.fields[j].ranks) for j in self.layout.numeric]
        ratio = np.exp(-healthy.pair_ratios.astype(np.float64))
        self.pair_tables = np.stack([
            (healthy.pair_ratios < healthy.pair_limit).astype(np.int64),
            _fixed(np.minimum(np.log(0.98 + 0.02 * ratio), LLR_CLIP)),
            _fixed(np.clip(np.log(0.5 + 0.5 * ratio), -3, 3)),
        ], axis=-1)
        self.numeric_place = {j: place for place, j in enumerate(self.layout.numeric)}

    def rows(self, columns: Mapping[str, Column], n: int) -> RowEvidence:
        """Evidence for each of n records."""
        structure, healthy = self.reference.structure, self.reference.probabilities
        codes = np.zeros((n, self.layout.fields), np.uint8)
        slots = np.full((n, len(self.layout.numeric)), -1, np.int32)
        points = np.full((n, max(self.layout.fields, 1)), 0.5)
        deviations = np.full((n, len(self.layout.numeric)), np.nan)
        for j, (field, known) in enumerate(zip(structure.fields, healthy.fields, strict=True)):
            column = columns.get(field.path)
            place = self.numeric_place.get(j)
            if column is None:
                points[:, j] = 0.5 if place is not None else known.positions[MISSING]
                continue
            slot = slot_numbers(field, column) if place is not None else None
            codes[:, j] = encode(field, known, column, slot)
            if slot is None or place is None:
                points[:, j] = known.positions[codes[:, j]]
                continue
            slots[:, place] = slot
            points[:, j] = np.where(slot >= 0, field.ranks[slot], 0.5)
            with np.errstate(over="ignore"):
                deviations[:, place] = np.where(slot >= 0, np.clip((column.numbers - field.center) / field.scale, -Z_CLIP, Z_CLIP), np.nan)
        raw, normal = self._numbers(columns, slots, n)
        scores, residuals, beyond = self._residuals(raw, normal)
        joint = np.empty((n, self.layout.fields))
        joint_scores(
            codes, structure.pairs, healthy.pair_ratios, structure.pair_weights, structure.numbers, residuals,
            structure.residual_weights, structure.intercepts, joint,
        )
        leaves = np.empty((n, self.layout.trees), np.int64)
        forest = structure.forest
        fall(forest.features, forest.thresholds, forest.depth, points, leaves)
        tree_scores = np.empty(n)
        mean_leaf_scores(leaves, healthy.leaf_scores, tree_scores)
        return RowEvidence(codes, slots, deviations, scores, residuals, beyond, joint, tree_scores, leaves)

    def measure(self, columns: Mapping[str, Column], n: int) -> Ints:
        """The additive vector of n records."""
        return self.total(self.rows(columns, n))

    def total(self, rows: RowEvidence) -> Ints:
        """The vector of some records from their evidence."""
        structure, healthy = self.reference.structure, self.reference.probabilities
        out = Measured(self.layout, np.zeros(self.sections["end"][0], np.int64))
        n = len(rows.codes)
        out["rows"][0] = n
        if n == 0:
            return out.vector
        flat = rows.codes.astype(np.int64) + BINS * np.arange(self.layout.fields)
        out["bins"][:] = np.bincount(flat.ravel(), minlength=BINS * self.layout.fields).reshape(-1, BINS)
        self._total_numbers(rows, out)
        sum_pairs(rows.codes, structure.pairs, self.pair_tables, out["pairs"])
        sum_joint(rows.joint, structure.joint_limits, out["joint"])
        for place, limit in enumerate(healthy.tree_limits):
            out["trees"][place] = np.count_nonzero(rows.tree_scores < limit)
        out["trees"][2] = _fixed(rows.tree_scores).sum()
        flat_leaves = rows.leaves + self.layout.leaves * np.arange(self.layout.trees)
        out["mass"][:] = np.bincount(flat_leaves.ravel(), minlength=out["mass"].size).reshape(out["mass"].shape)
        return out.vector

    def _total_numbers(self, rows: RowEvidence, out: Measured) -> None:
        starts = np.concatenate([[0], np.cumsum(self.layout.slots)]).astype(np.int64)
        for place in range(len(self.layout.numeric)):
            slot = rows.slots[:, place]
            there = slot >= 0
            out["slots"][starts[place] : starts[place + 1]] = np.bincount(slot[there], minlength=self.layout.slots[place])
            z = rows.deviations[there, place]
            out["moments"][place] = len(z), _fixed(z).sum(), _fixed(z * z).sum()
        here = rows.scores != 0  # see linear_residuals: zero means missing
        out["linear"][:, :, 0] = here.sum(1)
        out["linear"][:, :, 1] = rows.beyond.sum(1)
        out["linear"][:, :, 2] = _fixed(np.minimum(rows.residuals, RESIDUAL_CLIP)).sum(1)
        normal = np.rint(rows.scores[2] * 1024)  # BLAS on whole numbers below 2^53 is exact, whatever its order
        out["products"][:] = (normal.T @ normal).astype(np.int64)

    def _numbers(self, columns: Mapping[str, Column], slots: NDArray[np.int32], n: int) -> tuple[Floats, Floats]:
        """(n, m) raw numbers and normal scores of their ranks, NaN where missing."""
        structure = self.reference.structure
        raw, normal = np.full((n, self.layout.numbers), np.nan), np.full((n, self.layout.numbers), np.nan)
        for k, j in enumerate(structure.numbers):
            column, place = columns.get(structure.fields[j].path), self.numeric_place[int(j)]
            if column is not None:
                there = slots[:, place] >= 0
                raw[:, k] = np.where(there, column.numbers, np.nan)
                normal[:, k] = np.where(there, self._normal[place][slots[:, place]], np.nan)
        return raw, normal

    def _residuals(self, raw: Floats, normal: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        shape = (len(SPACES), *raw.shape)
        scores, residuals, beyond = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.bool_)
        for space, linear in enumerate(self.reference.structure.linear):
            values = normal if space == 2 else raw
            linear_residuals(
                values, space == 1, linear.center, linear.scale, linear.weights, linear.limits, linear.spread,
                scores[space], residuals[space], beyond[space],
            )
        return scores, residuals, beyond


_ready: dict[int, Measurer] = {}


def measurer(reference: Reference) -> Measurer:
    """The measurer of a reference; the last few are kept."""
    found = _ready.get(id(reference))
    if found is None or found.reference is not reference:
        if len(_ready) >= 16:
            _ready.pop(next(iter(_ready)))
        found = _ready[id(reference)] = Measurer(reference)
    return found


def measure(columns: Mapping[str, Column], n: int, reference: Reference) -> Ints:
    """The additive vector of n records: `columns` by path, n values each (a missing column: absent from all)."""
    return measurer(reference).measure(columns, n)


def slot_numbers(field: FieldStructure, column: Column) -> NDArray[np.int32]:
    """Slot of each number: 0 below the first edge, i at or above edge i-1, len(edges)+1 above the last; -1: no number."""
    edges, values = field.edges, column.numbers
    number = ((column.kinds == Kind.INT) | (column.kinds == Kind.FLOAT)) & np.isfinite(values)
    slot = np.searchsorted(edges, values, side="right") + (values > edges[-1])
    return np.where(number, slot, -1).astype(np.int32)


def encode(field: FieldStructure, known: FieldProbabilities, column: Column, slot: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """The bin of each value."""
    present = column.kinds > Kind.NULL
    codes = np.full(len(column), UNSEEN, np.uint8)
    if len(field.edge_bins) and slot is not None:
        inside = (slot >= 0) & (column.numbers >= known.low) & (column.numbers <= known.high)
        codes = np.where(inside, field.edge_bins[slot], codes)
    else:
        hashes = column.masks if field.by_pattern else column.hashes
        if not field.by_pattern and not field.numeric:
            codes[:] = OTHER
            if field.closed:
                codes[~_member(known.values, hashes)] = UNSEEN
        place, found = _find(field.tracked, hashes)
        codes = np.where(found, field.tracked_bins[place] if len(field.tracked_bins) else codes, codes)
        if not field.by_pattern and field.closed:
            codes[~_member(known.values, hashes)] = UNSEEN
    return np.where(present, codes, MISSING).astype(np.uint8)


def _find(sorted_hashes: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> tuple[Ints, NDArray[np.bool_]]:
    if not len(sorted_hashes):
        return np.zeros(len(hashes), np.int64), np.zeros(len(hashes), np.bool_)
    place = np.minimum(np.searchsorted(sorted_hashes, hashes), len(sorted_hashes) - 1)
    return place, sorted_hashes[place] == hashes


def _member(sorted_hashes: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    return _find(sorted_hashes, hashes)[1]


def _fixed(values: Floats) -> Ints:
    return np.rint(values * FIXED_POINT).astype(np.int64)


@njit(cache=True, nogil=True)
def linear_residuals(
    values: Floats, logarithm: bool, center: Floats, scale: Floats, weights: Floats, limits: Floats, spread: Floats,
    scores: Floats, residuals: Floats, beyond: NDArray[np.bool_],
) -> None:
    """Standardise each row (missing numbers count as their mean) and fill its residuals; a loop, so that no row depends on its batch."""
    n, m = values.shape
    for row in range(n):
        for k in range(m):
            x = values[row, k]
            if np.isnan(x):
                continue
            if logarithm:
                x = log1p(x) if x >= 0 else -log1p(-x)
            z = min(max((x - center[k]) / scale[k], -20.0), 20.0)
            scores[row, k] = z if z != 0.0 else 1e-12  # zero means missing
        for k in range(m):
            if scores[row, k] == 0.0:
                continue
            residual = 0.0
            for other in range(m):
                residual += weights[k, other] * scores[row, other]
            beyond[row, k] = abs(residual) > limits[k]
            residuals[row, k] = min((residual / spread[k]) ** 2, 25.0)


@njit(cache=True, nogil=True)
def joint_scores(
    codes: NDArray[np.uint8], pairs: NDArray[np.int32], ratios: NDArray[np.float32], pair_weights: Floats,
    numbers: NDArray[np.int32], residuals: Floats, residual_weights: Floats, intercepts: Floats, out: Floats,
) -> None:
    """Log-odds, a field, that its value belongs to this row rather than to another one."""
    for row in range(codes.shape[0]):
        for j in range(out.shape[1]):
            out[row, j] = intercepts[j]
        for p in range(pairs.shape[0]):
            i, j = pairs[p, 0], pairs[p, 1]
            ratio = ratios[p, np.int64(codes[row, i]) * 32 + codes[row, j]]
            out[row, i] += pair_weights[p, 0] * ratio
            out[row, j] += pair_weights[p, 1] * ratio
        for k in range(numbers.shape[0]):
            for space in range(3):
                square = residuals[space, row, k]
                out[row, numbers[k]] += residual_weights[k, space] * square + residual_weights[k, 3 + space] * np.sqrt(square)


@njit(cache=True, nogil=True)
def sum_pairs(codes: NDArray[np.uint8], pairs: NDArray[np.int32], tables: Ints, out: Ints) -> None:
    """Add up the three table entries of every watched pair."""
    for row in range(codes.shape[0]):
        for p in range(pairs.shape[0]):
            cell = np.int64(codes[row, pairs[p, 0]]) * 32 + codes[row, pairs[p, 1]]
            for q in range(3):
                out[p, q] += tables[p, cell, q]


@njit(cache=True, nogil=True)
def sum_joint(joint: Floats, limits: Floats, out: Ints) -> None:
    """Rows under the two limits, and clipped evidence, of every field's joint score."""
    for row in range(joint.shape[0]):
        for j in range(joint.shape[1]):
            score = joint[row, j]
            out[j, 0] += score < limits[j, 0]
            out[j, 1] += score < limits[j, 1]
            out[j, 2] += np.int64(np.rint(min(log(0.97 + 0.03 * exp(min(-score, 12.0))), 1.5) * 1048576.0))
            out[j, 3] += np.int64(np.rint(1048576.0 / (1.0 + exp(min(score, 30.0)))))


@njit(cache=True, nogil=True)
def mean_leaf_scores(leaves: Ints, leaf_scores: NDArray[np.float32], out: Floats) -> None:
    """Mean log10 healthy mass of the leaves of each record."""
    trees = leaves.shape[1]
    for row in range(leaves.shape[0]):
        total = 0.0
        for t in range(trees):
            total += leaf_scores[t, leaves[row, t]]
        out[row] = total / max(trees, 1)
