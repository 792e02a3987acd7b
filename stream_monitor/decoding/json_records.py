"""JSON records to columns.

Fields are dotted paths (`paths.py`). An object is also a field of kind OBJECT at its own path; where it is null, or something
else, the fields in it are ABSENT. An array is a field of kind ARRAY, and its elements are fields of their own (`items[]`,
`items[].price`), with one value an element. A record that is no object is the field `$`.

What is worth knowing of the parser's numbers: an integer beyond 64 bits is read as the nearest float (kind FLOAT);
a number beyond float64 makes its record malformed (`number_range`).

Caps, all counted in `Batch.dropped_values`:

- `max_depth`: a container nested deeper is a field still, with its length, but what is in it is left out (each of its
  entries or elements counts as one value). Over 1,024 levels a record is malformed (`too_deep`).
- `max_elements`: of each record, the first 1,000 elements at one path are kept.
- `max_fields`: the paths of a batch with the smallest salts are kept (`hashing.salt`), whatever came first; so merging batches
  and keeping the smallest again gives the same paths however records are split. Two more bounds are met by hostile batches only:
  20,000 container paths are opened, and fields inside arrays have four cells at most for each value that is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np
import orjson

from stream_monitor.decoding.assembly import Assembler
from stream_monitor.decoding.columns import Batch, Malformed
from stream_monitor.decoding.duplicates import repeating
from stream_monitor.decoding.hashing import DEFAULT_KEY
from stream_monitor.decoding.malformed import Reason, why
from stream_monitor.decoding.tree import TreeBuilder

MAX_ELEMENTS = 1000
"""Elements of one record kept at one path."""


class JsonDecoder:
    """Decodes batches of JSON values. A bad value never raises: it is a `Malformed` with a `Reason`.

    The result depends on the batch alone, not on those before. Not for use by two threads at once. Costs about 2 µs a record of 8
    fields and 180 bytes, half of it the parser's; memory is some times the size of the batch.

    >>> batch = JsonDecoder().decode([b'{"id": 7, "geo": {"lat": 48.1}}', None, b'{"id": '])
    >>> list(batch.columns), [bad.reason for bad in batch.malformed], batch.tombstones.tolist()
    (['geo', 'geo.lat', 'id'], ['truncated'], [1])
    """

    def __init__(
        self, *, max_fields: int = 1000, max_depth: int = 32, max_bytes: int = 8 * 2**20, key: bytes = DEFAULT_KEY,
        max_elements: int = MAX_ELEMENTS,
    ) -> None:  # fmt: skip
        self._max_bytes = max_bytes
        self._builder = TreeBuilder(max_depth=max_depth, max_elements=max_elements, max_fields=max_fields)
        self._assembler = Assembler(key, max_fields)

    def decode(self, values: Sequence[bytes | None]) -> Batch:
        """The columns of a batch of values (None: a tombstone); batches of 500 to 1,000 are fastest."""
        parsed = _parse(values, self._max_bytes)
        tree = self._builder.build(parsed.documents)
        repeats = repeating(parsed.texts, parsed.documents, tree.keys)
        columns, dropped = self._assembler.assemble(tree)
        return Batch(
            size=len(values),
            rows=parsed.rows,
            columns=columns,
            malformed=tuple(parsed.malformed),
            tombstones=np.array(parsed.tombstones, dtype=np.int64),
            duplicate_keys=parsed.rows[repeats],
            dropped_values=tree.dropped + dropped,
            patterns=self._assembler.patterns,
        )


class _Parsed:
    """The well-formed values of a batch, parsed and as they came, and the positions of all."""

    __slots__ = ("documents", "malformed", "rows", "texts", "tombstones")

    def __init__(self, values: Sequence[bytes | None]) -> None:
        self.documents: list[Any] = []
        self.malformed: list[Malformed] = []
        self.tombstones: list[int] = []
        self.texts: Sequence[bytes] = ()
        self.rows = np.arange(len(values), dtype=np.int64)


def _parse(values: Sequence[bytes | None], max_bytes: int) -> _Parsed:
    """Parses each value; those that can't be are named."""
    parsed = _Parsed(values)
    if not _all_within(values, max_bytes):
        return _parse_each(values, max_bytes, parsed)
    try:
        parsed.documents = list(map(orjson.loads, values))  # type: ignore[arg-type]  # none is None
    except orjson.JSONDecodeError:
        return _parse_each(values, max_bytes, parsed)
    parsed.texts = values  # type: ignore[assignment]
    return parsed


def _all_within(values: Sequence[bytes | None], max_bytes: int) -> bool:
    """Whether each is there, and not too large."""
    try:
        return not values or max(map(len, values)) <= max_bytes  # type: ignore[arg-type]
    except TypeError:
        return False


def _parse_each(values: Sequence[bytes | None], max_bytes: int, parsed: _Parsed) -> _Parsed:
    well = bytearray(len(values))
    loads, documents = orjson.loads, parsed.documents
    for index, value in enumerate(values):
        if value is None:
            parsed.tombstones.append(index)
        elif len(value) > max_bytes:
            parsed.malformed.append(Malformed(index, Reason.TOO_LARGE.value))
        else:
            try:
                documents.append(loads(value))
                well[index] = 1
            except orjson.JSONDecodeError as error:
                parsed.malformed.append(Malformed(index, why(value, error).value))
    parsed.texts = list(compress(values, well))  # type: ignore[arg-type]
    parsed.rows = np.flatnonzero(np.frombuffer(well, dtype=np.uint8))
    return parsed
