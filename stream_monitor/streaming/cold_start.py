"""Cold start: what a topic that is new to us looked like before, from samples of its retained log.

Records drawn one by one would not do: charts need whole panes, and seasons need times of the day. So *runs of whole consecutive panes*
are drawn at random times of what is retained, without overlap, and read from all partitions by seeking to their timestamps. A log that is
short is read as a whole. The draw depends on the seed and on what is retained, on nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from stream_monitor.clock import Clock, SystemClock
from stream_monitor.config.settings import Settings
from stream_monitor.events import get_logger
from stream_monitor.profiling.delta import Delta
from stream_monitor.profiling.stream_profiler import StreamProfiler
from stream_monitor.streaming.monitored_topic import make_profiler
from stream_monitor.streaming.record_batch import RecordBatch
from stream_monitor.streaming.retained_log import Budget, Extent, RetainedLog

_log = get_logger(__name__)

DEFAULT_RUNS = 24
DEFAULT_PANES_PER_RUN = 30
_PANES_A_DRAIN = 60  # memory holds the profiles of this many panes at most


@dataclass(frozen=True, slots=True)
class Run:
    """Whole panes [start_ms, end_ms)."""

    start_ms: int
    end_ms: int


def choose_runs(earliest_ms: int, latest_ms: int, window_ms: int, *, runs: int | None, panes_per_run: int, seed: int) -> list[Run]:
    """Runs of whole panes within what is retained, in time order, not overlapping; one run of all if `runs` is None or little is retained.

    The pane of `latest_ms` is not complete and left out, as is that of `earliest_ms` unless it starts there.

    >>> choose_runs(30, 1_000, 100, runs=2, panes_per_run=2, seed=1)
    [Run(start_ms=300, end_ms=500), Run(start_ms=600, end_ms=800)]
    """
    first = -(-earliest_ms // window_ms)
    panes = latest_ms // window_ms - first
    if panes <= 0:
        return []
    if runs is None or panes <= runs * panes_per_run:
        return [Run(first * window_ms, (first + panes) * window_ms)]
    # Sorted draws from what is left over, each shifted by the runs before it: every placement without overlap is equally likely.
    free = panes - runs * panes_per_run
    draws = np.sort(np.random.default_rng(seed).integers(0, free + 1, size=runs))
    starts = [first + int(draw) + index * panes_per_run for index, draw in enumerate(draws)]
    return _join([Run(start * window_ms, (start + panes_per_run) * window_ms) for start in starts])


def _join(runs: list[Run]) -> list[Run]:
    """Runs that touch are one: read apart, the records in between would be read twice."""
    joined = runs[:1]
    for run in runs[1:]:
        if run.start_ms == joined[-1].end_ms:
            joined[-1] = Run(joined[-1].start_ms, run.end_ms)
        else:
            joined.append(run)
    return joined


def sample_history(
    settings: Settings,
    topic: str,
    window_ms: int,
    *,
    runs: int | None = DEFAULT_RUNS,
    panes_per_run: int = DEFAULT_PANES_PER_RUN,
    seed: int = 0,
    max_seconds: float = 120.0,
    max_bytes: int = 2 * 2**30,
    progress: Callable[[int, int], None] = lambda done, total: None,
    clock: Clock | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Delta]:
    """Deltas of whole panes of the retained log of `topic`, in time order within each run, the runs in time order too.

    Args:
        settings: cluster of the monitored topics, lateness, decoder caps.
        topic: exists (`InputError` otherwise).
        window_ms: length of a pane.
        runs: how many runs; None reads everything retained.
        panes_per_run: panes in each.
        seed: of the draw.
        max_seconds: stops after this time; what is not complete by then is left out.
        max_bytes: stops after reading this much.
        progress: told (panes read, panes to read).
        clock: of the time limit.
        cancelled: asked between batches; stops when True.

    Where the broker can't find offsets by time, the log is read from its beginning until the bounds are reached.
    Cost: what is read, at the speed of a profiler, and about 0.2 s a run for seeking.
    """
    clock = clock or SystemClock()
    budget = Budget(clock.monotonic() + max_seconds, max_bytes, cancelled)
    with RetainedLog(settings.source_cluster, topic, clock) as log:
        extent = log.extent(budget)
        if extent is None:
            return
        chosen = _chosen(extent, window_ms, runs, panes_per_run, seed)
        total, done = sum((run.end_ms - run.start_ms) // window_ms for run in chosen), 0
        _log.info("cold_start.chosen", topic=topic, runs=len(chosen), panes=total, by_time=extent.by_time)
        for run in chosen:
            for deltas in _read_run(settings, log, run, window_ms, budget, by_time=extent.by_time):
                done += len({delta.pane_start_ms for delta in deltas})
                progress(min(done, total), total)
                yield from deltas
            if budget.exhausted(clock.monotonic()):
                _log.warning("cold_start.cut_short", topic=topic, panes=done, of=total)
                return


def _chosen(extent: Extent, window_ms: int, runs: int | None, panes_per_run: int, seed: int) -> list[Run]:
    wanted = runs if extent.by_time else None
    return choose_runs(extent.earliest_ms, extent.latest_ms, window_ms, runs=wanted, panes_per_run=panes_per_run, seed=seed)


def _read_run(settings: Settings, log: RetainedLog, run: Run, window_ms: int, budget: Budget, *, by_time: bool) -> Iterator[list[Delta]]:
    """Deltas of a run, a slab of panes at a time: all partitions reach the end of a slab before any goes on."""
    offsets = log.offsets_at(run.start_ms) if by_time else dict.fromkeys(log.partitions, 0)
    profiler = make_profiler(log.topic, settings, partition_count=len(log.partitions))
    for partition, offset in offsets.items():
        profiler.assign(partition, offset, "")
    log.seek(offsets)
    slab_ms = _PANES_A_DRAIN * window_ms
    for slab_end in range(min(run.start_ms + slab_ms, run.end_ms), run.end_ms + slab_ms, slab_ms):
        until_ms = min(slab_end, run.end_ms) + settings.allowed_lateness_ms
        if not log.read_until(until_ms, lambda batch: _take(profiler, batch, settings), budget):
            return
        drained = profiler.drain()
        whole = [delta for delta in drained if run.start_ms <= delta.pane_start_ms < run.end_ms and delta.profile.records]
        if whole:  # the last delta of a drain tells how far it got; that one may just have been left out
            whole[-1] = dataclasses.replace(whole[-1], sources=drained[-1].sources)
        yield whole
        if slab_end >= run.end_ms:
            return


def _take(profiler: StreamProfiler, batch: RecordBatch, settings: Settings) -> None:
    timestamps_ms, partitions, offsets = batch.arrays()
    arrivals_ms = None if settings.timestamp_field is None else timestamps_ms
    profiler.add(batch.values, timestamps_ms, partitions, offsets, keys=batch.keys, arrivals_ms=arrivals_ms)
