"""Healthy synthetic streams, ways to corrupt them, and monitors that have learned one: what the tests of detection judge.

A record has a key, a time stamp, two numbers of which a third is the product, a category that decides another, a text of fixed
format, a nullable code, and a nested number.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from stream_monitor import Monitor

BASE_MS = 1_750_032_000_000
WINDOW_MS = 60_000
CITIES = {"Lyon": "FR", "Paris": "FR", "Leeds": "GB", "York": "GB", "Berlin": "DE", "Malaga": "ES"}
RECORDS = 150

Records = list[dict[str, Any]]
Window = tuple[list[bytes], list[int]]
"""Values and their times."""


def healthy(number: int, seed: int = 0, records: int = RECORDS) -> Records:
    """The records of window `number`; their count varies like a Poisson one."""
    rng = random.Random(f"{seed}/{number}")
    count = max(round(rng.gauss(records, records**0.5)), 1)
    return [_record(rng, number * 100_000 + place) for place in range(count)]


def _record(rng: random.Random, identity: int) -> dict[str, Any]:
    city = rng.choices(list(CITIES), [6, 5, 4, 3, 2, 1])[0]
    price, quantity = round(rng.lognormvariate(3, 0.5), 2), 1 + int(rng.expovariate(0.7))
    return {
        "id": f"A{identity:010d}", "city": city, "country": CITIES[city],
        "price": price, "quantity": quantity, "total": round(price * quantity, 2),
        "phone": f"+33 6 {rng.randrange(100):02d} {rng.randrange(100):02d}", "coupon": rng.choice(["C1", "C2", None, None]),
        "geo": {"lat": round(rng.gauss(48, 2), 4)},
    }


def encoded(records: Iterable[dict[str, Any] | bytes], number: int) -> Window:
    """JSON values, evenly spread over the window; what is bytes already stays as it is."""
    values = [record if isinstance(record, bytes) else orjson.dumps(record) for record in records]
    start = BASE_MS + number * WINDOW_MS
    return values, [start + place * WINDOW_MS // max(len(values), 1) for place in range(len(values))]


def window(number: int, seed: int = 0, records: int = RECORDS) -> Window:
    return encoded(healthy(number, seed, records), number)


def stream(numbers: Iterable[int], seed: int = 0, records: int = RECORDS) -> list[Window]:
    return [window(number, seed, records) for number in numbers]


def watch(monitor: Monitor, windows: Iterable[Window], *, flush: bool = True) -> list[Any]:
    """All verdicts of some windows."""
    verdicts = [verdict for values, times in windows for verdict in monitor.observe(values, times)]
    return verdicts + (monitor.flush() if flush else [])


@functools.cache
def learned(windows: int = 45, seed: int = 0, max_alerts: str = "2/day", records: int = RECORDS) -> bytes:
    """Snapshot of a monitor that saw so many healthy windows (numbers 0 to windows - 1), made once for all tests."""
    monitor = Monitor("orders", window_seconds=WINDOW_MS / 1000, sensitivity={"max_alerts": max_alerts})
    watch(monitor, stream(range(windows), seed, records))
    return monitor.snapshot()


def verdict_on(blob: bytes, values: Window, sensitivity: dict[str, Any] | None = None) -> Any:
    """What a monitor concludes about the next window, retuned first if a document is given."""
    monitor = Monitor.restore(blob)
    if sensitivity is not None:
        monitor.tune(sensitivity)
    (verdict,) = watch(monitor, [values])
    return verdict


Corruption = Callable[[Records, random.Random], Sequence[dict[str, Any] | bytes]]


def corrupted(number: int, corruption: Corruption, seed: int = 0, records: int = RECORDS) -> Window:
    """Window `number` after a corruption."""
    return encoded(corruption(healthy(number, seed, records), random.Random(seed)), number)


def on_some(share: float, change: Callable[[dict[str, Any], random.Random], dict[str, Any] | bytes]) -> Corruption:
    """A corruption that changes this share of the records, chosen at random."""

    def corrupt(records: Records, rng: random.Random) -> list[dict[str, Any] | bytes]:
        hit = set(rng.sample(range(len(records)), round(share * len(records))))
        return [change(record, rng) if place in hit else record for place, record in enumerate(records)]

    return corrupt


def setting(field: str, value: Any, share: float = 0.25) -> Corruption:
    """The field is `value` (or what `value(old)` gives) in this share of the records."""
    return on_some(share, lambda record, rng: {**record, field: value(record[field]) if callable(value) else value})


def without(field: str, share: float = 0.25) -> Corruption:
    return on_some(share, lambda record, rng: {key: cell for key, cell in record.items() if key != field})


def renamed(field: str, name: str) -> Corruption:
    return on_some(1.0, lambda record, rng: {name if key == field else key: cell for key, cell in record.items()})


def truncated(share: float = 0.25) -> Corruption:
    return on_some(share, lambda record, rng: orjson.dumps(record)[:40])


def replayed(share: float = 0.25) -> Corruption:
    """Some records come again at the end."""
    return lambda records, rng: [*records, *rng.sample(records, round(share * len(records)))]


def shuffled(field: str) -> Corruption:
    """The field's values change places: each one is as usual, together they make no sense."""

    def corrupt(records: Records, rng: random.Random) -> Records:
        cells = [record[field] for record in records]
        rng.shuffle(cells)
        return [{**record, field: cell} for record, cell in zip(records, cells, strict=True)]

    return corrupt


def thinned(share: float) -> Corruption:
    """Only this share of the records comes."""
    return lambda records, rng: records[: round(share * len(records))]
