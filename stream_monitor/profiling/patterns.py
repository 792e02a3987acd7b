"""Format patterns of a field's values: hash of the pattern -> count, and the text of those kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.profiling.bottom_k import BottomK

PATTERNS = 64


@dataclass(frozen=True, slots=True, eq=False)
class PatternCounts:
    """The 64 patterns with the smallest hashes. A field with more has no format to speak of; `counts.total` still counts all."""

    counts: BottomK
    texts: Mapping[int, str]
    """By kept hash, sorted by it; "" when the decoder did not say."""

    @classmethod
    def empty(cls) -> PatternCounts:
        """Of no values."""
        return cls(BottomK.empty(PATTERNS), {})

    @classmethod
    def from_masks(cls, masks: NDArray[np.uint64], patterns: Mapping[int, str]) -> PatternCounts:
        """Of pattern hashes `masks` (n,), 0 = none; `patterns` has their texts."""
        counts = BottomK.from_hashes(masks[masks != 0], PATTERNS)
        return cls(counts, {mask: patterns.get(mask, "") for mask in counts.hashes.tolist()})

    def merge(self, other: PatternCounts) -> PatternCounts:
        """Of both."""
        counts = self.counts.merge(other.counts)
        texts = {mask: self.texts.get(mask) or other.texts.get(mask, "") for mask in counts.hashes.tolist()}
        return PatternCounts(counts, texts)

    def by_text(self) -> dict[str, int]:
        """Count of each kept pattern by its text."""
        return {self.texts[mask]: count for mask, count in zip(self.counts.hashes.tolist(), self.counts.counts.tolist(), strict=True)}

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        return [self.counts.to_state(), [text.encode("utf-8", "surrogatepass") for text in self.texts.values()]]

    @classmethod
    def from_state(cls, state: list[Any]) -> PatternCounts:
        """Inverse of `to_state`."""
        counts = BottomK.from_state(state[0])
        texts = [bytes(text).decode("utf-8", "surrogatepass") for text in state[1]]
        return cls(counts, dict(zip(counts.hashes.tolist(), texts, strict=True)))
