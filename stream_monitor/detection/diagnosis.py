"""What kind of fault a suspected field has: the aspect to name first.

A fault disturbs metrics of several aspects: a unit error invents values and patterns, a stuck sensor repeats a value, a swap of
two fields brings unknown ones. What tells them apart is looked up in the window's sampled rows: how many different unknown
values there are, whether they are known in another field, whether their pattern is a known one in another case, whether
equal values lie side by side. Only asked when something alerts. Cost: O(sampled rows).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Column, Flag, Kind
from stream_monitor.detection.readings import Layer, Spec
from stream_monitor.detection.verdict import Aspect
from stream_monitor.profiling.reference import FieldStructure, Reference

Floats = NDArray[np.float64]

TELLING = 0.4
"""A metric with this share of the field's best surprise (both capped) is part of the picture."""
CAP = 10.0
RUN_SHARE = 0.6
"""A run with this share of all surplus neighbours that are equal is one frozen stretch, not a value that is everywhere."""
ONE_VALUE = 0.9
"""Share of the unknown values that must be one and the same, to be a stand-in for null."""
FEW_VALUES, FEW_SHARE = 3, 0.1
"""Distinct unknown values, or their share of all unknown values, up to which they are categories: those repeat, typing errors don't."""
NUMBER_FORMS = ("type_int", "type_float")
STRINGS = ("type_string", "type_bool", "type_object", "type_array")


@dataclass(frozen=True, slots=True)
class Unknown:
    """Values of a field in the sampled rows that healthy data does not have."""

    count: int
    distinct: int
    most: int
    """How often the most frequent one occurs."""
    elsewhere: float
    """Share of them that another field has."""
    plain: bool
    """Neither padded nor non-ASCII, and no known pattern in another case."""
    null_like: bool
    """They are what people write for null: N/A, -1, ..."""
    central: bool
    """The most frequent one is a number in the middle of the healthy range."""


class Symptoms:
    """The surprises of one field by name of the metric, and its sampled values."""

    def __init__(
        self, path: str, specs: Sequence[Spec], surprise: Floats, values: Floats, columns: Mapping[str, Column],
        reference: Reference | None, patterns: Mapping[int, str],
    ) -> None:
        self.path, self.columns, self.reference, self.patterns = path, columns, reference, patterns
        mine = [place for place, spec in enumerate(specs) if spec.field == path]
        self.surprise = {specs[place].name: min(float(surprise[place]), CAP) for place in mine}
        self.value = {specs[place].name: float(values[place]) for place in mine}
        self.layer = {specs[place].name: specs[place].layer for place in mine}
        self.best = max(self.surprise.values(), default=0.0)

    def tells(self, *names: str) -> bool:
        """Whether one of the metrics (a name, or the part before a colon) is part of the picture."""
        return any(value >= TELLING * self.best for name, value in self.surprise.items() if name in names or name.split(":")[0] in names)

    def shifted(self) -> bool:
        """Whether the distribution of the values is part of the picture."""
        return any(value >= TELLING * self.best for name, value in self.surprise.items() if self.layer[name] == Layer.VALUE)

    def is_frozen(self) -> bool:
        """One stretch of equal values side by side."""
        run, equal = self.value.get("longest_run", 0.0), self.value.get("adjacent_equal", 0.0)
        return self.tells("longest_run") and run >= 2 and run >= RUN_SHARE * equal

    def field(self) -> FieldStructure | None:
        """What the reference says of the field."""
        if self.reference is None or self.path not in self.reference.paths:
            return None
        return self.reference.structure.fields[self.reference.paths.index(self.path)]

    def unknown(self) -> Unknown:
        """The unknown values."""
        column, field = self.columns.get(self.path), self.field()
        if column is None or field is None or self.reference is None:
            return Unknown(0, 0, 0, 0.0, plain=True, null_like=False, central=False)
        healthy = self.reference.probabilities.fields
        known = healthy[self.reference.paths.index(self.path)]
        odd = np.flatnonzero((column.kinds > Kind.NULL) & ~np.isin(column.hashes, known.values))
        hashes, first, counts = np.unique(column.hashes[odd], return_index=True, return_counts=True)
        if not len(hashes):
            return Unknown(0, 0, 0, 0.0, plain=True, null_like=False, central=False)
        others = [other.values for path, other in zip(self.reference.paths, healthy, strict=True) if path != self.path]
        elsewhere = np.isin(column.hashes[odd], np.concatenate([*others, np.zeros(0, np.uint64)]))
        number = column.numbers[odd[first[np.argmax(counts)]]]
        low, high = (np.quantile(field.edges, [0.05, 0.95]) if len(field.edges) else (np.inf, -np.inf))
        return Unknown(
            int(counts.sum()), len(hashes), int(counts.max()), float(elsewhere.mean()),
            plain=not self._disfigured(column.take(odd), field),
            null_like=bool((column.flags[odd] & (Flag.DISGUISED | Flag.EMPTY) != 0).mean() > 0.5), central=bool(low < number < high),
        )

    def _disfigured(self, column: Column, field: FieldStructure) -> bool:
        """Padded, not ASCII, or written in another case."""
        odd_flags = (column.flags & (Flag.PADDED | Flag.NON_ASCII) != 0).mean() > 0.5
        texts = [self.patterns.get(int(mask), "") for mask in np.unique(column.masks)]
        known = {text.lower() for text in field.pattern_texts}
        cased = [text.lower() in known and text not in field.pattern_texts for text in texts if text]
        return bool(odd_flags or (cased and np.mean(cased) > 0.5))


def aspect_of(symptoms: Symptoms, layer: Layer) -> Aspect:
    """The aspect of a fault whose cause lies in `layer`."""
    field = symptoms.field()
    numeric = field is not None and field.numeric
    unknown = symptoms.unknown()
    if layer == Layer.MISSING and (symptoms.tells("absent", "null", "empty") or unknown.most >= ONE_VALUE * unknown.count):
        return Aspect.COMPLETENESS
    if symptoms.is_frozen():
        return Aspect.UNIQUENESS
    if layer == Layer.DUPLICATE:
        return Aspect.UNIQUENESS
    if layer == Layer.RELATION:
        return Aspect.COHERENCE
    if symptoms.tells(*STRINGS) or symptoms.tells("padded", "non_ascii"):
        return Aspect.CONFORMITY
    alone = unknown.count >= 3 and unknown.most >= ONE_VALUE * unknown.count
    stand_in = unknown.null_like or (numeric and not unknown.central)
    if alone and stand_in and symptoms.tells("repeated_new_value", "value_scan", "unseen_value"):
        return Aspect.COMPLETENESS
    if numeric:
        return Aspect.INTEGRITY if symptoms.shifted() else Aspect.CONFORMITY
    if layer == Layer.VALUE:
        return Aspect.INTEGRITY
    if not unknown.count:
        return Aspect.INTEGRITY  # known values, in other proportions
    repeats = unknown.distinct < unknown.count and unknown.distinct <= max(FEW_VALUES, FEW_SHARE * unknown.count)
    return Aspect.INTEGRITY if repeats and unknown.plain and unknown.elsewhere < 0.5 else Aspect.CONFORMITY
