"""From parsed records to one list of values a path: the only part of decoding that touches every value as a Python object.

A `Level` is what columns are aligned to: the records themselves, or the elements of one array path. A `Node` is one path in a
level, with the values that are there. Values are kept sparse where records have few of the keys, so that memory follows
the size of the input even if no two records share a key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding import paths
from stream_monitor.decoding.columns import Kind
from stream_monitor.decoding.hashing import salts


class Absent:
    """The type of `ABSENT`, which stands where a record has no value."""


ABSENT: Final = Absent()
CODES: Final[dict[type, int]] = {
    Absent: Kind.ABSENT, type(None): Kind.NULL, bool: Kind.BOOL, int: Kind.INT, float: Kind.FLOAT, str: Kind.STRING,
    dict: Kind.OBJECT, list: Kind.ARRAY,
}  # fmt: skip

SPARSE_ABOVE: Final = 8
"""Gather key by key unless that looks up more than this many times the entries there are."""

REMEMBERED_KEYS: Final = 50_000
"""Keys that are remembered from batch to batch; beyond, all are forgotten."""

OPENED_PATHS: Final = 20_000
"""Container paths opened in a batch. Opening one takes some 15 µs: a record of 600,000 objects must not take ten seconds."""

Positions = NDArray[np.int64]


@dataclass(slots=True)
class Node:
    """The values at one path. `rows` are their positions in the level, None: all of it, in order."""

    path: str
    values: Sequence[Any]
    rows: Positions | None
    codes: NDArray[np.uint8] | int
    """The kind of all values, or one a value."""

    def of(self, kind: Kind) -> tuple[Sequence[Any], Positions | None]:
        """The values of one kind, and their positions in the level (None: all of it)."""
        if isinstance(self.codes, int):
            return (self.values, self.rows) if self.codes == kind else ((), np.empty(0, dtype=np.int64))
        chosen = self.codes == kind
        places = np.flatnonzero(chosen)
        return list(compress(self.values, chosen.tobytes())), places if self.rows is None else self.rows[places]

    def has(self, kind: Kind) -> bool:
        """Whether a value is of that kind."""
        return self.codes == kind if isinstance(self.codes, int) else kind in self.codes

    def present(self) -> int:
        """How many values there are, nulls included."""
        return len(self.values) if isinstance(self.codes, int) else int(np.count_nonzero(self.codes))


@dataclass(slots=True)
class Level:
    """What columns are aligned to: `size` records or elements; `owners` (size,) are the elements' records."""

    size: int
    owners: NDArray[np.int32] | None = None
    nodes: list[Node] = field(default_factory=list)

    def records(self, rows: Positions | None) -> NDArray[np.int64] | NDArray[np.int32]:
        """The record of each of the positions `rows`."""
        if self.owners is None:
            return np.arange(self.size, dtype=np.int64) if rows is None else rows
        return self.owners if rows is None else self.owners[rows]


@dataclass(slots=True)
class Tree:
    """All that parsed records hold, by path."""

    levels: list[Level]
    keys: NDArray[np.int64]
    """Entries of the objects of each record (n,), without those in values that were left out."""
    dropped: int
    """Values left out: in containers nested too deep, and elements beyond the cap."""


def node(path: str, values: Sequence[Any], rows: Positions | None) -> Node | None:
    """The node of some values; None if all are absent."""
    types = [*map(type, values)]
    if not types:
        return None
    only = types[0]
    if types.count(only) == len(types):  # twice as fast as a set of them
        return None if only is Absent else Node(path, values, rows, int(CODES[only]))
    codes = np.frombuffer(bytes(map(CODES.__getitem__, types)), dtype=np.uint8)
    return Node(path, values, rows, codes)


@dataclass(slots=True)
class _Open:
    """A container path that is still to be opened."""

    level: Level
    path: str
    values: Sequence[Any]
    rows: Positions | None
    depth: int


class TreeBuilder:
    """Opens records level by level. Remembers the keys of each object path: that changes its speed, never its result."""

    def __init__(self, *, max_depth: int, max_elements: int, max_fields: int) -> None:
        self._max_depth, self._max_elements, self._max_fields = max_depth, max_elements, max_fields
        self._known: dict[str, dict[str, str]] = {}  # object path -> key -> path of its value
        self._remembered = 0
        self._begin(0)

    def _begin(self, size: int) -> None:
        self._keys = np.zeros(size, dtype=np.int64)
        self._dropped = self._opened = 0
        self._levels = [Level(size)]
        self._todo: deque[tuple[bool, _Open]] = deque()

    def build(self, documents: Sequence[Any]) -> Tree:
        """All values of parsed records (n,). 25-40 ns a value."""
        self._begin(len(documents))
        level = self._levels[0]
        root = node(paths.ROOT, documents, None)
        if root is not None:
            self._plant_root(level, root)
        while self._todo:
            is_object, opening = self._todo.popleft()
            self._open_objects(opening) if is_object else self._open_arrays(opening)
        tree = Tree(self._levels, self._keys, self._dropped)
        self._begin(0)
        return tree

    def _plant_root(self, level: Level, root: Node) -> None:
        objects, rows = root.of(Kind.OBJECT)
        if len(objects):
            self._open_objects(_Open(level, paths.ROOT, objects, rows, 1))
        if len(objects) < level.size:
            others = [ABSENT if type(value) is dict else value for value in root.values]
            whole = node(paths.WHOLE, others, None)
            if whole is not None:
                self._plant(level, whole, 1)

    def _plant(self, level: Level, planted: Node, depth: int) -> None:
        level.nodes.append(planted)
        self._open_later(level, planted, depth)

    def _open_later(self, level: Level, planted: Node, depth: int) -> None:
        """What a node contains at `depth` is opened later, or dropped if that is too deep or too much."""
        for kind in (Kind.OBJECT, Kind.ARRAY):
            if not planted.has(kind):
                continue
            values, rows = planted.of(kind)
            self._opened += 1
            if depth > self._max_depth or self._opened > OPENED_PATHS:
                self._dropped += sum(map(len, values))
            else:
                self._todo.append((kind == Kind.OBJECT, _Open(level, paths.shortened(planted.path), values, rows, depth)))

    def _open_objects(self, opening: _Open) -> None:
        objects = opening.values
        sizes = np.fromiter(map(len, objects), dtype=np.int64, count=len(objects))
        self._count_keys(opening, sizes)
        entries = int(sizes.sum())
        known = self._known.get(opening.path, {})
        if len(known) * len(objects) > SPARSE_ABOVE * entries:
            known = {}
        found = self._gather(opening, known)
        missing = entries - sum(each.present() for _, each in found)
        if missing:
            found += self._gather_unknown(opening, known, missing)
        self._remember(opening.path, [(key, each.path) for key, each in found])
        for _, each in found:
            self._plant(opening.level, each, opening.depth + 1)

    def _count_keys(self, opening: _Open, sizes: NDArray[np.int64]) -> None:
        if opening.level.owners is None:
            self._keys[slice(None) if opening.rows is None else opening.rows] += sizes
        else:
            np.add.at(self._keys, opening.level.records(opening.rows), sizes)

    def _remember(self, path: str, keys: list[tuple[str, str]]) -> None:
        short = {key: child for key, child in keys[: self._max_fields] if len(key) <= paths.LONGEST_KEY}
        self._remembered += len(short) - len(self._known.get(path, ()))
        if self._remembered > REMEMBERED_KEYS:
            self._known.clear()
            self._remembered = len(short)
        self._known[path] = short

    def _gather(self, opening: _Open, keys: dict[str, str]) -> list[tuple[str, Node]]:
        """One node a key, of all objects; keys that none of them has are left out."""
        found = []
        for key, path in keys.items():
            try:
                values = list(map(itemgetter(key), opening.values))
            except KeyError:
                values = [each.get(key, ABSENT) for each in opening.values]
            made = node(path, values, opening.rows)
            if made is not None:
                found.append((key, made))
        return found

    def _gather_unknown(self, opening: _Open, known: dict[str, str], missing: int) -> list[tuple[str, Node]]:
        """The nodes of all keys but the known ones, which have `missing` values together."""
        new = set().union(*opening.values) - known.keys()
        if len(new) > self._max_fields:
            kept = self._smallest(opening.path, list(new))
            self._pass_over(opening, new - kept)
            new = kept
        named = {key: paths.child(opening.path, key) for key in sorted(new)}
        if len(new) * len(opening.values) <= SPARSE_ABOVE * missing:
            return self._gather(opening, named)
        found = []
        for key, (places, values) in self._collect(opening, new).items():
            positions = np.array(places, dtype=np.int64)
            made = node(named[key], values, positions if opening.rows is None else opening.rows[positions])
            if made is not None:
                found.append((key, made))
        return found

    def _smallest(self, path: str, keys: list[str]) -> set[str]:
        """The `max_fields` keys whose paths have the smallest salts: of the others none can be kept."""
        parts = [salts([paths.child(path, key) for key in keys[at : at + 10_000]]) for at in range(0, len(keys), 10_000)]
        return {keys[i] for i in np.argpartition(np.concatenate(parts), self._max_fields)[: self._max_fields].tolist()}

    def _collect(self, opening: _Open, wanted: set[str], *, containers_only: bool = False) -> dict[str, tuple[list[int], list[Any]]]:
        """Where the objects have the `wanted` keys, and the values there, by key."""
        found: dict[str, tuple[list[int], list[Any]]] = {}
        for place, each in enumerate(opening.values):
            for key, value in each.items():
                if key in wanted and (not containers_only or type(value) is dict or type(value) is list):
                    places, values = found.setdefault(key, ([], []))
                    places.append(place)
                    values.append(value)
        return found

    def _pass_over(self, opening: _Open, keys: set[str]) -> None:
        """Drops the values of some keys; what is in them is opened all the same, since its paths may have small salts."""
        self._dropped += sum(len(each.keys() & keys) for each in opening.values)
        for key, (places, values) in self._collect(opening, keys, containers_only=True).items():
            if self._opened >= OPENED_PATHS:
                self._dropped += sum(map(len, values))
                continue
            positions = np.array(places, dtype=np.int64)
            made = node(paths.child(opening.path, key), values, positions if opening.rows is None else opening.rows[positions])
            if made is not None:
                self._open_later(opening.level, made, opening.depth + 1)

    def _open_arrays(self, opening: _Open) -> None:
        owners = opening.level.records(opening.rows)
        arrays = self._cap(opening.values, owners)
        sizes = np.fromiter(map(len, arrays), dtype=np.int64, count=len(arrays))
        inside = node(paths.elements(opening.path), list(chain.from_iterable(arrays)), None)
        if inside is None:
            return
        level = Level(len(inside.values), np.repeat(owners, sizes).astype(np.int32))
        self._levels.append(level)
        self._plant(level, inside, opening.depth + 1)

    def _cap(self, arrays: Sequence[list[Any]], owners: Iterable[int]) -> Sequence[list[Any]]:
        """The arrays, cut where a record would get more than `max_elements` elements at this path."""
        if sum(map(len, arrays)) <= self._max_elements:
            return arrays
        room: dict[int, int] = {}
        kept = []
        for array, owner in zip(arrays, owners, strict=True):
            left = room.get(owner, self._max_elements)
            part = array if len(array) <= left else array[:left]
            room[owner] = left - len(part)
            self._dropped += len(array) - len(part)
            kept.append(part)
        return kept
