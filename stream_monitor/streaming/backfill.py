"""Cold starts beside the live stream: history is sampled on a thread of its own and produced as backfill deltas.

Who does it: the worker that owns partition 0 of a topic for which the group had no committed offsets. That it is due is committed with the
position of partition 0, and so is that it was done: after a crash or a rebalance in the middle, the next owner begins again, under a new
run id, and the detector forgets what came under the old one. A topic that has a reference needs none.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator

from confluent_kafka import Producer

from stream_monitor.clock import Clock, SystemClock
from stream_monitor.config.settings import Settings
from stream_monitor.config.status import StatusEvent, StatusKind
from stream_monitor.errors import BrokerError, StreamMonitorError
from stream_monitor.events import get_logger
from stream_monitor.profiling.delta import Delta
from stream_monitor.streaming.clients import producer, producer_config
from stream_monitor.streaming.cold_start import sample_history
from stream_monitor.streaming.commit import OutgoingMessage, produce
from stream_monitor.streaming.delta_messages import BackfillEnd, backfill_end_message, delta_messages

_log = get_logger(__name__)

_ACKNOWLEDGED_S = 30.0

Sampler = Callable[[str, Callable[[], bool]], Iterator[Delta]]
"""(topic, cancelled) -> deltas."""


class ColdStarts:
    """Runs cold starts one after the other; `begin`, `cancel` and `finished` are called on the profiler's thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        worker: str,
        sampler: Sampler | None = None,
        outlet: Producer | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._clock = clock or SystemClock()
        self._sample = sampler or self._sample_history
        self._producer = outlet or producer(producer_config(settings, f"{worker}-backfill"))
        self._running: dict[str, threading.Event] = {}
        self._failed: set[str] = set()
        self._finished: deque[tuple[str, StatusEvent]] = deque()
        self._one_at_a_time = threading.Lock()
        self._threads: list[threading.Thread] = []

    def begin(self, topic: str) -> None:
        """Starts the cold start of a topic, unless it is under way, or failed on this worker before."""
        if topic in self._running or topic in self._failed:
            return
        cancelled = self._running[topic] = threading.Event()
        thread = threading.Thread(target=self._run, args=(topic, cancelled), name=f"cold-start-{topic}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def cancel(self, topic: str) -> None:
        """Stops the cold start of a topic soon; it does not count as finished."""
        cancelled = self._running.pop(topic, None)
        if cancelled is not None:
            cancelled.set()

    def finished(self) -> list[tuple[str, StatusEvent]]:
        """Topics whose cold start ended since the last call, with what to put on the status topic."""
        ended = []
        while self._finished:
            ended.append(self._finished.popleft())
            self._running.pop(ended[-1][0], None)
        return ended

    def close(self) -> None:
        """Cancels all; takes at most 2 s."""
        for topic in list(self._running):
            self.cancel(topic)
        for thread in self._threads:
            thread.join(2.0 / len(self._threads))

    def _run(self, topic: str, cancelled: threading.Event) -> None:
        with self._one_at_a_time:
            if cancelled.is_set():
                return
            try:
                end = self._deliver(topic, cancelled)
            except StreamMonitorError as error:
                _log.warning("cold_start.failed", topic=topic, error=str(error))
                self._failed.add(topic)
                self._finish(topic, "cold-start.failed", f"{error}; {topic} starts without history")
                return
        if not cancelled.is_set():
            self._finish(topic, StatusKind.COLD_START_DONE, f"{end.panes} panes, {end.records} records of history")

    def _deliver(self, topic: str, cancelled: threading.Event) -> BackfillEnd:
        """Produces the backfill, its end last, and waits until the broker has all of it."""
        run = uuid.uuid4().hex
        profiles = self._settings.names.profiles
        panes: set[int] = set()
        records = 0
        complete = False
        try:
            for delta in self._sample(topic, cancelled.is_set):
                panes.add(delta.pane_start_ms)
                records += delta.profile.records
                for message in delta_messages(profiles, delta, worker=self._worker, run=run):
                    self._produce(message)
            complete = True
        finally:  # whoever waits for the end must not wait for ever
            end = BackfillEnd(len(panes), records, complete)
            if not cancelled.is_set():
                self._produce(backfill_end_message(profiles, topic, end, worker=self._worker, run=run))
                waiting = self._producer.flush(_ACKNOWLEDGED_S)
        if not cancelled.is_set() and waiting:
            raise BrokerError(f"{waiting} messages of the cold start were not acknowledged in {_ACKNOWLEDGED_S:g} s")
        return end

    def _produce(self, message: OutgoingMessage) -> None:
        produce(self._producer, message, self._clock.monotonic() + _ACKNOWLEDGED_S, self._clock.monotonic)

    def _finish(self, topic: str, kind: StatusKind | str, text: str) -> None:
        self._finished.append((topic, StatusEvent.at_ms(kind, self._clock.now_ms(), topic=topic, source=self._worker, message=text)))

    def _sample_history(self, topic: str, cancelled: Callable[[], bool]) -> Iterator[Delta]:
        if self._settings.cold_start == "full":
            return sample_history(
                self._settings, topic, self._settings.window_ms, runs=None, max_seconds=3600.0, max_bytes=2**62, cancelled=cancelled
            )
        return sample_history(self._settings, topic, self._settings.window_ms, cancelled=cancelled)
