"""Re-training: a new reference from memory, and memory judged anew against it.

1. The structure is learned from all trusted rows; probabilities once for the reference, and once a fold without the block.
2. Every remembered window is measured from its sampled rows against the reference of the other blocks, and judged by charts
   of the other blocks: out of sample, as a new window will be.
3. Windows that surprise too much are dropped and the reference is learned again without them, once; what they leave for the
   charts is clipped, as it is for new windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_monitor.detection.charts import Charts
from stream_monitor.detection.cross_fit import blocks_apart, trim
from stream_monitor.detection.field_metrics import read_fields
from stream_monitor.detection.lasting import FOLLOWED, Lasting, run, scores
from stream_monitor.detection.memory import Memory, Surprise
from stream_monitor.detection.pool import PaneRows, Pool
from stream_monitor.detection.readings import Readings, Spec, Table
from stream_monitor.detection.reference_builder import learn_probabilities, learn_structure
from stream_monitor.detection.relation_metrics import read_relations
from stream_monitor.profiling.measure import Measured, measurer
from stream_monitor.profiling.reference import Reference

Floats = NDArray[np.float64]

REMEMBERED_SURPRISES = 64
NOTABLE = 0.5
"""-log10 p from which a surprise is remembered."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a re-training gives."""

    reference: Reference
    table: Table
    """Metrics of every remembered window, those against the reference measured anew."""
    surprises: list[tuple[Surprise, ...]]
    lasting: Lasting
    healthy: NDArray[np.bool_]


def measure_rows(rows: PaneRows, reference: Reference, start_ms: int) -> Table:
    """Metrics of sampled rows against a reference."""
    readings = Readings()
    ready = measurer(reference)
    measured = Measured(ready.layout, ready.measure(rows.columns, rows.rows))
    read_fields(readings, reference, measured, rows.columns)
    read_relations(readings, reference, measured)
    return Table.of(readings, start_ms)


def measure_whole(vector: NDArray[np.int64], reference: Reference, start_ms: int) -> Table:
    """Metrics of all records of a window against a reference, from what profilers measured with it."""
    readings = Readings(whole=True)
    measured = Measured(measurer(reference).layout, vector)
    read_fields(readings, reference, measured, None)
    read_relations(readings, reference, measured)
    return Table.of(readings, start_ms)


def retrain(
    memory: Memory, own: Table, patterns: Mapping[int, str], *, version: int, effective_from_ms: int, seed: int, gate: float
) -> Trained:
    """`own` has the metrics that need no reference. Cost: about 2 s for 130 windows of 500 rows of 15 fields."""
    panes = memory.rows()
    folds = blocks_apart([window.forgotten for window in memory.windows])
    healthy = np.ones(len(panes), np.bool_)
    for attempt in range(2):
        reference, table = _learn(memory, panes, folds, healthy, patterns, version, effective_from_ms, seed)
        table = memory.lessons(own.beside(table))
        surprise, still = trim(table, folds)
        if attempt == 1 or still.all():
            break
        healthy = still
    charts = Charts(table.rows(still))
    above = charts.above(table)
    followed = np.array([spec.name in FOLLOWED and not spec.whole for spec in table.specs], np.bool_)
    lasting, slow = run(scores(surprise, above), surprise, followed, gate)
    clipped = np.where(still[:, None], table.first, charts.censored(table, gate).first)
    table = Table(table.specs, table.times_ms, clipped, table.second)
    return Trained(reference, table, [notable(table.specs, row) for row in np.maximum(surprise, slow)], lasting, still)


def _learn(
    memory: Memory, panes: Sequence[PaneRows], folds: NDArray[np.int64], healthy: NDArray[np.bool_], patterns: Mapping[int, str],
    version: int, effective_from_ms: int, seed: int,
) -> tuple[Reference, Table]:
    pool = Pool.join(panes)
    taught = healthy[pool.pane]
    structure = learn_structure(pool.select(taught), patterns, seed=seed)
    reference = Reference(version, effective_from_ms, structure, learn_probabilities(structure, pool, taught))
    tables: dict[int, Table] = {}
    for fold in np.unique(folds):
        others = taught & (folds[pool.pane] != fold)
        unknown = frozenset(path for path, may in pool.trusted.items() if not (may & others).any())
        blind = Reference(version, effective_from_ms, structure, learn_probabilities(structure, pool, others))
        for place in np.flatnonzero(folds == fold).tolist():
            tables[place] = _unless_unknown(measure_rows(panes[place], blind, memory.windows[place].start_ms), unknown)
    out = Table.empty()
    if tables:
        rows = [tables[place] for place in range(len(panes))]
        times = np.concatenate([row.times_ms for row in rows])
        out = Table(rows[0].specs, times, np.vstack([row.first for row in rows]), np.vstack([row.second for row in rows]))
    return reference, out


def _unless_unknown(metrics: Table, paths: frozenset[str]) -> Table:
    """Metrics of fields that the reference had no rows to learn from say nothing: everything would be new to it."""
    mute = np.array([spec.field in paths or spec.other in paths for spec in metrics.specs], np.bool_)
    if not mute.any():
        return metrics
    return Table(metrics.specs, metrics.times_ms, np.where(mute, np.nan, metrics.first), np.where(mute, 0.0, metrics.second))


def notable(specs: Sequence[Spec], surprise: Floats) -> tuple[Surprise, ...]:
    """The largest surprise of each field in each aspect, the largest first."""
    best: dict[tuple[str, str | None], float] = {}
    for place in np.flatnonzero(surprise >= NOTABLE).tolist():
        spec, value = specs[place], float(surprise[place])
        key = (spec.aspect, spec.field)
        if value > best.get(key, 0.0):
            best[key] = value
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0][0], item[0][1] or ""))
    return tuple(Surprise(type(specs[0].aspect)(aspect), path, value) for (aspect, path), value in ranked[:REMEMBERED_SURPRISES])
