"""Saved state: what a worker that dies in the middle of a save leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from stream_monitor.errors import FormatError
from stream_monitor.streaming.state_table import PIECE_BYTES, PartitionRecord, StateStore, StateTable, TopicRecord


class DiedError(Exception):
    pass


class DyingTable(dict[bytes, bytes]):
    """A table whose worker dies after some writes."""

    changelog_topic_name = "changelog"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.writes_left = 10**9
        self.written: list[bytes] = []

    def _write(self, key: bytes) -> None:
        if self.writes_left == 0:
            raise DiedError
        self.writes_left -= 1
        self.written.append(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._write(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: bytes) -> None:
        self._write(key)
        super().__delitem__(key)

    def update(self, *args: Any) -> None:
        for key, value in args[0].items():
            self[key] = value

    async def acknowledged(self, within_s: float) -> None:
        pass


def store(table: DyingTable) -> StateStore:
    return StateStore(cast(StateTable, table))


def record(offset: int, **sections: bytes) -> TopicRecord:
    return TopicRecord(offset, 10 * offset, offset + 1, None, sections)


def save(table: DyingTable, topic: str, state: TopicRecord, needed: int) -> None:
    asyncio.run(store(table).save(3, {topic: state}, PartitionRecord(needed, -1)))


BIG = b"".join(bytes([piece]) * PIECE_BYTES for piece in range(3))
FIRST = record(1, judge=b"one", history=BIG, empty=b"")
SECOND = record(2, judge=b"two", history=BIG[:PIECE_BYTES] + b"x" * PIECE_BYTES + BIG[2 * PIECE_BYTES :], more=b"new")


def test_what_is_saved_is_loaded() -> None:
    table = DyingTable()
    save(table, "orders", FIRST, 7)
    save(table, "users", SECOND, 8)
    assert store(table).load(3, "orders") == FIRST
    assert store(table).load(3, "users") == SECOND
    assert store(table).partition(3) == PartitionRecord(8, -1)
    assert store(table).topics(3) == ["orders", "users"]
    assert store(table).load(4, "orders") is None
    assert store(table).partition(4) is None
    assert all(key.startswith(b"3|") for key in table)
    assert max(map(len, table.values())) <= PIECE_BYTES


def test_what_did_not_change_is_not_written_again_and_nothing_is_left_over() -> None:
    table = DyingTable()
    save(table, "orders", FIRST, 1)
    table.written.clear()
    save(table, "orders", SECOND, 2)
    pieces = [key for key in table.written if b"|c|" in key]
    assert len(pieces) == 3 + 2, "three new pieces, and two that nothing names any more"
    save(table, "orders", record(3, judge=b"three"), 3)
    assert sum(b"|c|" in key for key in table) == 1


def deaths() -> Iterator[int]:
    table = DyingTable()
    save(table, "orders", FIRST, 1)
    table.written.clear()
    save(table, "orders", SECOND, 2)
    yield from range(len(table.written))


@pytest.mark.parametrize("writes", list(deaths()))
def test_a_save_that_was_cut_short_left_the_state_before_or_after(writes: int) -> None:
    table = DyingTable()
    save(table, "orders", FIRST, 1)
    table.writes_left = writes
    with pytest.raises(DiedError):
        save(table, "orders", SECOND, 2)
    found, position = store(table).load(3, "orders"), store(table).partition(3)
    assert found in (FIRST, SECOND)
    assert position in ([PartitionRecord(1, -1)] if found == FIRST else [PartitionRecord(1, -1), PartitionRecord(2, -1)])
    table.writes_left = 10**9
    save(table, "orders", SECOND, 2)
    assert store(table).load(3, "orders") == SECOND
    assert sum(b"|c|" in key for key in table) == 5


@pytest.mark.parametrize(
    "damage",
    [
        lambda table: table.pop(next(key for key in table if b"|c|" in key)),
        lambda table: table.__setitem__(next(key for key in table if b"|c|" in key), b"else"),
        lambda table: table.__setitem__(b"3|orders|m", b"\xc1"),
        lambda table: table.__setitem__(b"3|orders|m", b"\x81\xa1v\x09"),
    ],
)
def test_damage_is_told_and_never_taken_for_a_fresh_start(damage: Callable[[DyingTable], None]) -> None:
    table = DyingTable()
    save(table, "orders", FIRST, 1)
    damage(table)
    with pytest.raises(FormatError):
        store(table).load(3, "orders")
