"""The detector: a Faust app that merges deltas into panes, judges the windows that close, and says what it found.

One delta at a time, in the order of its partition, and for each of them in this order:

1. merge it, and judge what can close (in a thread, so that heartbeats to the broker go on);
2. publish verdicts, alerts, references and statuses, and wait until the broker has them;
3. write the state, and wait until the changelog has it;
4. let the offset go.

A worker that dies anywhere in between repeats from the last state, with the same ids. The group's offsets decide nothing: reading
starts where the state says (`shard`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from faust.types import TP, EventT

from stream_monitor.clock import Clock
from stream_monitor.config.settings import Settings
from stream_monitor.config.status import StatusEvent, StatusKind
from stream_monitor.errors import BrokerError, FormatError, StreamMonitorError
from stream_monitor.events import get_logger
from stream_monitor.streaming import monitoring, publishing
from stream_monitor.streaming.delta_messages import MessageKind
from stream_monitor.streaming.inbox import Inbox, Letter, profiles_partition
from stream_monitor.streaming.monitoring import Factory, Order, Situation, Step
from stream_monitor.streaming.publishing import Publisher
from stream_monitor.streaming.shard import Shard
from stream_monitor.streaming.state_table import PartitionRecord, StateStore, TopicRecord

if TYPE_CHECKING:
    from stream_monitor.streaming.detector_app import DetectorApp

_log = get_logger(__name__)

TICK_S = 0.25
PAUSE_LIMIT_S = 10.0
"""The group's session time-out. A worker that was stopped for longer may have been replaced: it must not write state."""


STRAY_AFTER_S = 10.0
"""A command for a topic that is not heard of for this long is refused. Longer than profilers take to flush."""


class Detector:
    """What runs inside the app: one shard for each partition that this worker owns.

    All methods but the constructor run on the app's event loop; `take` and `start_offsets` exclude each other.
    """

    def __init__(
        self, app: DetectorApp, store: StateStore, inbox: Inbox, publisher: Publisher, factory: Factory, settings: Settings, clock: Clock
    ) -> None:
        self._app = app
        self._store = store
        self._inbox = inbox
        self._publisher = publisher
        self._factory = factory
        self._names = settings.names
        self._clock = clock
        self._source = f"detector@{settings.worker}"
        self._silence_s = 3 * settings.flush_seconds + 30.0
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._shards: dict[int, Shard] = {}
        self._seen_at: dict[str, float] = {}
        self._blind: set[str] = set()
        self._joined = False
        self._stray_offsets: dict[str, int] = {}
        self._ticked_at = clock.monotonic()
        self.handled = 0
        """Deltas taken, for the watchdog."""
        self._judging_since: float | None = None
        self.failure: BaseException | None = None
        """Why this worker must stop."""

    @property
    def partitions(self) -> tuple[int, ...]:
        """Partitions of the profiles topic that this worker owns."""
        return tuple(sorted(self._shards))

    async def start_offsets(self, assigned: set[TP]) -> dict[TP, int | None]:
        """Called when partitions are ours and their state is here: forgets what is in memory and says where to read again."""
        async with self._lock:
            old = self._shards
            saved = {tp.partition: self._store.partition(tp.partition) for tp in assigned}
            self._shards = {partition: self._shard(partition, record) for partition, record in saved.items()}
            for partition in old.keys() & self._shards.keys():
                self._shards[partition].config_offset = max(old[partition].config_offset, self._shards[partition].config_offset)
            now = self._clock.monotonic()
            known = {topic for partition in saved for topic in self._store.topics(partition)}
            self._seen_at = {topic: self._seen_at.get(topic, now) for topic in known}
            self._blind &= known
            self._joined = True
        _log.info("detector.assigned", partitions=self.partitions, topics=len(known))
        return {tp: self._shards[tp.partition].start_offset for tp in assigned}

    async def revoked(self, revoked: set[TP]) -> None:
        """Called when partitions are no longer ours."""
        gone = {tp.partition for tp in revoked if tp.topic == self._names.profiles}
        async with self._lock:
            self._shards = {partition: shard for partition, shard in self._shards.items() if partition not in gone}

    @property
    def judging_s(self) -> float:
        """For how long the judging thread has been at the delta in hand; 0 when it is at none."""
        return 0.0 if self._judging_since is None else self._clock.monotonic() - self._judging_since

    def untaken(self, delivered: Mapping[TP, int]) -> bool:
        """Whether something was delivered that was not taken yet."""
        return any(tp.partition in self._shards and offset >= self._shards[tp.partition].next_offset for tp, offset in delivered.items())

    async def take(self, event: EventT[Any]) -> None:
        """Takes one delta, or one chunk of it. After a failure nothing is taken any more: the worker ends and another goes on."""
        if self.failure is not None:
            return
        try:
            async with self._lock:
                await self._take(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, this worker must end
            await self.fail(error)

    async def fail(self, error: BaseException) -> None:
        """Ends this worker with exit code 1."""
        if self.failure is None:
            self.failure = error
            _log.error("detector.failed", error=str(error), exc_info=None if isinstance(error, StreamMonitorError) else error)
            await self._app.crash(error)

    def close(self) -> None:
        """Lets the judging thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    # -- one delta ----------------------------------------------------------------------------------------------------
    async def _take(self, event: EventT[Any]) -> None:
        message = event.message
        shard = self._shards.get(message.partition)
        if shard is None or message.offset < shard.next_offset:
            return  # of an assignment that is over, or repeated after a seek
        topic = (message.key or b"").decode("utf-8", "replace")
        self._judging_since = self._clock.monotonic()
        try:
            step = await self._run(self._judge, shard, topic, _message(event))
        finally:
            self._judging_since = None
        self.handled += 1
        self._seen(topic)
        messages = self._messages(topic, step, (message.topic, message.partition, message.offset))
        if not self._owns(message.tp):
            return  # the new owner judges it too, from the same deltas
        if messages:
            await self._publish(messages)
        if step.save:
            await self._save(shard, topic)

    def _judge(self, shard: Shard, topic: str, message: monitoring.Message) -> Step:
        """Runs on the judging thread. A fault in the judging of one topic must not blind the others: it costs one delta, and is told."""
        shard.open(topic)
        sensitivity, config_offset = self._inbox.sensitivity(topic)
        orders = tuple(Order(letter.offset, letter.command, str(letter.refused or "")) for letter in self._inbox.commands(topic))
        try:
            return shard.take(topic, message, Situation(sensitivity, config_offset, orders))
        except Exception as error:  # noqa: BLE001 - see above
            return Step(refused=error)

    async def _save(self, shard: Shard, topic: str) -> None:
        if self._clock.monotonic() - self._ticked_at > PAUSE_LIMIT_S:
            raise BrokerError(f"this worker stood still for more than {PAUSE_LIMIT_S:g} s and may have been replaced: it starts again")
        record: TopicRecord = await self._run(shard.record, topic)
        await self._store.save(shard.partition, {topic: record}, shard.partition_record())

    def _messages(self, topic: str, step: Step, position: tuple[str, int, int]) -> list[publishing.Message]:
        messages: list[publishing.Message] = []
        names = self._names
        if step.outcome is not None:
            messages += [publishing.verdict_message(names, verdict, step.config_offset) for verdict in step.outcome.verdicts]
            messages += [publishing.alert_message(names, change) for change in step.outcome.changes]
            if step.outcome.reference is not None:
                messages += publishing.reference_messages(names, topic, step.outcome.reference)
        messages += [self._said(topic, said) for said in step.statuses]
        messages += [self._said(topic, said, offset) for offset, answers in step.answers for said in answers]
        if (error := step.refused) is not None:
            unexpected = not isinstance(error, StreamMonitorError)
            _log.warning("delta.refused", topic=topic, position=position, error=str(error), exc_info=error if unexpected else None)
            messages.append(publishing.dead_letter(names, topic, position, error))
        return messages

    # -- what users said ----------------------------------------------------------------------------------------------
    async def keep_ticking(self) -> None:
        """Ticks until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_beating())
            while True:
                await asyncio.sleep(TICK_S)
                await self.tick()

    async def _keep_beating(self) -> None:
        """Notes that this process runs; `tick` waits while a window is judged, which may take long and is no standstill."""
        while True:
            self._ticked_at = self._clock.monotonic()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """Called a few times a second: says that it joined, answers documents and stray commands, tells which topics fell silent."""
        self._ticked_at = self._clock.monotonic()
        if self.failure is not None:
            return
        try:
            self._inbox.check()
            async with self._lock:
                answered = {partition: shard.config_offset for partition, shard in self._shards.items()}
                messages = [*self._announce(), *self._answer_documents(), *self._answer_strays(), *self._tell_silence()]
                records = {p: shard.partition_record() for p, shard in self._shards.items() if shard.config_offset != answered[p]}
                if messages:
                    await self._publish(messages)
                for partition, record in records.items():
                    await self._store.save(partition, {}, record)
        except Exception as error:  # noqa: BLE001 - whatever it is, this worker must end
            await self.fail(error)

    def _announce(self) -> list[publishing.Message]:
        """That this worker has joined, or what it judges now."""
        if not self._joined:
            return []
        self._joined = False
        text = f"judges partitions {list(self.partitions)} of {self._names.profiles}"
        return [publishing.status_message(self._names, self._event(StatusKind.JOINED, source=self._source, message=text))]

    def _answer_documents(self) -> list[publishing.Message]:
        messages = []
        for shard in self._shards.values():
            for letter in self._inbox.documents(after=shard.config_offset):
                if self._owner(letter.topic) == shard.partition:
                    messages.append(self._answer(StatusKind.CONFIG_ACCEPTED, StatusKind.CONFIG_REJECTED, letter))
                shard.config_offset = letter.offset
        return messages

    def _answer_strays(self) -> list[publishing.Message]:
        """Commands for topics that no profiler has been heard of for a while."""
        messages = []
        now = self._clock.monotonic()
        for topic in self._inbox.topics_with_commands():
            shard = self._shards.get(self._owner(topic))
            if shard is None or topic in self._seen_at:
                continue
            for letter in self._inbox.commands(topic):
                if letter.offset <= self._stray_offsets.get(topic, -1) or letter.came_at is None or now - letter.came_at < STRAY_AFTER_S:
                    continue
                self._stray_offsets[topic] = letter.offset
                shard.skip_orders(topic, letter.offset)
                error = letter.refused or FormatError(f"expected the name of a monitored topic, got {topic}: no profiler reads it")
                stray = Letter(topic, letter.offset, error)
                messages.append(self._answer(StatusKind.COMMAND_ACCEPTED, StatusKind.COMMAND_REJECTED, stray))
        return messages

    def _answer(self, accepted: StatusKind, rejected: StatusKind, letter: Letter) -> publishing.Message:
        kind = accepted if letter.refused is None else rejected
        text = "in force from the next window on" if letter.refused is None else str(letter.refused)
        event = self._event(kind, topic=letter.topic, source=self._source, offset=letter.offset, message=text)
        _log.info("document.answered", kind=str(kind), topic=letter.topic, offset=letter.offset)
        return publishing.status_message(self._names, event)

    # -- silence ------------------------------------------------------------------------------------------------------
    def _seen(self, topic: str) -> None:
        self._seen_at[topic] = self._clock.monotonic()
        self._blind.discard(topic)

    def _tell_silence(self) -> list[publishing.Message]:
        messages = []
        now = self._clock.monotonic()
        for topic, seen_at in self._seen_at.items():
            if topic in self._blind or now - seen_at <= self._silence_s:
                continue
            self._blind.add(topic)
            text = f"no profiler has sent anything of {topic} for {now - seen_at:.0f} s: its quality is not known"
            messages.append(publishing.status_message(self._names, self._event(StatusKind.BLIND, topic=topic, source=topic, message=text)))
        return messages

    # -- helpers ------------------------------------------------------------------------------------------------------
    def _shard(self, partition: int, saved: PartitionRecord | None) -> Shard:
        return Shard(partition, self._factory, saved=saved, load=lambda topic: self._store.load(partition, topic))

    def _owner(self, topic: str) -> int:
        return profiles_partition(topic, self._app.profile_partitions)

    def _owns(self, tp: TP) -> bool:
        return tp in self._app.consumer.assignment()

    def _said(self, topic: str, said: Mapping[str, Any], offset: int | None = None) -> publishing.Message:
        values = {"topic": topic, "source": topic, "offset": offset, **said}
        kind = values.pop("event")
        return publishing.status_message(self._names, self._event(kind, **values))

    def _event(self, kind: StatusKind | str, **values: Any) -> StatusEvent:
        return StatusEvent.at_ms(kind, self._clock.now_ms(), **values)

    async def _publish(self, messages: list[publishing.Message]) -> None:
        await self._run(self._publisher.publish, messages)

    async def _run(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def _message(event: EventT[Any]) -> monitoring.Message:
    message = event.message
    headers = {name: value.decode("utf-8", "replace") for name, value in dict(message.headers or ()).items()}
    kind, run = headers.get("kind", MessageKind.DELTA), headers.get("run", "")
    return monitoring.Message(message.offset, message.value or b"", round((message.timestamp or 0.0) * 1000), kind, run)
