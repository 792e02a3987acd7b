"""Columns put end to end, and absent ones made up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Column

OWNED = ("kinds", "numbers", "hashes", "lengths", "masks", "ordinals", "flags")


def absent(size: int) -> Column:
    """A column of `size` ABSENT values."""
    return Column(
        kinds=np.zeros(size, dtype=np.uint8), numbers=np.full(size, np.nan), hashes=np.zeros(size, dtype=np.uint64),
        lengths=np.zeros(size, dtype=np.uint32), masks=np.zeros(size, dtype=np.uint64), ordinals=np.full(size, np.nan),
        flags=np.zeros(size, dtype=np.uint8),
    )


def concatenated(pieces: Sequence[tuple[Column | None, int]]) -> Column:
    """Pieces of (column or None for absent, number of records) end to end. Element columns get owners counted over all pieces."""
    columns = [piece for piece, _ in pieces if piece is not None]
    if any(column.owners is not None for column in columns):
        return _elements(pieces)
    if len(pieces) == 1:
        return columns[0] if columns else absent(pieces[0][1])
    whole = [absent(size) if piece is None else piece for piece, size in pieces]
    return Column(**{name: np.concatenate([getattr(column, name) for column in whole]) for name in OWNED})


def _elements(pieces: Sequence[tuple[Column | None, int]]) -> Column:
    start, columns, owners = 0, [], []
    for piece, size in pieces:
        if piece is not None:
            columns.append(piece)
            owned = np.arange(size, dtype=np.int32) if piece.owners is None else piece.owners
            owners.append(owned + np.int32(start))
        start += size
    arrays = {name: np.concatenate([getattr(column, name) for column in columns]) for name in OWNED}
    return Column(**arrays, owners=np.concatenate(owners))


def filtered(column: Column, keep: NDArray[np.bool_]) -> Column:
    """The values of `column` where `keep` (one entry a value), owners with them."""
    owners = None if column.owners is None else column.owners[keep]
    return Column(**{name: getattr(column, name)[keep] for name in OWNED}, owners=owners)
