"""What a profile says without a reference: missing values, types, shapes of strings, repeats, order, volume, time.

Counts are of all records of the window, not of a sample. Where a sketch is not complete, repeats are rates among the values
it kept. Cost: O(fields) a window.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import log

import numpy as np

from stream_monitor.decoding.columns import Kind
from stream_monitor.detection.readings import Layer, Readings
from stream_monitor.detection.verdict import Aspect
from stream_monitor.profiling.bottom_k import BottomK
from stream_monitor.profiling.field_profile import FieldProfile
from stream_monitor.profiling.order_stats import FieldOrder
from stream_monitor.profiling.profile import Profile

NAN = float("nan")
TYPES = {Kind.BOOL: "bool", Kind.INT: "int", Kind.FLOAT: "float", Kind.STRING: "string", Kind.OBJECT: "object", Kind.ARRAY: "array"}
RAREFIED = 100
NO_ORDER = FieldOrder(0, 0, 0, 0, 0)
EMPTY, PADDED, NON_ASCII, DISGUISED = range(4)


def read_profile(
    readings: Readings, profile: Profile, paths: Sequence[str], volume_error: float, repeating: Collection[str] = frozenset()
) -> None:
    """Metrics of the whole record and of the fields `paths`. `volume_error`: of the forecast (detection/volume.py); `repeating`:
    fields whose values repeat anyhow, so that the number of repeats says how many records there are.
    """
    well_formed = profile.well_formed
    _read_records(readings, profile, well_formed, set(paths), volume_error)
    order = profile.order.by_field()
    for path in paths:
        field = profile.fields.get(path)
        if field is None:
            readings.rate(Aspect.COMPLETENESS, path, "absent", well_formed, well_formed, Layer.MISSING)
        else:
            _read_presence(readings, path, field, well_formed)
            _read_types(readings, path, field)
            _read_repeats(readings, path, field, repeats=path in repeating)
            _read_order(readings, path, order.get(path, NO_ORDER))


def _read_records(readings: Readings, profile: Profile, well_formed: int, known: set[str], volume_error: float) -> None:
    readings.rate(Aspect.CONFORMITY, None, "parse_error", sum(profile.malformed.values()), profile.records, Layer.RECORD)
    readings.rate(Aspect.CONFORMITY, None, "duplicate_keys", profile.duplicate_keys, well_formed, Layer.RECORD)
    strangers = [f.observed for path, f in profile.fields.items() if path not in known and not f.elements]
    readings.rate(Aspect.CONFORMITY, None, "unknown_field", max(strangers, default=0), well_formed, Layer.RECORD)
    _repeats(readings, Aspect.UNIQUENESS, None, "duplicate_rows", profile.rows)
    readings.level(Aspect.VOLUME, None, "records", volume_error, profile.records, Layer.RECORD, floor=0.3)
    timing = profile.timing
    total = profile.records + timing.late
    for name, count, layer in (  # late records leave a gap in their window; disorder breaks nothing else
        ("late", timing.late, Layer.RECORD), ("future", timing.future, Layer.RECORD), ("disordered", timing.disordered, Layer.FLOW),
    ):
        readings.rate(Aspect.TIMELINESS, None, name, count, total, layer, one_sided=True)
    delay = log(max(timing.delay_quantile(0.5), 0.0) + 10.0) if timing.delays_known else NAN
    readings.level(Aspect.TIMELINESS, None, "delay", delay, total, Layer.FLOW, floor=0.1, one_sided=True)


def _read_presence(readings: Readings, path: str, field: FieldProfile, well_formed: int) -> None:
    seen, present = field.observed, field.present
    total = seen if field.elements else well_formed
    if not field.elements:
        readings.rate(Aspect.COMPLETENESS, path, "absent", well_formed - seen, well_formed, Layer.MISSING)
    readings.rate(Aspect.COMPLETENESS, path, "null", int(field.kinds[Kind.NULL]), total, Layer.MISSING)
    readings.rate(Aspect.COMPLETENESS, path, "empty", int(field.flags[EMPTY]), present, Layer.MISSING)
    readings.rate(Aspect.COMPLETENESS, path, "disguised", int(field.flags[DISGUISED]), present, Layer.MISSING)


def _read_types(readings: Readings, path: str, field: FieldProfile) -> None:
    present = field.present
    for kind, name in TYPES.items():
        layer = Layer.VALUE if kind in (Kind.INT, Kind.FLOAT) else Layer.FORM  # whole or not changes with the value of a number
        readings.rate(Aspect.CONFORMITY, path, f"type_{name}", int(field.kinds[kind]), present, layer, "types")
    readings.rate(Aspect.CONFORMITY, path, "padded", int(field.flags[PADDED]), present, Layer.FORM, "patterns")
    readings.rate(Aspect.CONFORMITY, path, "non_ascii", int(field.flags[NON_ASCII]), present, Layer.FORM, "patterns")
    lengths = field.lengths
    few = lengths.count < 3
    readings.level(Aspect.CONFORMITY, path, "length_mean", NAN if few else lengths.mean, lengths.count, Layer.FORM, "patterns", floor=0.01)
    spread = NAN if few else 0.5 * log(max(lengths.variance, 0.0) + 0.0025)
    readings.level(Aspect.CONFORMITY, path, "length_spread", spread, lengths.count, Layer.FORM, "patterns", floor=0.01)


def _read_repeats(readings: Readings, path: str, field: FieldProfile, *, repeats: bool) -> None:
    values = field.values
    if not repeats:
        _repeats(readings, Aspect.UNIQUENESS, path, "repeated_values", values)
    if field.minus is not None:
        _repeats(readings, Aspect.UNIQUENESS, path, "duplicate_rows_but_one", field.minus)
    distinct, singles = rarefied(values)
    readings.level(Aspect.UNIQUENESS, path, "distinct", distinct, values.total, Layer.VALUE, "duplicates", floor=0.2)
    readings.level(Aspect.UNIQUENESS, path, "singles", singles, values.total, Layer.VALUE, "duplicates", floor=0.2)


def rarefied(sketch: BottomK) -> tuple[float, float]:
    """Distinct values, and values that occur once, to be expected among 100 of the values (Hurlbert, 1971): the same in quiet and
    in busy windows, as counts among all values are not. NaN of fewer than 20; of fewer than 100, those there are, in proportion.
    """
    if sketch.total < 20:
        return NAN, NAN
    drawn = min(RAREFIED / sketch.total, 1.0)
    counts = sketch.counts.astype(np.float64)
    scale = sketch.distinct() / max(len(counts), 1) * RAREFIED / min(sketch.total, RAREFIED)
    missed = (1 - drawn) ** (counts - 1)
    return float((1 - missed * (1 - drawn)).sum()) * scale, float((counts * drawn * missed).sum()) * scale


def _repeats(readings: Readings, aspect: Aspect, path: str | None, name: str, sketch: BottomK) -> None:
    """Values that repeat an earlier one, among the kept ones."""
    kept = sketch.kept()
    readings.rate(aspect, path, name, kept - len(sketch.hashes), kept, Layer.DUPLICATE, "duplicates", one_sided=True)


def _read_order(readings: Readings, path: str, order: FieldOrder) -> None:
    """Adjacent equal values and the longest run of them (frozen), falls of the ordinal (disorder)."""
    readings.rate(Aspect.UNIQUENESS, path, "adjacent_equal", order.equal, order.pairs, Layer.RUN, "runs")
    readings.energy(Aspect.UNIQUENESS, path, "longest_run", max(order.longest_run - 1, 0), order.pairs, Layer.RUN, "runs")
    readings.rate(Aspect.COHERENCE, path, "descending", order.descending, order.ordinal_pairs, Layer.RELATION, "order")
