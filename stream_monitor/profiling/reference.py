"""The reference: what a profiler must know to measure records against healthy data.

It has two halves. The `Structure` says *what* is measured: edges, bins, pairs, weights, trees. The `Probabilities` say how
often healthy data does what. Cross-fitting (detection/cross_fit.py) exchanges the second and shares the first: a structure
fitted anew in every fold would make each fold measure something else.

The detector builds references (detection/reference_builder.py); here they are only data, with their bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError
from stream_monitor.profiling.codec import MALFORMED_STATE, seal, unseal
from stream_monitor.profiling.half_space_trees import Forest

BINS = 32
"""Bins a field. 0: absent or null; 1: never seen in healthy data; 2..30: tracked; 31: seen, not tracked."""
MISSING, UNSEEN, OTHER = 0, 1, BINS - 1
FIXED_POINT = 2.0**20
"""Real-valued sums are kept as integers in units of 2^-20, so that they add up to the same total in any order."""
_MAGIC, _VERSION = b"SMRF", 1


@dataclass(frozen=True, slots=True)
class FieldStructure:
    """How the values of one field are binned."""

    path: str
    numeric: bool
    """More than half of the healthy values are numbers."""
    closed: bool
    """A closed vocabulary: a value never seen is news."""
    repeating: bool
    """Most values of a pane occur more than once in it."""
    by_pattern: bool
    """Open text: binned by the pattern of its format, not by value."""
    edges: NDArray[np.float64]
    """Distinct values at the 257 quantiles of the healthy numbers, ascending; empty if not numeric."""
    edge_bins: NDArray[np.uint8]
    """(len(edges) + 2,): the bin of each slot between edges; empty unless binned by quantile."""
    ranks: NDArray[np.float64]
    """(len(edges) + 2,): mid-rank in (0, 1) of each slot."""
    tracked: NDArray[np.uint64]
    """Sorted hashes (of values, or of patterns if `by_pattern`) that have a bin of their own."""
    tracked_bins: NDArray[np.uint8]
    """Their bins."""
    top_patterns: NDArray[np.uint64]
    """Hashes of the most frequent format patterns."""
    pattern_texts: tuple[str, ...]
    """Their texts."""
    center: float
    scale: float
    """Mean and standard deviation of the healthy numbers."""
    tails: tuple[float, float]
    """The 0.5 % and 99.5 % quantiles."""


@dataclass(frozen=True, slots=True)
class FieldProbabilities:
    """How often healthy records of one field do what."""

    bins: NDArray[np.float64]
    """(32,): probability of each bin."""
    slots: NDArray[np.float64]
    """(len(edges) + 2,): probability of each slot between edges; empty if not numeric."""
    low: float
    high: float
    """Smallest and largest healthy number."""
    values: NDArray[np.uint64]
    """Sorted hashes of the healthy values (the most frequent ones, if there are too many)."""
    counts: NDArray[np.float64]
    """How often each was seen."""
    patterns: NDArray[np.uint64]
    """Sorted hashes of the healthy patterns."""
    positions: NDArray[np.float64]
    """(32,): where each bin lies on the unit axis of a categorical field in the trees."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Residuals of each number given the others, in one space (raw, log or rank)."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    """(m, m): row j gives the residual of number j from the standardised row."""
    limits: NDArray[np.float64]
    """(m,): a larger residual is a broken relation."""
    spread: NDArray[np.float64]
    """(m,): robust standard deviation of the residual."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What is measured."""

    fields: tuple[FieldStructure, ...]
    numbers: NDArray[np.int32]
    """(m,): which fields take part in the linear relations."""
    pairs: NDArray[np.int32]
    """(P, 2): the field pairs whose joint distribution is watched, most dependent first."""
    linear: tuple[Linear, ...]
    """Raw, log and rank space."""
    pair_weights: NDArray[np.float64]
    """(P, 2): weight of each pair's log-ratio in the joint score of its first and its second field."""
    residual_weights: NDArray[np.float64]
    """(m, 6): weights of the squared and absolute residuals of each number in its joint score."""
    intercepts: NDArray[np.float64]
    """(d,): intercept of each field's joint score."""
    joint_limits: NDArray[np.float64]
    """(d, 2): the 0.1 % and 1 % quantiles of the joint score on healthy rows."""
    forest: Forest


@dataclass(frozen=True, slots=True)
class Probabilities:
    """How often healthy records do what."""

    rows: int
    fields: tuple[FieldProbabilities, ...]
    pair_ratios: NDArray[np.float32]
    """(P, 1024): log of joint over independent probability of each pair of bins, clipped to [-6, 6]."""
    pair_limit: float
    """A log-ratio below this is a rare pair."""
    leaf_scores: NDArray[np.float32]
    """(trees, leaves): log10 of the smoothed healthy mass."""
    leaf_mass: NDArray[np.float64]
    """(trees, leaves): healthy mass."""
    tree_limits: NDArray[np.float64]
    """(2,): the 1 % and 5 % quantiles of a healthy record's mean leaf score."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A version of the above, in force from a pane on."""

    version: int
    effective_from_ms: int
    structure: Structure
    probabilities: Probabilities

    @property
    def paths(self) -> tuple[str, ...]:
        """Fields measured."""
        return tuple(field.path for field in self.structure.fields)

    def to_bytes(self) -> bytes:
        """Portable and canonical: equal references give equal bytes."""
        return seal(_MAGIC, _VERSION, _pack(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Reference:
        """Raises FormatError for anything that `to_bytes` of this or an older version did not write."""
        try:
            value = _unpack(unseal(_MAGIC, _VERSION, data))
        except MALFORMED_STATE as error:
            raise FormatError(f"expected the fields of a reference, got something else ({error}): the bytes are corrupt") from error
        if not isinstance(value, Reference):
            raise FormatError("expected a reference, got something else: the bytes are corrupt")
        return value


_TYPES: dict[str, type] = {
    t.__name__: t for t in (Reference, Structure, Probabilities, FieldStructure, FieldProbabilities, Linear, Forest)
}


def _pack(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"a": value.dtype.newbyteorder("<").str, "s": list(value.shape), "d": np.ascontiguousarray(value).tobytes()}
    if isinstance(value, tuple):
        return [_pack(item) for item in value]
    if type(value).__name__ in _TYPES:
        return {"t": type(value).__name__, "f": {field.name: _pack(getattr(value, field.name)) for field in fields(value)}}
    return value


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(item) for item in value)
    if isinstance(value, dict) and "a" in value:
        return np.frombuffer(value["d"], np.dtype(value["a"])).reshape(value["s"])
    if isinstance(value, dict) and "t" in value:
        return _TYPES[value["t"]](**{name: _unpack(item) for name, item in value["f"].items()})
    return value
