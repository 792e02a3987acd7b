"""Faust's aiokafka transport, made to read committed deltas only and to start where the state says.

Two things differ from the driver that Faust ships:

* Its worker consumer reads uncommitted records unless `exactly_once` is on, a mode with known faults. A profiler that dies in a
  transaction, and reads the same records again, would be counted twice. Here the consumer reads committed.
* After a recovery it seeks to the group's offsets. Those can run ahead of the state, because Faust's producer buffer gives up
  flushing after 0.1 s without progress, and then commits. Here the partitions of a *sought* topic start at the offset that the state
  names, or at the beginning of the log when there is no state; the group's offsets are for lag displays only.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_monitor.errors import BrokerError

if TYPE_CHECKING:
    from stream_monitor.streaming.detector_app import DetectorApp


class CommittedConsumerThread(driver.AIOKafkaConsumerThread):
    """The driver's consumer thread, with a consumer that reads committed records only."""

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # aiokafka reads the level when the consumer starts; Faust has no setting for it.
        if getattr(consumer, "_isolation_level", None) not in ("read_uncommitted", "read_committed"):
            raise BrokerError(
                f"aiokafka {version('aiokafka')} keeps its isolation level elsewhere than expected: install the aiokafka of requirements/"
            )
        consumer._isolation_level = "read_committed"
        return consumer


class CommittedConsumer(driver.Consumer):
    """The driver's consumer; starts the sought topic where `Detector.start_offsets` says, and lets nothing of it through before that.

    Faust resumes partitions a moment before it seeks. What comes through in that moment would be taken for the beginning, and all that
    lies between the right beginning and there would be lost.
    """

    app: DetectorApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._sought: set[TP] = set()
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> CommittedConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A new assignment: nothing of it was sought yet."""
        self._sought = set()
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """A rebalance begins: what is assigned next must be sought anew."""
        self._sought = set()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Called when a recovery is complete: the group's offsets first, then ours over them. Also called when a rebalance cuts a fetch
        short; then a recovery follows, and ours have to wait for it.
        """
        await super().perform_seek()
        sought = {tp for tp in self.assignment() if tp.topic == self.app.sought_topic}
        if not sought or not self.flow_active or self.app.in_recovery:
            return
        starts = await self.app.detector.start_offsets(sought)
        earliest = await self.earliest_offsets(*sought)
        targets = {tp: max(starts.get(tp) or 0, earliest.get(tp) or 0) for tp in sought}
        await self.seek_wait(targets)
        for tp, offset in targets.items():
            self._read_offset[tp] = offset - 1 if offset else None
        self._sought = sought
        self.resume_partitions(sought)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Lets partitions flow, but for those that were not sought yet."""
        super().resume_partitions({tp for tp in tps if self._may_flow(tp)})

    def on_buffer_drop(self, tp: TP) -> None:
        """A full buffer has room again."""
        if self._may_flow(tp):
            super().on_buffer_drop(tp)
        else:
            self._buffered_partitions.discard(tp)

    def _set_active_tps(self, tps: set[TP]) -> set[TP]:
        return super()._set_active_tps({tp for tp in tps if self._may_flow(tp)})

    def _may_flow(self, tp: TP) -> bool:
        return tp.topic != self.app.sought_topic or tp in self._sought

    @property
    def has_thread(self) -> bool:
        """Whether the client beneath runs, so that it can be asked."""
        return self._thread._consumer is not None

    def polled_ms(self, partitions: set[TP]) -> int:
        """When the broker last answered a fetch of any of them (milliseconds since the epoch); 0 if it never did."""
        consumer: Any = self._thread._ensure_consumer()
        return max((int(consumer.last_poll_timestamp(tp) or 0) for tp in partitions), default=0)

    async def unread(self, partitions: set[TP]) -> set[TP]:
        """Partitions that have committed records beyond what was fetched."""
        consumer: Any = self._thread._ensure_consumer()
        positions = {tp: await self.position(tp) or 0 for tp in partitions}
        return {tp for tp, position in positions.items() if position < (consumer.last_stable_offset(tp) or 0)}

    def delivered(self, partitions: set[TP]) -> dict[TP, int]:
        """The last offset that was handed to the app, of partitions that have one."""
        return {tp: offset for tp in partitions if (offset := self._read_offset[tp]) is not None}


class CommittedTransport(driver.Transport):
    """Faust's aiokafka transport with `CommittedConsumer`."""

    Consumer = CommittedConsumer
