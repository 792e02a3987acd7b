"""Records a second on one core: JSON bytes to columns, beside the parser alone. Prints a table; takes about 20 s.

narrow: 8 fields, one of them a nested object, 184 bytes. wide: 40 fields, 1,067 bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import orjson

from stream_monitor.decoding.json_records import JsonDecoder


def narrow(rng: np.random.Generator, count: int) -> list[bytes]:
    return [
        orjson.dumps(
            {
                "order_id": 10_000_000 + i,
                "created_at": f"2026-11-22T09:{i // 60 % 60:02d}:{i % 60:02d}.{i % 1000:03d}Z",
                "customer": f"customer-{rng.integers(100_000):06d}",
                "amount": round(float(rng.lognormal(3, 1)), 2),
                "currency": ["EUR", "USD", "GBP"][int(rng.integers(3))],
                "status": ["paid", "shipped", "delivered"][int(rng.integers(3))],
                "gift": bool(rng.integers(2)),
                "geo": {"lat": round(float(rng.uniform(-90, 90)), 5), "lon": round(float(rng.uniform(-180, 180)), 5)},
            }
        )
        for i in range(count)
    ]


def wide(rng: np.random.Generator, count: int) -> list[bytes]:
    def record(i: int) -> dict[str, object]:
        numbers = {f"measurement_{j}": round(float(rng.normal()), 4) for j in range(16)}
        counts = {f"counter_{j}": int(rng.integers(10**6)) for j in range(8)}
        texts = {f"attribute_{j}": f"value-{rng.integers(1000):04d}" for j in range(14)}
        return {"id": i, **numbers, **counts, **texts, "active": True}

    return [orjson.dumps(record(i)) for i in range(count)]


def best_rate(run: Callable[[list[bytes]], object], batches: list[list[bytes]], rounds: int) -> float:
    """Records a second in the fastest of some rounds over all batches: on a shared machine the others are slower by chance."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for batch in batches:
            run(batch)
        best = min(best, time.perf_counter() - start)
    return sum(map(len, batches)) / best


def parse(batch: list[bytes]) -> list[object]:
    return list(map(orjson.loads, batch))


def main() -> None:
    rng = np.random.default_rng(1)
    start = time.perf_counter()
    JsonDecoder().decode([b'{"a": 1, "b": "x", "c": 9007199254740993}'])
    print(f"first batch (compiles, or loads from the cache): {time.perf_counter() - start:.2f} s")
    print(f"{'records':8} {'bytes':>6} {'batch':>6} {'parser/s':>12} {'decoder/s':>12} {'ratio':>6}")
    for name, values in (("narrow", narrow(rng, 20_000)), ("wide", wide(rng, 4_000))):
        for size in (500, 1000):
            batches = [values[at : at + size] for at in range(0, len(values), size)]
            decoder = JsonDecoder()
            parser, columns = best_rate(parse, batches, 15), best_rate(decoder.decode, batches, 15)
            length = sum(map(len, values)) / len(values)
            print(f"{name:8} {length:6.0f} {size:6} {parser:12,.0f} {columns:12,.0f} {columns / parser:6.2f}")


if __name__ == "__main__":
    main()
