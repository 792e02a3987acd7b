"""Records a second through `Monitor`, bytes in and verdicts out, on one core: narrow records (8 fields, 184 bytes) in batches of 1,000.

    OMP_NUM_THREADS=1 python benchmarks/monitor_speed.py [records a window] [windows] [--profile]

The first windows warm up (compiled kernels, first trainings). The rest is measured by CPU time, window by window: profiling,
closing and judging are in all of them, a re-training in the few in which it is due. `--profile` lists what costs most.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time

import numpy as np
import orjson

from stream_monitor import Monitor

BATCH, WINDOW_MS, BASE_MS = 1000, 60_000, 1_750_032_000_000
WARM_UP = 14
DISTINCT = 6
"""Windows generated; they come again and again."""


def narrow(count: int, seed: int) -> list[bytes]:
    """Orders of 8 fields, one of them a nested object, 184 bytes on average."""
    rng = np.random.default_rng(seed)
    customers, amounts = rng.integers(100_000, size=count).tolist(), rng.lognormal(3, 1, count).round(2).tolist()
    currencies, statuses = rng.choice(["EUR", "USD", "GBP"], count).tolist(), rng.choice(["paid", "shipped", "delivered"], count).tolist()
    gifts = (rng.random(count) < 0.5).tolist()
    lats, lons = (rng.uniform(-reach, reach, count).round(5).tolist() for reach in (90, 180))
    return [
        orjson.dumps({
            "order_id": 10_000_000 + seed * count + i, "created_at": f"2026-11-22T09:{i // 60 % 60:02d}:{i % 60:02d}.{i % 1000:03d}Z",
            "customer": f"c-{customers[i]:06d}", "amount": amounts[i], "currency": currencies[i], "status": statuses[i],
            "gift": gifts[i], "geo": {"lat": lats[i], "lon": lons[i]},
        })
        for i in range(count)
    ]


def parser_rate(values: list[bytes]) -> float:
    """Records a second of `orjson.loads` alone, the fastest of five rounds."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for at in range(0, len(values), BATCH):
            list(map(orjson.loads, values[at : at + BATCH]))
        best = min(best, time.process_time() - start)
    return len(values) / best


def watch(monitor: Monitor, number: int, values: list[bytes]) -> tuple[float, int]:
    """CPU seconds that a window takes, and verdicts that come back."""
    times = (BASE_MS + number * WINDOW_MS + np.arange(len(values)) * WINDOW_MS // len(values)).tolist()
    verdicts, start = 0, time.process_time()
    for at in range(0, len(values), BATCH):
        verdicts += len(monitor.observe(values[at : at + BATCH], times[at : at + BATCH]))
    return time.process_time() - start, verdicts


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("records", type=int, nargs="?", default=30_000)
    options.add_argument("windows", type=int, nargs="?", default=24)
    options.add_argument("--profile", action="store_true")
    chosen = options.parse_args()
    distinct = [narrow(chosen.records, seed) for seed in range(DISTINCT)]
    print(f"{chosen.records:,} records a window, {sum(map(len, distinct[0])) / chosen.records:.0f} bytes each")
    monitor = Monitor("orders", window_seconds=WINDOW_MS / 1000)
    for number in range(WARM_UP):
        watch(monitor, number, distinct[number % DISTINCT])
    profiler = cProfile.Profile()
    costs, verdicts, versions = [], 0, []
    for number in range(WARM_UP, WARM_UP + chosen.windows):
        if chosen.profile:
            profiler.enable()
        seconds, closed = watch(monitor, number, distinct[number % DISTINCT])
        profiler.disable()
        costs.append(seconds)
        verdicts += closed
        versions.append(monitor.core.reference.version if monitor.core.reference else 0)
    trainings = versions[-1] - versions[0]
    usual, whole, parser = statistics.median(costs), sum(costs), parser_rate(distinct[0])
    print(f"{verdicts} verdicts, {trainings} re-trainings in {chosen.windows} windows")
    print(f"all of it          {chosen.records * chosen.windows / whole:10,.0f} records/s")
    print(f"a window, median   {chosen.records / usual:10,.0f} records/s   {1e6 * usual / chosen.records:.2f} us a record")
    print(f"fastest window     {chosen.records / min(costs):10,.0f} records/s")
    print(f"orjson.loads alone {parser:10,.0f} records/s   Monitor takes {parser * usual / chosen.records:.1f} times as long")
    if chosen.profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()
