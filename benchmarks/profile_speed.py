"""Cost of profiling, µs a record on one core: narrow records (8 fields, 184 B), without a reference.

    python benchmarks/profile_speed.py [records]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import orjson

from stream_monitor.decoding.json_records import JsonDecoder
from stream_monitor.profiling.chunk_profile import Chunk, profile_chunk
from stream_monitor.profiling.column_rows import concatenated
from stream_monitor.profiling.profile import Profile
from stream_monitor.profiling.stream_profiler import StreamProfiler

CHUNK = 8192


def narrow(count: int, seed: int = 0) -> list[bytes]:
    """Records of 8 fields, one nested object."""
    rng = np.random.default_rng(seed)
    amounts, countries = rng.lognormal(3, 1, count).round(2).tolist(), rng.choice(["FR", "DE", "ES", "IT", "PL"], count).tolist()
    lats, lons = rng.normal(48, 3, count).round(6).tolist(), rng.normal(2, 3, count).round(6).tolist()
    return [
        orjson.dumps(
            {
                "id": f"order-{seed:02d}{i:010d}", "created_at": f"2026-11-22T10:{i // 60 % 60:02d}:{i % 60:02d}Z", "amount": amounts[i],
                "quantity": int(i % 7), "country": countries[i], "paid": i % 3 > 0, "geo": {"lat": lats[i], "lon": lons[i]},
            }
        )
        for i in range(count)
    ]  # fmt: skip


def timed(work: Callable[[], object], records: int, repeats: int = 5) -> float:
    """Best of some, in µs a record."""
    work()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return 1e6 * best / records


def main() -> None:
    """Measures and prints."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8 * CHUNK
    values = narrow(count)
    decoder = JsonDecoder()
    slices = [values[start : start + 1024] for start in range(0, count, 1024)]
    print(f"decode, batches of 1,024       {timed(lambda: [decoder.decode(part) for part in slices], count):6.2f} µs/record")
    batches = [decoder.decode(part) for part in slices[: CHUNK // 1024]]
    columns = {path: concatenated([(batch.columns.get(path), len(batch.rows)) for batch in batches]) for path in batches[0].columns}
    size = min(CHUNK, count)
    offsets = np.arange(size, dtype=np.int64)
    chunk = Chunk(columns, np.zeros(size, dtype=np.int32), offsets, offsets, batches[0].patterns, {0: (0, size)})
    empty = Profile.empty()
    first = profile_chunk(chunk, empty, empty)
    print(f"first chunk of a pane, 8,192   {timed(lambda: profile_chunk(chunk, empty, empty), size):6.2f} µs/record")
    print(f"further chunks                 {timed(lambda: profile_chunk(chunk, first, empty), size):6.2f} µs/record")
    times, partitions = np.full(count, 1_700_000_000_000, dtype=np.int64), np.zeros(count, dtype=np.int32)

    def whole() -> None:
        profiler = StreamProfiler("orders", decoder=decoder)
        for start in range(0, count, 1000):
            cut = slice(start, start + 1000)
            profiler.add(values[cut], times[cut], partitions[cut], np.arange(count, dtype=np.int64)[cut])
        profiler.drain()

    print(f"StreamProfiler, with decoding  {timed(whole, count):6.2f} µs/record")
    blob = first.to_bytes()
    print(f"to_bytes {timed(first.to_bytes, 1) / 1000:.2f} ms, {len(blob) / 1000:.0f} kB")
    print(f"from_bytes {timed(lambda: Profile.from_bytes(blob), 1) / 1000:.2f} ms")
    print(f"merge {timed(lambda: first.merge(first), 1) / 1000:.2f} ms")


if __name__ == "__main__":
    main()
