"""The decoder gives what a slow, plain decoder gives, value by value; bad input is counted and named, and never raises."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_monitor.decoding import hashing, paths
from stream_monitor.decoding.cells import DISGUISED_NUMBERS
from stream_monitor.decoding.columns import Batch, Column, Flag, Kind
from stream_monitor.decoding.hashing import DEFAULT_KEY
from stream_monitor.decoding.json_records import JsonDecoder
from stream_monitor.decoding.siphash_reference import siphash
from stream_monitor.decoding.strings import DISGUISED_WORDS, mask_text

Cell = tuple[int, float, int, int, str | None, float, int]


def word(number: int, tag: np.uint64) -> int:
    return siphash(DEFAULT_KEY, (number % 2**64).to_bytes(8, "little"), tag=int(tag))


def number_hash(x: float) -> int:
    if math.isfinite(x) and x == int(x) and -(2**63) <= x < 2**64:
        return word(int(x), hashing.TAG_INTEGER if x < 2**63 else hashing.TAG_UNSIGNED)
    return word(int(np.float64(x).view(np.uint64)), hashing.TAG_FLOAT)


def decimals(x: float) -> int:
    if x == math.floor(x):
        return 0
    fits = [d for d in range(1, 7) if abs(x) * 10.0**d < 2**53 and round(x * 10.0**d) / 10.0**d == x]
    return fits[0] if fits else 6


def string_cell(text: str) -> Cell:
    digits = "".join(c for c in text if c in "0123456789")[:17]
    flags = Flag(0)
    flags |= Flag.EMPTY if not text else Flag(0)
    flags |= Flag.PADDED if text != text.strip() else Flag(0)
    flags |= Flag(0) if text.isascii() else Flag.NON_ASCII
    bare = "".join(c.lower() if c.isascii() else c for c in text.strip())
    flags |= Flag.DISGUISED if text and (not bare or bare in DISGUISED_WORDS) else Flag(0)
    data = text.encode()
    ordinal = float(int(digits)) if digits else math.nan
    return (Kind.STRING, math.nan, siphash(DEFAULT_KEY, data), len(data), mask_text(text), ordinal, flags)


def cell(value: Any) -> Cell:
    if value is None:
        return (Kind.NULL, math.nan, 0, 0, None, math.nan, 0)
    if isinstance(value, bool):
        return (Kind.BOOL, float(value), word(value, hashing.TAG_BOOL), 0, None, float(value), 0)
    if isinstance(value, int | float):
        kind, mask = (Kind.INT, "i") if isinstance(value, int) else (Kind.FLOAT, f"f{decimals(value)}")
        number = float(value)
        return (kind, number, number_hash(value), 0, mask, number, Flag.DISGUISED if number in DISGUISED_NUMBERS else 0)
    if isinstance(value, str):
        return string_cell(value)
    kind = Kind.OBJECT if isinstance(value, dict) else Kind.ARRAY
    return (kind, math.nan, word(kind << 32 | len(value), hashing.TAG_CONTAINER), len(value), None, math.nan, 0 if value else Flag.EMPTY)


ABSENT: Cell = (Kind.ABSENT, math.nan, 0, 0, None, math.nan, 0)


@dataclass
class Plain:
    """A decoder that does one value after the other."""

    max_fields: int = 1000
    max_depth: int = 32
    max_elements: int = 1000
    dropped: int = 0
    owners: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    values: dict[str, dict[int, Cell]] = field(default_factory=lambda: defaultdict(dict))
    level_of: dict[str, str] = field(default_factory=dict)
    counts: dict[tuple[int, str], int] = field(default_factory=lambda: defaultdict(int))

    def decode(self, documents: list[Any]) -> dict[str, tuple[list[int] | None, list[Cell]]]:
        for row, document in enumerate(documents):
            if isinstance(document, dict):
                self.open(document, "", "", row, row, 1)
            else:
                self.visit(document, "$", "", row, row, 1)
        kept = sorted(self.values, key=lambda path: int(hashing.salt(path)))[: self.max_fields]
        self.dropped += sum(len(cells) for path, cells in self.values.items() if path not in kept)
        return {path: self.column(path, len(documents)) for path in sorted(kept)}

    def column(self, path: str, records: int) -> tuple[list[int] | None, list[Cell]]:
        level = self.level_of[path]
        size = len(self.owners[level]) if level else records
        return self.owners[level] if level else None, [self.values[path].get(at, ABSENT) for at in range(size)]

    def visit(self, value: Any, path: str, level: str, at: int, row: int, depth: int) -> None:
        self.values[path][at] = cell(value)
        self.level_of[path] = level
        if isinstance(value, dict | list) and depth > self.max_depth:
            self.dropped += len(value)
        elif isinstance(value, dict | list):
            self.open(value, path, level, at, row, depth)

    def open(self, value: Any, path: str, level: str, at: int, row: int, depth: int) -> None:
        if isinstance(value, dict):
            for key, inside in value.items():
                self.visit(inside, paths.child(path, key), level, at, row, depth + 1)
            return
        below = paths.elements(path)
        for element in value:
            if self.counts[row, below] >= self.max_elements:
                self.dropped += 1
            else:
                self.counts[row, below] += 1
                self.owners[below].append(row)
                self.visit(element, below, below, len(self.owners[below]) - 1, row, depth + 1)


def repeats_a_key(value: bytes) -> bool:
    found = []

    def pairs(entries: list[tuple[str, Any]]) -> None:
        found.append(len({key for key, _ in entries}) < len(entries))

    json.loads(value, object_pairs_hook=pairs)
    return any(found)


def cells_of(column: Column, batch: Batch) -> list[Cell]:
    masks = [batch.patterns[mask] if mask else None for mask in column.masks.tolist()]
    return list(
        zip(
            column.kinds.tolist(), column.numbers.tolist(), column.hashes.tolist(), column.lengths.tolist(), masks,
            column.ordinals.tolist(), column.flags.tolist(), strict=True,
        )
    )  # fmt: skip


def check_against_plain(values: list[bytes | None], decoder: JsonDecoder, plain: Plain) -> None:
    batch = decoder.decode(values)
    rows, documents = [], []
    for index, value in enumerate(values):
        try:
            documents.append(orjson.loads(value or b""))
            rows.append(index)
        except ValueError:
            pass
    expected = plain.decode(documents)
    assert batch.size == len(values)
    assert batch.rows.tolist() == rows
    assert batch.tombstones.tolist() == [i for i, value in enumerate(values) if value is None]
    assert sorted([*rows, *(bad.index for bad in batch.malformed), *batch.tombstones.tolist()]) == list(range(len(values)))
    assert batch.duplicate_keys.tolist() == [row for row in rows if repeats_a_key(values[row] or b"")]
    assert list(batch.columns) == list(expected)
    for path, (owners, cells) in expected.items():
        column = batch.columns[path]
        assert (None if column.owners is None else column.owners.tolist()) == owners, path
        assert repr(cells_of(column, batch)) == repr([tuple(map(plainly, each)) for each in cells]), path
    assert batch.dropped_values == plain.dropped


def plainly(value: Any) -> Any:
    return int(value) if isinstance(value, int) else value


KEYS = st.sampled_from(["a", "b", "c", "a.b", "", "é", "$", "x[]", 'q"q', "n\nl", "日本", "id"])
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([*DISGUISED_WORDS, " N/A ", "\u2003", "\x00", "a\x00b", '":', '" : {"', "\\", "😀😀", "2026-11-22T10:00:00Z"]),
)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.integers(-10, 10), st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-10_000, 10_000, places=3).map(float), st.sampled_from([*DISGUISED_NUMBERS, -0.0, 2.0**63, 9007199254740993, 2.0**64]),
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=4)), max_leaves=12)
RECORDS = st.one_of(st.dictionaries(KEYS, VALUES, max_size=6), st.dictionaries(KEYS, VALUES, max_size=6), VALUES)


@st.composite
def texts_of_records(draw: st.DrawFn) -> bytes | None:
    """A record as JSON text, most often as it should be; sometimes cut, changed, or with a repeated key."""
    record = draw(RECORDS)
    text = json.dumps(
        record, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, None, 1])),
        separators=draw(st.sampled_from([None, (",", ":"), (" , ", "\t:\n")])),
    ).encode()  # fmt: skip
    damage = draw(st.sampled_from(["none"] * 8 + ["cut", "byte", "repeat", "tombstone"]))
    if damage == "cut":
        return text[: len(text) // 2]
    if damage == "byte":
        at = draw(st.integers(0, len(text)))
        return text[:at] + draw(st.binary(max_size=2)) + text[at + 1 :]
    if damage == "repeat":
        return text.replace(b"{", b'{"a":{},', 1)
    return None if damage == "tombstone" else text


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(texts_of_records(), max_size=8))
def test_every_value_is_as_the_plain_decoder_has_it(values: list[bytes | None]) -> None:
    check_against_plain(values, SHARED, Plain())


SHARED = JsonDecoder()  # so that what it remembers of other batches would show


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(texts_of_records(), max_size=8), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3))
def test_caps_leave_out_what_the_plain_decoder_leaves_out(values: list[bytes | None], fields: int, depth: int, elements: int) -> None:
    decoder = JsonDecoder(max_fields=fields, max_depth=depth, max_elements=elements)
    check_against_plain(values, decoder, Plain(max_fields=fields, max_depth=depth, max_elements=elements))


def decode_one(value: bytes) -> Batch:
    return JsonDecoder().decode([value])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b" \n\t ", "empty"),
        (b'{"a": 1, "b": "x', "truncated"),
        (b'{"a": 1, "b"', "truncated"),
        ('{"a": "é'.encode()[:-1], "invalid_utf8"),
        (b'{"a": "\xff"}', "invalid_utf8"),
        (b'{"a": "\xed\xa0\x80"}', "invalid_utf8"),
        (b'\xef\xbb\xbf{"a": 1}', "byte_order_mark"),
        (b'{"a": "\\ud800"}', "lone_surrogate"),
        (b'{"a": "\\udc00x"}', "lone_surrogate"),
        (b'{"a": "\\ud800\\u0041"}', "lone_surrogate"),
        (b'{"a": NaN}', "nan_literal"),
        (b'{"a": [-Infinity, Infinity]}', "nan_literal"),
        (b'{"a": NaN, }', "invalid_json"),
        (b'{"a": "NaN",}', "invalid_json"),
        (b'{"a": 1e400}', "number_range"),
        (b"[" * 1025 + b"]" * 1025, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a": 1}{"b": 2}', "invalid_json"),
        (b"{'a': 1}", "invalid_json"),
        (b'{"a": 01}', "invalid_json"),
        (b'{"a": "\x01"}', "invalid_json"),
        (b"\x00\x00\x00\x00\x05hello", "invalid_json"),
    ],
)
def test_a_malformed_record_is_named(value: bytes, reason: str) -> None:
    batch = JsonDecoder().decode([b'{"a": 1}', value, b'{"a": 2}'])
    assert [(bad.index, str(bad.reason)) for bad in batch.malformed] == [(1, reason)]
    assert batch.rows.tolist() == [0, 2]
    assert batch.columns["a"].numbers.tolist() == [1.0, 2.0]


def test_an_empty_batch_and_one_of_tombstones_have_no_columns() -> None:
    empty, dead = JsonDecoder().decode([]), JsonDecoder().decode([None] * 5)
    assert (empty.size, len(empty.rows), dict(empty.columns), dead.size, len(dead.rows), dict(dead.columns)) == (0, 0, {}, 5, 0, {})
    assert dead.tombstones.tolist() == [0, 1, 2, 3, 4]
    assert len(dead.duplicate_keys) == 0


def test_a_ten_megabyte_record_is_too_large_and_not_read() -> None:
    batch = decode_one(b'{"a": "' + b"x" * 10_000_000 + b'"}')
    assert [bad.reason for bad in batch.malformed] == ["too_large"]


def test_a_ten_megabyte_record_within_the_limit_is_read() -> None:
    batch = JsonDecoder(max_bytes=2**24).decode([b'{"a": "' + b"x" * 10_000_000 + b'"}', b'{"a": 1}'])
    assert batch.columns["a"].lengths.tolist() == [10_000_000, 0]


def test_of_ten_thousand_fields_those_with_the_smallest_salts_are_kept() -> None:
    names = [f"field_{i}" for i in range(10_000)]
    batch = decode_one(orjson.dumps(dict.fromkeys(names, 1)))
    assert set(batch.columns) == set(sorted(names, key=lambda name: int(hashing.salt(name)))[:1000])
    assert batch.dropped_values == 9_000


def test_the_kept_fields_do_not_depend_on_how_records_are_split() -> None:
    records = [orjson.dumps({f"f{(i * 37 + j) % 500}": 1 for j in range(60)}) for i in range(40)]
    whole = set(JsonDecoder(max_fields=50).decode(records).columns)
    halves = [set(JsonDecoder(max_fields=50).decode(part).columns) for part in (records[:17], records[17:])]
    assert set(sorted(halves[0] | halves[1], key=lambda name: int(hashing.salt(name)))[:50]) == whole


def test_records_that_share_no_key_take_memory_by_their_size() -> None:
    records = [orjson.dumps({f"r{i}_{j}": j for j in range(200)}) for i in range(300)]
    batch = JsonDecoder().decode(records)
    assert len(batch.columns) == 1000
    assert batch.dropped_values == 300 * 200 - 1000


def test_elements_that_share_no_key_are_bounded_too() -> None:
    records = [orjson.dumps({"items": [{f"k{i}_{j}": 1} for j in range(300)]}) for i in range(20)]
    batch = JsonDecoder().decode(records)
    assert sum(len(column) for column in batch.columns.values() if column.owners is not None) <= 1000 * 1000 + 4 * 2 * 6000


def test_a_record_of_a_hundred_thousand_objects_is_bounded_and_every_value_accounted_for() -> None:
    batch = decode_one(b"{" + b",".join(b'"k%d":{"v":%d}' % (i, i) for i in range(100_000)) + b"}")
    assert len(batch.columns) == 1000
    assert batch.dropped_values == 200_000 - 1000
    assert len(batch.duplicate_keys) == 0


def test_long_keys_and_paths_are_cut_and_stay_apart() -> None:
    long = "k" * 300
    batch = decode_one(orjson.dumps({long + "a": 1, long + "b": 2, "x": {long: {long: {long: {"p": 1, "q": 2}}}}}))
    assert len(batch.columns) == 8
    assert max(map(len, batch.columns)) < 1000


def test_two_hundred_levels_are_cut_at_thirty_two_and_counted() -> None:
    batch = decode_one(b'{"a":' * 200 + b"1" + b"}" * 200)
    assert len(batch.columns) == 32
    assert batch.columns[".".join("a" * 32)].kinds.tolist() == [Kind.OBJECT]
    assert batch.dropped_values == 1
    assert decode_one(b"[" * 200 + b"]" * 200).dropped_values == 1


def test_repeated_keys_below_the_depth_cap_are_found() -> None:
    deep = b'{"a":' * 50 + b'{"b":1,"b":2}' + b"}" * 50
    fine = b'{"a":' * 50 + b'{"b":1,"c":":"}' + b"}" * 50
    assert JsonDecoder().decode([deep, fine, b'{"x":1, "x" :2}', b'{"x":":,\\":"}']).duplicate_keys.tolist() == [0, 2]


def test_arrays_have_lengths_and_their_elements_are_fields_with_owners() -> None:
    batch = JsonDecoder().decode([b'{"items": [{"price": 1.5}, {"price": 2}]}', b'{"items": []}', b'{"items": [{"name": "x"}]}'])
    items, price = batch.columns["items"], batch.columns["items[].price"]
    assert items.lengths.tolist() == [2, 0, 1]
    assert items.flags.tolist() == [0, Flag.EMPTY, 0]
    assert price.owners is not None
    assert price.owners.tolist() == [0, 0, 2]
    assert price.kinds.tolist() == [Kind.FLOAT, Kind.INT, Kind.ABSENT]
    assert batch.columns["items[]"].kinds.tolist() == [Kind.OBJECT] * 3


def test_where_an_object_is_null_its_fields_are_absent() -> None:
    batch = JsonDecoder().decode([b'{"geo": {"lat": 1}}', b'{"geo": null}', b"{}", b'{"geo": "x"}', b'{"geo": {"lat": null}}'])
    assert batch.columns["geo"].kinds.tolist() == [Kind.OBJECT, Kind.NULL, Kind.ABSENT, Kind.STRING, Kind.OBJECT]
    assert batch.columns["geo.lat"].kinds.tolist() == [Kind.INT, Kind.ABSENT, Kind.ABSENT, Kind.ABSENT, Kind.NULL]


def test_a_record_that_is_no_object_is_the_field_dollar() -> None:
    batch = JsonDecoder().decode([b"7", b'{"a": 1}', b"null", b'["x"]', b'{"$": 1}'])
    assert batch.columns["$"].kinds.tolist() == [Kind.INT, Kind.ABSENT, Kind.NULL, Kind.ARRAY, Kind.ABSENT]
    assert batch.columns["a"].kinds.tolist() == [Kind.ABSENT, Kind.INT, Kind.ABSENT, Kind.ABSENT, Kind.ABSENT]
    assert set(batch.columns) == {"$", "$[]", "a", '"$"'}


def test_a_dot_in_a_key_is_no_nesting() -> None:
    batch = decode_one(b'{"a.b": 1, "a": {"b": 2}}')
    assert (batch.columns['"a.b"'].numbers[0], batch.columns["a.b"].numbers[0]) == (1.0, 2.0)


def test_shuffled_keys_and_missing_ones_give_the_same_columns() -> None:
    rng = np.random.default_rng(3)
    records: list[dict[str, Any]] = [{"a": i, "b": f"v{i}", "c": i / 7, "d": {"e": i, "f": None}} for i in range(200)]
    orders = [rng.permutation([key for key in record if i % 9 or key != "b"]).tolist() for i, record in enumerate(records)]
    values = [orjson.dumps({key: record[key] for key in order}) for record, order in zip(records, orders, strict=True)]
    check_against_plain(list(values), JsonDecoder(), Plain())


def test_types_that_flip_between_batches_are_kept_apart() -> None:
    decoder = JsonDecoder()
    for value in (b'{"a": 1}', b'{"a": {"b": 1}}', b'{"a": "x"}', b'{"c": 2}', b'{"a": [true]}', b'{"a": 1.0}'):
        check_against_plain([value], decoder, Plain())


def test_numbers_hash_by_value_and_identifiers_beyond_float_stay_apart() -> None:
    one = decode_one(b"[1, 1.0, 1e0, 0, -0.0, true, 9007199254740992, 9007199254740993, 18446744073709551615, 18446744073709551614]")
    hashes = one.columns["$[]"].hashes.tolist()
    assert hashes[0] == hashes[1] == hashes[2]
    assert hashes[3] == hashes[4]
    assert len(set(hashes)) == 7


def test_an_integer_beyond_64_bits_is_a_float() -> None:
    column = decode_one(b"[18446744073709551615, 18446744073709551616, -9223372036854775809]").columns["$[]"]
    assert column.kinds.tolist() == [Kind.INT, Kind.FLOAT, Kind.FLOAT]
    assert column.numbers.tolist() == [2.0**64, 2.0**64, -(2.0**63)]


def test_results_are_the_same_in_every_process() -> None:
    code = (
        "from stream_monitor.decoding.json_records import JsonDecoder\n"
        "b = JsonDecoder(max_fields=3).decode([b'{\"a\": 1, \"b\": \"x9\", \"c\": {\"d\": 2.5, \"e\": [1, 2]}}', b'{\"f\": 1}'])\n"
        "print({p: (c.hashes.tolist(), c.masks.tolist()) for p, c in b.columns.items()})\n"
    )
    printed = []
    for seed in ("0", "1", "4242"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)
        printed.append(run.stdout)
    assert printed[0] == printed[1] == printed[2]
    assert len(printed[0]) > 100


def test_more_than_ten_thousand_patterns_start_the_book_again_and_keep_earlier_batches_whole() -> None:
    decoder = JsonDecoder()
    texts = ["".join(".-_/"[(i >> 2 * j) & 3] for j in range(8)) for i in range(12_000)]
    first = decoder.decode([orjson.dumps({"a": text}) for text in texts[:6_000]])
    second = decoder.decode([orjson.dumps({"a": text}) for text in texts[6_000:]])
    assert len(second.patterns) < 10_100
    third = decoder.decode([b'{"a": "fresh 1"}'])
    assert third.patterns[int(third.columns["a"].masks[0])] == "a 9"
    assert {first.patterns[mask] for mask in first.columns["a"].masks.tolist()} == set(texts[:6_000])
