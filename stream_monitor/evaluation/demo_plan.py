"""What the demo plants in the orders, and when: corruptions of all seven aspects, with quiet windows between them.

The plan is pure: the same seed gives the same messages, window by window. Event time starts on a fixed day, so that two runs of a demo
give the same incidents with the same ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stream_monitor.evaluation import corruptions
from stream_monitor.evaluation.corruptions import Corruption
from stream_monitor.evaluation.messages import Message
from stream_monitor.evaluation.orders import OrderStream

START_MS = 1_790_928_000_000
"""2026-10-02 08:00 UTC, a Friday: where the demo's history starts."""


@dataclass(frozen=True, slots=True)
class Planting:
    """A corruption, planted in `length` windows from `first` on."""

    corruption: Corruption
    first: int
    """Number of the first window, counted as `OrderStream` does."""
    fraction: float
    length: int = 1

    @property
    def last(self) -> int:
        """Number of the last window that is hit."""
        return self.first + self.length - 1

    @property
    def text(self) -> str:
        """What was planted, in a few words."""
        share = round(100 * self.fraction)
        return f"{self.corruption.text} ({share} %)" if share < 100 else self.corruption.text


@dataclass(frozen=True)
class DemoPlan:
    """A history without faults, then a live part with plantings."""

    stream: OrderStream
    first: int
    """Number of the first window of the history."""
    history: int
    """Windows of history."""
    plantings: tuple[Planting, ...]
    windows: int
    """Windows in all, history included."""

    @property
    def live(self) -> int:
        """Number of the first live window."""
        return self.first + self.history

    @property
    def end(self) -> int:
        """Number of the window after the last."""
        return self.first + self.windows

    def planted(self, number: int) -> Planting | None:
        """What is planted in a window."""
        return next((planting for planting in self.plantings if planting.first <= number <= planting.last), None)

    def messages(self, number: int) -> list[Message]:
        """The messages of a window, with what is planted in it."""
        messages = self.stream.window(number)
        planting = self.planted(number)
        if planting is None:
            return messages
        return planting.corruption.apply(messages, planting.fraction, np.random.default_rng([self.stream.seed, 4, number]))

    def start_ms(self, number: int) -> int:
        """When a window starts."""
        return number * self.stream.window_ms


def demo_plan(seed: int = 7, *, history: int = 64, gap: int = 8, records_per_window: float = 400.0, window_ms: int = 60_000) -> DemoPlan:
    """The plan of `stream-monitor demo`: `history` healthy windows, then each of `default_plantings` with `gap` quiet windows before it."""
    stream = OrderStream(seed, window_ms=window_ms, records_per_window=records_per_window)
    first = START_MS // window_ms
    plantings = tuple(_placed(first + history, gap, default_plantings(stream)))
    return DemoPlan(stream, first, history, plantings, plantings[-1].last + gap - first)


def _placed(start: int, gap: int, chosen: tuple[tuple[Corruption, float, int], ...]) -> Iterator[Planting]:
    """The chosen (corruption, fraction, length) one after the other."""
    number = start
    for corruption, fraction, length in chosen:
        number += gap
        yield Planting(corruption, number, fraction, length)
        number += length


def default_plantings(stream: OrderStream) -> tuple[tuple[Corruption, float, int], ...]:
    """(corruption, fraction of the records, windows), in an order that changes the aspect each time."""
    return (
        (corruptions.nulls("email"), 0.25, 1),
        (corruptions.type_flip("price"), 0.3, 1),
        (corruptions.replayed(), 0.25, 1),
        (corruptions.scaled("shipping.weight"), 0.25, 1),
        (corruptions.shuffled("shipping.city"), 0.4, 1),
        (corruptions.dropped(), 0.75, 1),
        (corruptions.disordered(), 0.3, 1),
        (corruptions.malformed(), 0.2, 1),
        (corruptions.disguised("customer"), 0.25, 1),
        (corruptions.new_category("payment_method", "crypto"), 0.25, 1),
        (corruptions.wrong_product("total", "quantity", "price"), 0.4, 1),
        (corruptions.frozen("price", "quantity", "total"), 0.3, 1),
        (corruptions.renamed("coupon", "voucher"), 1.0, 1),
        (corruptions.surge(stream), 1.0, 1),
        (corruptions.late(), 0.25, 1),
    )
