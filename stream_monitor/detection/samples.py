"""Which records a finding is about: positions of sampled records that show what was found.

The sample of a window is uniform, so a fault in 1 % of the records is seen in several sampled ones; rarer faults may have no
sample, and malformed records are kept apart. Positions, never values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Column, Flag, Kind
from stream_monitor.detection.pool import absent
from stream_monitor.detection.readings import Spec
from stream_monitor.profiling.measure import RowEvidence, measurer
from stream_monitor.profiling.profile import Profile
from stream_monitor.profiling.reference import Reference

Mask = NDArray[np.bool_]
MOST = 5
SOME_PARTITIONS = 5
"""Records hit from which on a partition without any is taken to be healthy."""
_TYPES = {f"type_{kind.name.lower()}": kind for kind in Kind if kind > Kind.NULL}
_FLAGS = {"empty": Flag.EMPTY, "padded": Flag.PADDED, "non_ascii": Flag.NON_ASCII, "disguised": Flag.DISGUISED}


class Witnesses:
    """The sampled records of one window, asked which of them show a finding."""

    def __init__(self, profile: Profile, reference: Reference | None) -> None:
        self.profile, self.sample, self.reference = profile, profile.sample, reference
        self._evidence: RowEvidence | None = None

    def of(self, spec: Spec, *, more: bool) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...] | None]:
        """Positions of some records hit, and the partitions hit when only some are. `more`: the metric is above the usual."""
        if spec.name == "parse_error":
            return tuple((partition, offset) for _, partition, offset, _ in self.profile.malformed_positions[:MOST]), None
        if spec.field is None or not len(self.sample):
            return (), None
        hit = np.flatnonzero(self._mask(spec, self.sample.columns.get(spec.field) or absent(len(self.sample)), more))
        positions = tuple((int(self.sample.partitions[row]), int(self.sample.offsets[row])) for row in hit[:MOST])
        hit_partitions, partitions = np.unique(self.sample.partitions[hit]), np.unique(self.sample.partitions)
        some = len(hit) >= SOME_PARTITIONS and len(hit_partitions) < len(partitions)
        return positions, tuple(hit_partitions.tolist()) if some else None

    def _mask(self, spec: Spec, column: Column, more: bool) -> Mask:
        name, present = spec.name, column.kinds > Kind.NULL
        if name in ("absent", "null"):
            return np.asarray((column.kinds == Kind[name.upper()]) == more)
        if name in _TYPES:
            return np.asarray(present & ((column.kinds == _TYPES[name]) == more))
        if name in _FLAGS:
            return np.asarray(present & ((column.flags & _FLAGS[name] != 0) == more))
        if name in ("repeated_values", "distinct", "singles", "repeated_new_value"):
            return present & _repeated(column.hashes)
        known = self._known().get(name.split(":")[0])
        return known(spec, column, present) if known and self.reference is not None else np.zeros(len(present), np.bool_)

    def _known(self) -> dict[str, Callable[[Spec, Column, Mask], Mask]]:
        """Masks that need the reference."""
        joint = self._incoherent
        return {
            "unseen_value": self._unseen, "new_pattern": self._new_pattern, "below_range": self._beyond, "above_range": self._beyond,
            "low_tail": self._beyond, "high_tail": self._beyond, "mean": self._beyond, "spread": self._beyond, "ks": self._beyond,
            "value_scan": self._unseen, "joint_bad": joint, "joint_low": joint, "joint_llr": joint, "joint_mean": joint,
            "pair_rare": joint, "pair_llr": joint, "pair_pmi": joint, "residual_raw": joint, "residual_log": joint, "residual_rank": joint,
            "residual_big_raw": joint, "residual_big_log": joint, "residual_big_rank": joint,
        }

    def _place(self, path: str | None) -> int | None:
        paths = self.reference.paths if self.reference else ()
        return paths.index(path) if path in paths else None

    def _unseen(self, spec: Spec, column: Column, present: Mask) -> Mask:
        place = self._place(spec.field)
        if place is None or self.reference is None:
            return np.zeros(len(present), np.bool_)
        return present & ~np.isin(column.hashes, self.reference.probabilities.fields[place].values)

    def _new_pattern(self, spec: Spec, column: Column, present: Mask) -> Mask:
        place = self._place(spec.field)
        if place is None or self.reference is None:
            return np.zeros(len(present), np.bool_)
        return present & ~np.isin(column.masks, self.reference.probabilities.fields[place].patterns)

    def _beyond(self, spec: Spec, column: Column, present: Mask) -> Mask:
        place = self._place(spec.field)
        if place is None or self.reference is None:
            return np.zeros(len(present), np.bool_)
        low, high = self.reference.structure.fields[place].tails
        with np.errstate(invalid="ignore"):
            return present & ((column.numbers < low) | (column.numbers > high))

    def _incoherent(self, spec: Spec, column: Column, present: Mask) -> Mask:
        place = self._place(spec.field)
        if place is None or self.reference is None:
            return np.zeros(len(present), np.bool_)
        if self._evidence is None:
            self._evidence = measurer(self.reference).rows(self.sample.columns, len(self.sample))
        return np.asarray(self._evidence.joint[:, place] < self.reference.structure.joint_limits[place, 1])


def _repeated(hashes: NDArray[np.uint64]) -> Mask:
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] > 1)
