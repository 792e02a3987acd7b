"""From lists of values to columns: one table of cells a level, completed by two compiled passes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.cells import EXACT_INTEGERS, NUMBER_PATTERNS, analyse_cells, hash_integers, hash_unsigned, number_masks
from stream_monitor.decoding.columns import Column, Kind
from stream_monitor.decoding.hashing import key_words, salts
from stream_monitor.decoding.strings import PatternBook, analyse_strings
from stream_monitor.decoding.tree import Level, Node, Positions, Tree


@dataclass(slots=True)
class _Table:
    """The cells of a level: each array is (columns, size), a row a column; `flat` has views of them in one dimension."""

    size: int
    kinds: NDArray[np.uint8]
    numbers: NDArray[np.float64]
    hashes: NDArray[np.uint64]
    lengths: NDArray[np.uint32]
    masks: NDArray[np.uint64]
    ordinals: NDArray[np.float64]
    flags: NDArray[np.uint8]
    strings: list[str] = field(default_factory=list)
    string_cells: list[Positions] = field(default_factory=list)
    exact: list[tuple[NDArray[np.int64] | NDArray[np.uint64], Positions]] = field(default_factory=list)

    @classmethod
    def of(cls, columns: int, size: int) -> _Table:
        shape = (columns, size)
        return cls(
            size, np.empty(shape, np.uint8), np.empty(shape, np.float64), np.empty(shape, np.uint64), np.empty(shape, np.uint32),
            np.empty(shape, np.uint64), np.empty(shape, np.float64), np.empty(shape, np.uint8),
        )  # fmt: skip

    def column(self, row: int, owners: NDArray[np.int32] | None) -> Column:
        return Column(
            self.kinds[row], self.numbers[row], self.hashes[row], self.lengths[row], self.masks[row], self.ordinals[row], self.flags[row],
            owners,
        )  # fmt: skip


CELLS_A_VALUE = 4
"""Cells of element columns for each value that is there, at most."""


class Assembler:
    """Makes columns under one key, for at most `max_fields` paths a batch."""

    def __init__(self, key: bytes, max_fields: int) -> None:
        self._k0, self._k1 = key_words(key)
        self._number_masks = number_masks(key)
        self._max_fields = max_fields
        self._book = PatternBook(key, NUMBER_PATTERNS)

    @property
    def patterns(self) -> dict[int, str]:
        """Texts of the masks of all batches so far."""
        return self._book.texts

    def assemble(self, tree: Tree) -> tuple[dict[str, Column], int]:
        """The columns by path, in order of path, and how many values the caps left out."""
        kept, dropped = self._choose(tree)
        columns = dict(chain.from_iterable(self._columns(level, nodes) for level, nodes in kept if nodes))
        return {path: columns[path] for path in sorted(columns)}, dropped

    def _choose(self, tree: Tree) -> tuple[list[tuple[Level, list[Node]]], int]:
        """The paths with the smallest salts, whatever came first: `max_fields` of them, and of element paths as many as fit.

        Fields inside arrays have as many cells together as `max_fields` fields of records, and `CELLS_A_VALUE` for each value that
        is there: else an array whose elements share no key would take the product of elements and keys.
        """
        nodes = [(number, node) for number, level in enumerate(tree.levels) for node in level.nodes]
        inside = sum(tree.levels[number].size for number, _ in nodes if number)
        room = max(tree.levels[0].size, 1000) * self._max_fields
        if inside <= room and len(nodes) <= self._max_fields:
            return [(level, level.nodes) for level in tree.levels], 0
        room += CELLS_A_VALUE * sum(node.present() for number, node in nodes if number)
        chosen: list[list[Node]] = [[] for _ in tree.levels]
        smallest = np.argsort(salts([node.path for _, node in nodes]), kind="stable")[: self._max_fields]
        for number, node in (nodes[i] for i in smallest.tolist()):
            cells = tree.levels[number].size if number else 0
            if cells <= room:
                room -= cells
                chosen[number].append(node)
        dropped = sum(node.present() for _, node in nodes) - sum(node.present() for kept in chosen for node in kept)
        return list(zip(tree.levels, chosen, strict=True)), dropped

    def _columns(self, level: Level, nodes: Sequence[Node]) -> Iterable[tuple[str, Column]]:
        table = _Table.of(len(nodes), level.size)
        for row, node in enumerate(nodes):
            _fill(table, row, node)
        self._complete(table)
        return [(node.path, table.column(row, level.owners)) for row, node in enumerate(nodes)]

    def _complete(self, table: _Table) -> None:
        """Works out hashes, masks, ordinals and flags of all cells."""
        numbers, hashes, lengths = table.numbers.reshape(-1), table.hashes.reshape(-1), table.lengths.reshape(-1)
        masks, ordinals, flags = table.masks.reshape(-1), table.ordinals.reshape(-1), table.flags.reshape(-1)
        analyse_cells(
            table.kinds.reshape(-1), numbers, numbers.view(np.uint64), lengths, self._number_masks, self._k0, self._k1, hashes, masks,
            ordinals, flags,
        )  # fmt: skip
        for values, cells in table.exact:
            if values.dtype == np.uint64:
                hash_unsigned(values.astype(np.uint64), cells, self._k0, self._k1, hashes)
            else:
                hash_integers(values.astype(np.int64), cells, self._k0, self._k1, hashes)
        if not table.strings:
            return
        data, starts, ends = join(table.strings)
        cells = np.concatenate(table.string_cells)
        fresh = np.empty(min(self._book.room(), len(starts)), dtype=np.int64)
        found = analyse_strings(
            data, starts, ends, cells, self._k0, self._k1, hashes, lengths, masks, ordinals, flags,
            self._book.table, fresh,
        )  # fmt: skip
        for i in fresh[:found].tolist():
            self._book.add(int(masks[cells[i]]), table.strings[i])


def join(strings: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Strings as one UTF-8 buffer, and where each starts and ends in it.

    They are joined by NUL, which is found again faster than lengths are asked for; if a string has one itself, by lengths.
    """
    data = np.frombuffer("\0".join(strings).encode(), dtype=np.uint8)
    ends = np.flatnonzero(data == 0)
    if len(ends) == len(strings) - 1:
        ends = np.append(ends, len(data))
        starts = np.empty_like(ends)
        starts[0] = 0
        starts[1:] = ends[:-1] + 1
        return data, starts, ends
    encoded = [text.encode() for text in strings]
    ends = np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)))
    starts = np.concatenate([[0], ends[:-1]])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), starts, ends


def _fill(table: _Table, row: int, node: Node) -> None:
    """Writes what needs Python objects: kinds, numbers, lengths of containers; notes the strings."""
    kinds = table.kinds[row]
    if node.rows is None:
        kinds[:] = node.codes
    else:
        kinds[:] = Kind.ABSENT
        kinds[node.rows] = node.codes
    present = {node.codes} if isinstance(node.codes, int) else set(node.codes.tobytes())
    for code in present:
        if code > Kind.NULL:
            values, rows = node.of(Kind(code))
            _fill_kind(table, row, Kind(code), values, slice(None) if rows is None else rows)


def _fill_kind(table: _Table, row: int, kind: Kind, values: Sequence[Any], at: slice | Positions) -> None:
    if kind == Kind.STRING:
        table.strings.extend(values)
        table.string_cells.append(_cells(table, row, at))
    elif kind >= Kind.OBJECT:
        table.lengths[row, at] = np.fromiter(map(len, values), dtype=np.uint32, count=len(values))
    elif kind == Kind.INT:
        _fill_integers(table, row, values, at)
    elif kind == Kind.BOOL:
        table.numbers[row, at] = np.frombuffer(bytes(values), dtype=np.uint8)
    else:
        table.numbers[row, at] = np.frombuffer(struct.pack(f"{len(values)}d", *values))  # a third of the time of fromiter


def _fill_integers(table: _Table, row: int, values: Sequence[int], at: slice | Positions) -> None:
    """Integers as floats, and apart those that no float is exactly."""
    try:
        exact = np.fromiter(values, dtype=np.int64, count=len(values))
    except OverflowError:
        table.numbers[row, at] = np.fromiter(values, dtype=np.float64, count=len(values))
        large = [(value, i) for i, value in enumerate(values) if abs(value) > EXACT_INTEGERS]
        cells = _cells(table, row, at)
        small, big = ([(value, i) for value, i in large if (value >= 2**63) is wanted] for wanted in (False, True))
        table.exact.append((np.array([value for value, _ in small], dtype=np.int64), cells[[i for _, i in small]]))
        table.exact.append((np.array([value for value, _ in big], dtype=np.uint64), cells[[i for _, i in big]]))
        return
    table.numbers[row, at] = exact
    beyond = (exact > EXACT_INTEGERS) | (exact < -EXACT_INTEGERS)
    if beyond.any():
        table.exact.append((exact[beyond], _cells(table, row, at)[beyond]))


def _cells(table: _Table, row: int, at: slice | Positions) -> Positions:
    """Where the values of a column are in the flat arrays."""
    start = row * table.size
    return np.arange(start, start + table.size, dtype=np.int64) if isinstance(at, slice) else start + at
