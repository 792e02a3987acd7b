"""Orders in real time: what is due now, with a corruption planted every so often. Time is given, so it is as repeatable as the stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from stream_monitor.evaluation.corruptions import Corruption
from stream_monitor.evaluation.messages import Message
from stream_monitor.evaluation.orders import OrderStream


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which windows are corrupted: `length` of every `every`, by each corruption in turn; none if there is no corruption."""

    corruptions: Sequence[Corruption] = ()
    every: int = 30
    length: int = 1
    fraction: float = 0.3

    def planted(self, number: int) -> Corruption | None:
        """What is planted in a window: the last `length` windows of each `every` are hit."""
        turn, place = divmod(number, self.every)
        if not self.corruptions or place < self.every - self.length:
            return None
        return self.corruptions[turn % len(self.corruptions)]

    def messages(self, stream: OrderStream, number: int) -> list[Message]:
        """The messages of a window, with what is planted in it."""
        messages, corruption = stream.window(number), self.planted(number)
        if corruption is None:
            return messages
        return corruption.apply(messages, self.fraction, np.random.default_rng([stream.seed, 5, number]))


@dataclass
class LiveOrders:
    """Hands out each message once its time has come; those before `next_ms` are never made."""

    stream: OrderStream
    schedule: Schedule
    next_ms: int
    """Time of the next message to hand out, at the earliest."""
    _waiting: deque[tuple[int, Message]] = field(default_factory=deque)
    _next_window: int | None = None

    def due(self, now_ms: int) -> Iterator[Message]:
        """The messages up to `now_ms`, in the order they arrive. Memory: a window."""
        if self._next_window is None:
            self._next_window = self.next_ms // self.stream.window_ms
        while True:
            while self._waiting and self._waiting[0][0] <= now_ms:
                at_ms, message = self._waiting.popleft()
                if at_ms >= self.next_ms:
                    yield message
            if self._waiting or self._next_window * self.stream.window_ms > now_ms:
                return
            self._waiting.extend(sent(self.schedule.messages(self.stream, self._next_window)))
            self._next_window += 1


def sent(messages: Sequence[Message]) -> Iterator[tuple[int, Message]]:
    """(when it is sent, message): at its timestamp, or with the one before it where it is late."""
    latest = 0
    for message in messages:
        latest = max(latest, message.timestamp_ms)
        yield latest, message
