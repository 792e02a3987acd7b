"""Where a profiler reads on: what it commits with an offset, and where it starts when nothing was committed.

Kafka keeps a short text with every committed offset. Ours holds the clock of the partition (so that lateness is judged the same after a
restart) behind two facts about the topic:

    sm1|<partitions when the group first saw the topic>|<cold start: "due", "done" or "none">|<clock of the partition>

A partition without a committed offset is either one of a topic that is new to the group: it starts where `start_from` says; or one that
was added to a topic later: it starts at its beginning, because all in it came after we began to watch. The number of partitions in the
metadata of its siblings tells the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

ColdStartState = Literal["due", "done", "none"]

_VERSION = "sm1"


@dataclass(frozen=True, slots=True)
class Position:
    """What is committed for a partition: the next offset to read, and the metadata."""

    offset: int
    first_partitions: int
    """Partitions of the topic when the group first saw it."""
    cold_start: ColdStartState = "none"
    clock: str = ""
    """`StreamProfiler.metadata(partition)`."""

    def metadata(self) -> str:
        """The text to commit with the offset."""
        return f"{_VERSION}|{self.first_partitions}|{self.cold_start}|{self.clock}"

    def at(self, offset: int, clock: str) -> Position:
        """The same facts, further on."""
        return replace(self, offset=offset, clock=clock)


def read_position(offset: int, metadata: str | None, partitions: int) -> Position:
    """The position of a committed offset. Metadata that is not ours (somebody reset the group by hand) means: no clock, no cold start."""
    parts = (metadata or "").split("|", 3)
    if len(parts) != 4 or parts[0] != _VERSION or not parts[1].isdecimal() or parts[2] not in ("due", "done", "none"):
        return Position(offset, partitions)
    return Position(offset, int(parts[1]), parts[2], parts[3])  # type: ignore[arg-type]  # checked one line up


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition starts."""

    position: Position
    is_new: bool
    """Nothing was committed: the position should be, at once, so that a crash does not start elsewhere."""


def choose_start(
    partition: int,
    committed: Mapping[int, Position],
    *,
    partitions: int,
    low: int,
    high: int,
    start_from: Literal["latest", "earliest"],
    cold_start: bool,
) -> Start:
    """Where to read `partition` of a topic from.

    Args:
        partition: its number.
        committed: positions of all partitions of the topic that have one.
        partitions: how many partitions the topic has now.
        low: its first retained offset.
        high: its end offset.
        start_from: for topics new to the group.
        cold_start: whether the history of new topics is to be sampled; partition 0 then says that it is due.
    """
    own = committed.get(partition)
    if own is not None:
        return Start(own, is_new=False)
    first = min((position.first_partitions for position in committed.values()), default=partitions)
    added_later = partition >= first
    offset = low if added_later or start_from == "earliest" else high
    due = cold_start and partition == 0 and start_from == "latest" and not added_later and high > low
    return Start(Position(offset, first, "due" if due else "none"), is_new=True)
