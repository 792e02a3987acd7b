"""What users tell the detector: sensitivity documents on the config topic, and commands.

Every worker reads both, from the beginning, with consumers of its own. A document is in force on every worker within a second;
exactly one worker answers for it: the one that owns the topic's partition of the profiles topic, partition 0 for the default `*`.
A command is carried out by the owner of its topic only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]

from stream_monitor.config.commands import Command, parse_command
from stream_monitor.config.sensitivity import DEFAULT_TOPIC, Sensitivity, parse_sensitivity
from stream_monitor.config.sensitivity_document import SensitivityDocument
from stream_monitor.config.settings import Settings
from stream_monitor.errors import StreamMonitorError
from stream_monitor.streaming import clients
from stream_monitor.streaming.live_topic import LiveTopic


def profiles_partition(topic: str, partitions: int) -> int:
    """The partition of the profiles topic that has a monitored topic's deltas: as every producer of ours computes it.

    `*` has none; partition 0 answers for it.
    """
    if topic == DEFAULT_TOPIC:
        return 0
    return int(murmur2(topic.encode()) & 0x7FFFFFFF) % partitions


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of the config or the commands topic; `refused` says why it is not in force."""

    topic: str
    offset: int
    refused: StreamMonitorError | None = None
    command: Command | None = None
    came_at: float | None = None
    """When it was read (monotonic seconds); None for what was there at the start."""


class Inbox:
    """The config and the commands topic, live. Read from any thread."""

    def __init__(self, settings: Settings, client_id: str, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._started = False
        self._lock = threading.Lock()
        self._documents: list[Letter] = []
        self._commands: dict[str, list[Letter]] = {}
        self._config: LiveTopic[SensitivityDocument] = LiveTopic(
            clients.reader_config(settings, f"{client_id}-config"),
            settings.names.config,
            parse_sensitivity,
            on_change=lambda key, _value, offset: self._document(Letter(key, offset)),
            on_reject=lambda key, error, offset: self._document(Letter(key, offset, error)),
        )
        self._orders: LiveTopic[Command] = LiveTopic(
            clients.reader_config(settings, f"{client_id}-commands"),
            settings.names.commands,
            parse_command,
            on_change=lambda key, value, offset: self._command(Letter(key, offset, None, value)),
            on_reject=lambda key, error, offset: self._command(Letter(key, offset, error)),
        )

    def start(self, timeout: float) -> None:
        """Returns when all that is in both topics has been read. Raises `BrokerError` when that takes longer than `timeout` s."""
        self._config.start()
        self._orders.start()
        self._config.wait_ready(timeout)
        self._orders.wait_ready(timeout)
        self._started = True

    def check(self) -> None:
        """Raises `BrokerError` if reading has ended for good."""
        self._config.check()
        self._orders.check()

    def close(self) -> None:
        """Stops reading."""
        self._config.close()
        self._orders.close()

    def sensitivity(self, topic: str) -> tuple[Sensitivity, int | None]:
        """What is in force for a topic, and the offset of the newer of the documents that it is made of; None for the defaults alone."""
        default, own = self._config.get(DEFAULT_TOPIC), self._config.get(topic)
        offsets = [offset for key in (DEFAULT_TOPIC, topic) if (offset := self._config.offset(key)) is not None]
        return Sensitivity.of(default, own), max(offsets, default=None)

    def documents(self, after: int) -> list[Letter]:
        """Documents, accepted and refused, at offsets above `after`, oldest first."""
        with self._lock:
            return [letter for letter in self._documents if letter.offset > after]

    def commands(self, topic: str) -> list[Letter]:
        """Commands for a topic, readable or not, oldest first."""
        with self._lock:
            return list(self._commands.get(topic, ()))

    def topics_with_commands(self) -> list[str]:
        """Topics that commands were given for."""
        with self._lock:
            return sorted(self._commands)

    def _document(self, letter: Letter) -> None:
        with self._lock:
            self._documents.append(letter)

    def _command(self, letter: Letter) -> None:
        if letter.command is None and letter.refused is None:
            return  # a null value on the commands topic says nothing
        letter = replace(letter, came_at=self._monotonic() if self._started else None)
        with self._lock:
            self._commands.setdefault(letter.topic, []).append(letter)
