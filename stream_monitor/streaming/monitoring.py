"""The seam between the streaming edge and the monitors of topics: what a shard is given, what it needs, what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from stream_monitor.config.commands import Command
    from stream_monitor.config.sensitivity import Sensitivity
    from stream_monitor.monitor import Outcome
    from stream_monitor.profiling.delta import Delta

StatusFields = Mapping[str, Any]
"""`event`, and other fields of a `StatusEvent`."""
Answer = tuple[int, tuple[StatusFields, ...]]
"""The offset of a command, and what to say of it."""


class TopicMonitorLike(Protocol):
    """What a shard needs of a `TopicMonitor`."""

    @property
    def oldest_open_ms(self) -> int | None:
        """Start of the oldest pane that is open; None if there is none."""
        ...

    @property
    def partition_count(self) -> int:
        """Partitions of the monitored topic, as far as deltas said."""
        ...

    def merge(self, delta: Delta) -> Any:
        """Takes in a delta; what was odd about it. Raises `OverlapError`, and is unchanged, if its records were merged already."""
        ...

    def forget(self, partition: int) -> None:
        """A source partition is gone: panes close without it, until it is heard of again."""
        ...

    def advance(self, sensitivity: Sensitivity, config_offset: int | None = None) -> Outcome:
        """Judges the windows that can close."""
        ...

    def merge_history(self, delta: Delta, run: str) -> None:
        """Takes in a pane of the retained log, read by the cold start `run`."""
        ...

    def end_history(self, sensitivity: Sensitivity, run: str) -> Outcome:
        """The cold start is complete."""
        ...

    def command(self, command: Command) -> Iterable[StatusFields]:
        """Carries out a command."""
        ...

    def snapshot_sections(self) -> Mapping[str, bytes]:
        """The state without open panes, in named sections that change at different rates."""
        ...


class AssemblerLike(Protocol):
    """What a shard needs of a `DeltaAssembler`."""

    @property
    def pending(self) -> int:
        """Deltas of which some chunks are here and some are not."""
        ...

    def add(self, chunk: bytes) -> Delta | None:
        """The delta that a chunk completes. Raises `FormatError`."""
        ...


@dataclass(frozen=True, slots=True)
class Factory:
    """Makes what a shard holds."""

    new: Callable[[str], TopicMonitorLike]
    restore: Callable[[str, Mapping[str, bytes]], TopicMonitorLike]
    assembler: Callable[[], AssemblerLike]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the profiles topic (`delta_messages` says what the headers mean)."""

    offset: int
    value: bytes
    timestamp_ms: int = 0
    kind: str = "delta"
    run: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A command given at an offset of the commands topic; `refused` says why if it can't be read."""

    offset: int
    command: Command | None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is in force when a message is taken."""

    sensitivity: Sensitivity
    config_offset: int | None = None
    orders: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one message."""

    outcome: Outcome | None = None
    config_offset: int | None = None
    answers: tuple[Answer, ...] = ()
    statuses: tuple[StatusFields, ...] = ()
    refused: Exception | None = None
    """Why the message was not merged."""
    save: bool = False
    """State must be written after this is published."""
