"""Learning a reference from the pool: first what to measure, then how often healthy data does what.

`learn_structure` decides on edges, bins, pairs, linear relations, joint scores and trees from all rows at once;
`learn_probabilities` counts, and is called once for the reference that is published and once a fold for cross-fitting.
Smoothing scales with the number of rows, so that what can't happen in a small fold can't happen in the whole either.
Cost: about 1 s for 15 fields, 105 pairs and 75,000 rows; once a re-training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Column, Kind
from stream_monitor.detection.joint_score import learn_joint_scores
from stream_monitor.detection.linear_relations import learn_linear
from stream_monitor.detection.pool import Pool, absent, are_numbers
from stream_monitor.profiling.half_space_trees import Forest
from stream_monitor.profiling.measure import Measurer, encode, slot_numbers
from stream_monitor.profiling.reference import (
    BINS,
    MISSING,
    FieldProbabilities,
    FieldStructure,
    Probabilities,
    Reference,
    Structure,
)

Floats = NDArray[np.float64]

MAX_FIELDS = 256
"""Fields measured against the reference; the most often present come first."""
MAX_PAIRS = 128
"""Field pairs watched: 10 ns a pair and record, so at most about 1.3 us a record."""
MAX_NUMBERS = 24
"""Fields in the linear relations: cost grows with the square."""
TRACKED = BINS - 4
"""Values of a field that get a bin of their own."""
TRACKED_PATTERNS = 8
CLOSED_VALUES, CLOSED_NUMBERS, CLOSED_SINGLES = 400, 100, 0.2
"""A closed vocabulary has few values, few of them rare in a pane; numbers only if they are few and mostly whole."""
REPEATING_SINGLES = 0.9
"""Share of values that occur once in a pane, below which repeats say more of the number of records than of a fault."""
LEAST_PANES, COUNTING = 5, 0.95
"""Rank correlation of a field's pane medians with time, from which it is a counter; of at least so many panes."""
KNOWN_VALUES = 8192
"""Healthy values remembered a field."""
TREE_ROWS, JOINT_ROWS, SCREEN_ROWS = 20_000, 12_000, 8_000
"""Rows used for tree masses, joint scores, and the choice of pairs."""


def learn_structure(pool: Pool, patterns: Mapping[int, str], *, seed: int) -> Structure:
    """What to measure on data like the pool's; `patterns` has the text of each pattern hash."""
    fields = tuple(_field_structure(path, pool, patterns) for path in _paths(pool))
    numbers = _numbers(fields, pool)
    draft = Structure(
        fields=fields, numbers=numbers, pairs=np.zeros((0, 2), np.int32), linear=(), pair_weights=np.zeros((0, 2)),
        residual_weights=np.zeros((len(numbers), 6)), intercepts=np.zeros(len(fields)), joint_limits=np.full((len(fields), 2), -np.inf),
        forest=Forest.draw(seed, len(fields)),
    )
    known = tuple(_field_probabilities(field, pool, np.ones(len(pool), np.bool_)) for field in fields)
    codes = np.stack([_codes(f, k, pool) for f, k in zip(fields, known, strict=True)], 1) if fields else np.zeros((len(pool), 0), np.uint8)
    draft = replace(draft, pairs=_choose_pairs(codes, fields), linear=learn_linear(draft, pool))
    draft = replace(draft, pair_weights=np.zeros((len(draft.pairs), 2)))
    probabilities = learn_probabilities(draft, pool, np.ones(len(pool), np.bool_))
    return learn_joint_scores(Reference(0, 0, draft, probabilities), pool.select(_spread(len(pool), JOINT_ROWS, seed)), seed)


def learn_probabilities(structure: Structure, pool: Pool, rows: NDArray[np.bool_]) -> Probabilities:
    """How often the rows of the pool where `rows` (n,) is true do what."""
    fields = tuple(_field_probabilities(field, pool, rows) for field in structure.fields)
    part = pool.select(rows)
    count = len(part)
    ratios = _pair_ratios(structure, fields, part)
    blank = Probabilities(
        rows=count, fields=fields, pair_ratios=ratios, pair_limit=-float(np.log(50.0)),
        leaf_scores=np.zeros((len(structure.forest.features), 2**structure.forest.depth), np.float32),
        leaf_mass=np.zeros((len(structure.forest.features), 2**structure.forest.depth)), tree_limits=np.full(2, -np.inf),
    )
    sample = part.select(_spread(count, TREE_ROWS, 0))
    evidence = Measurer(Reference(0, 0, structure, blank)).rows(sample.columns, len(sample))
    mass = np.stack([np.bincount(evidence.leaves[:, t], minlength=blank.leaf_mass.shape[1]) for t in range(blank.leaf_mass.shape[0])])
    scores = np.log10(mass / max(len(sample), 1) + 3 / max(len(sample), 1)).astype(np.float32)
    own = scores[np.arange(len(scores)), evidence.leaves].mean(1, dtype=np.float64)
    limits = np.quantile(own, [0.01, 0.05]) if len(own) else blank.tree_limits
    return replace(blank, leaf_mass=mass / max(len(sample), 1), leaf_scores=scores, tree_limits=limits)


def _paths(pool: Pool) -> list[str]:
    """Fields worth measuring: they hold something else than objects; the most often present first, ties by name."""
    present = {path: int(((c.kinds > Kind.NULL) & (c.kinds != Kind.OBJECT)).sum()) for path, c in pool.columns.items()}
    return sorted(sorted((p for p in present if present[p]), key=lambda p: (-present[p], p))[:MAX_FIELDS])


def _field_structure(path: str, pool: Pool, patterns: Mapping[int, str]) -> FieldStructure:
    column = pool.columns[path].take(np.flatnonzero(pool.teaches(path)))
    present = column.kinds > Kind.NULL
    numbers = column.numbers[are_numbers(column)]
    numeric = len(numbers) > 0.5 * present.sum() and not _is_counter(path, pool)
    hashes, counts = np.unique(column.hashes[present], return_counts=True)
    closed = _is_closed(path, pool, column, len(hashes), numeric)
    top = _top(hashes, counts, TRACKED)
    binned_by_quantile = numeric and len(hashes) > TRACKED
    by_pattern = not numeric and not closed and counts[np.isin(hashes, top)].sum() <= 0.3 * len(column)
    top_patterns = _top(*np.unique(column.masks[present], return_counts=True), TRACKED_PATTERNS)
    if by_pattern:
        top = top_patterns
    tracked = np.zeros(0, np.uint64) if binned_by_quantile else top
    order = np.argsort(tracked)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, 257), method="inverted_cdf")) if numeric else np.zeros(0)
    scale = float(numbers.std()) if len(numbers) else 1.0
    return FieldStructure(
        path=path, numeric=bool(numeric), closed=bool(closed), repeating=_singles(path, pool) < REPEATING_SINGLES,
        by_pattern=bool(by_pattern), edges=edges,
        edge_bins=_edge_bins(numbers, edges) if binned_by_quantile else np.zeros(0, np.uint8),
        ranks=_ranks(numbers, edges) if numeric else np.zeros(0),
        tracked=tracked[order], tracked_bins=(2 + np.arange(len(tracked), dtype=np.uint8))[order],
        top_patterns=top_patterns, pattern_texts=tuple(patterns.get(int(h), f"{int(h):016x}") for h in top_patterns),
        center=float(numbers.mean()) if len(numbers) else 0.0, scale=scale if scale > 0 else 1.0,
        tails=tuple(np.quantile(numbers, [0.005, 0.995]).tolist()) if numeric else (0.0, 0.0),
    )


def _is_counter(path: str, pool: Pool) -> bool:
    """Numbers that only ever grow (or fall) from pane to pane, as counters and clocks do: where they are now is no surprise."""
    column, teaches = pool.columns[path], pool.teaches(path)
    kept = are_numbers(column) & teaches
    medians = np.array([np.median(x) for pane in range(pool.panes) if len(x := column.numbers[kept & (pool.pane == pane)])])
    if len(medians) < LEAST_PANES:
        return False
    order = np.argsort(np.argsort(medians, kind="stable"), kind="stable")
    return bool(abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) > COUNTING) and len(np.unique(medians)) > len(medians) // 2


def _is_closed(path: str, pool: Pool, column: Column, distinct: int, numeric: bool) -> bool:
    """Few values, and few that occur once in a pane. Identity of a number means something only if there are few, or whole ones."""
    if distinct > CLOSED_VALUES or _singles(path, pool) >= CLOSED_SINGLES:
        return False
    whole = np.mean(column.kinds[are_numbers(column)] == Kind.INT) if numeric else 1.0
    return not numeric or distinct <= TRACKED or (distinct <= CLOSED_NUMBERS and whole > 0.99)


def _singles(path: str, pool: Pool) -> float:
    """Mean share, over up to 30 panes, of rows whose value occurs once in the pane."""
    column, shares = pool.columns[path], []
    for pane in range(min(pool.panes, 30)):
        rows = pool.pane == pane
        hashes = column.hashes[rows][column.kinds[rows] > Kind.NULL]
        if len(hashes):
            shares.append(float((np.unique(hashes, return_counts=True)[1] == 1).sum()) / int(rows.sum()))
    return float(np.mean(shares)) if shares else 0.0


def _top(hashes: NDArray[np.uint64], counts: NDArray[np.int64], k: int) -> NDArray[np.uint64]:
    return hashes[np.lexsort((hashes, -counts))[:k]]


def _edge_bins(numbers: Floats, edges: Floats) -> NDArray[np.uint8]:
    """16 bins of equal mass, as unions of slots between edges."""
    limits = np.unique(np.quantile(numbers, np.linspace(0, 1, 17)[1:-1], method="inverted_cdf"))
    inside = 2 + np.searchsorted(limits, edges, side="right")
    return np.concatenate([[2], inside, [inside[-1]]]).astype(np.uint8)


def _ranks(numbers: Floats, edges: Floats) -> Floats:
    """Mid-rank of each slot; beyond the ends as if a fifth of a row lay there."""
    slots = np.searchsorted(edges, numbers, side="right")
    share = np.bincount(slots, minlength=len(edges) + 2) / len(numbers)
    middle = np.clip(np.cumsum(share) - share / 2, 0.5 / len(numbers), 1 - 0.5 / len(numbers))
    middle[0], middle[-1] = 0.2 / len(numbers), 1 - 0.2 / len(numbers)
    return np.asarray(middle)


def _numbers(fields: tuple[FieldStructure, ...], pool: Pool) -> NDArray[np.int32]:
    """Numeric fields that vary and that most records have."""
    found = [
        j for j, field in enumerate(fields)
        if len(field.edges) > 1 and are_numbers(pool.columns[field.path]).mean() > 0.5
    ]
    return np.array(found[:MAX_NUMBERS], np.int32)


def _field_probabilities(field: FieldStructure, pool: Pool, rows: NDArray[np.bool_]) -> FieldProbabilities:
    column = pool.columns.get(field.path)
    keep = rows & pool.teaches(field.path)
    column = absent(len(pool)).take(np.flatnonzero(keep)) if column is None else column.take(np.flatnonzero(keep))
    present, count = column.kinds > Kind.NULL, len(column)
    hashes, counts = np.unique(column.hashes[present], return_counts=True)
    if not field.closed:
        hashes, counts = hashes[counts > 1], counts[counts > 1]
    if len(hashes) > KNOWN_VALUES:
        kept = np.sort(np.lexsort((hashes, -counts))[:KNOWN_VALUES])
        hashes, counts = hashes[kept], counts[kept]
    numbers = column.numbers[are_numbers(column)] if field.numeric else np.zeros(0)
    low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (-np.inf, np.inf)
    slots = np.zeros(0)
    slot = None
    if field.numeric:
        slot = slot_numbers(field, column)
        slots = np.bincount(slot[slot >= 0], minlength=len(field.edges) + 2) / max(len(numbers), 1)
    draft = FieldProbabilities(
        bins=np.zeros(BINS), slots=slots, low=low, high=high, values=hashes, counts=counts.astype(np.float64),
        patterns=np.unique(column.masks[present]), positions=np.zeros(BINS),
    )
    codes = encode(field, draft, column, slot)
    bins = np.asarray((np.bincount(codes, minlength=BINS) + 0.05) / (count + 0.05 * BINS), np.float64)
    return replace(draft, bins=bins, positions=_positions(bins))


def _positions(bins: Floats) -> Floats:
    """Bins on the unit axis, the most frequent first, each at the middle of its mass."""
    order = np.argsort(-bins, kind="stable")
    out = np.empty(BINS)
    out[order] = np.cumsum(bins[order]) - bins[order] / 2
    return out


def _codes(field: FieldStructure, known: FieldProbabilities, pool: Pool) -> NDArray[np.uint8]:
    column = pool.columns.get(field.path)
    if column is None:
        return np.full(len(pool), MISSING, np.uint8)
    return encode(field, known, column, slot_numbers(field, column) if field.numeric else None)


def _choose_pairs(codes: NDArray[np.uint8], fields: tuple[FieldStructure, ...]) -> NDArray[np.int32]:
    """All pairs, or the `MAX_PAIRS` with the most mutual information on a sample."""
    pairs = np.array(list(combinations(range(len(fields)), 2)), np.int32).reshape(-1, 2)
    if len(pairs) <= MAX_PAIRS:
        return pairs
    sample = codes[_spread(len(codes), SCREEN_ROWS, 0)].astype(np.int64)
    information = np.array([_mutual_information(sample[:, i], sample[:, j]) for i, j in pairs])
    return pairs[np.sort(np.argsort(-information, kind="stable")[:MAX_PAIRS])]


def _mutual_information(left: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    """In nats, less its expected bias under independence (Miller, 1955)."""
    table = np.bincount(left * BINS + right, minlength=BINS * BINS).reshape(BINS, BINS) / max(len(left), 1)
    a, b = table.sum(1), table.sum(0)
    filled = table > 0
    bias = ((a > 0).sum() - 1) * ((b > 0).sum() - 1) / (2 * max(len(left), 1))
    return float((table[filled] * np.log(table[filled] / np.outer(a, b)[filled])).sum() - bias)


def _pair_ratios(structure: Structure, fields: tuple[FieldProbabilities, ...], part: Pool) -> NDArray[np.float32]:
    """log p(a, b) / (p(a) p(b)), shrunk towards independence by pseudo-rows: 1 % of the rows, between 3 and 30."""
    out = np.zeros((len(structure.pairs), BINS * BINS), np.float32)
    codes = [_codes(field, known, part).astype(np.int64) for field, known in zip(structure.fields, fields, strict=True)]
    for place, (i, j) in enumerate(structure.pairs):
        keep = part.teaches(structure.fields[i].path) & part.teaches(structure.fields[j].path)
        rows = int(keep.sum())
        table = np.bincount((codes[i] * BINS + codes[j])[keep], minlength=BINS * BINS).reshape(BINS, BINS)
        left = (table.sum(1) + 0.5) / (rows + 0.5 * BINS)
        right = (table.sum(0) + 0.5) / (rows + 0.5 * BINS)
        independent = np.outer(left, right)
        pseudo = min(max(rows / 100, 3.0), 30.0)
        joint = (table + pseudo * independent) / (rows + pseudo)
        out[place] = np.clip(np.log(joint / independent), -6, 6).ravel()
    return out


def _spread(n: int, most: int, seed: int) -> NDArray[np.bool_]:
    """A mask of at most `most` of n rows, drawn from the seed."""
    keep = np.ones(n, np.bool_)
    if n > most:
        keep[:] = False
        keep[np.random.default_rng(seed).permutation(n)[:most]] = True
    return keep


