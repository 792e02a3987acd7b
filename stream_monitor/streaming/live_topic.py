"""A compacted one-partition topic as a live read-only mapping.

Config and references are such topics. Every process that needs them has its own `LiveTopic`: a thread with a consumer that has no
group, reads the partition from its beginning and never stops. An update is in the mapping within the broker's fetch wait (100 ms here)
of its commit, on every worker.

One partition, because the partitioners of the usual clients disagree on most keys: with more, the old value of a key could survive in
another partition. Read committed, so that half a transaction is never seen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_monitor.errors import BrokerError, FormatError, StreamMonitorError
from stream_monitor.events import get_logger
from stream_monitor.streaming.chunks import ChunkAssembler, base_key
from stream_monitor.streaming.clients import describe_error

_log = get_logger(__name__)

V = TypeVar("V")


class LiveTopic(Mapping[str, V], Generic[V]):
    """The last value of every key of a topic, decoded. Reads take no lock; the mapping a reader iterates over never changes under it.

    Args:
        consumer_config: librdkafka settings (`clients.reader_config`); end-of-partition events are switched on here.
        topic: has one partition, which is read from the beginning.
        decode: bytes of a value -> V. May raise `StreamMonitorError`: the value is refused and the previous one stays in force.
        on_change: called on the reading thread with (key, new value or None if removed, offset), after the mapping has it.
        on_reject: called on the reading thread with (key, error, offset) for a refused value.
        chunked: values are in the chunks of `chunks.split`.

    Memory: all values, decoded. The topic is expected to be small (thousands of keys).
    """

    def __init__(
        self,
        consumer_config: Mapping[str, Any],
        topic: str,
        decode: Callable[[bytes], V],
        *,
        on_change: Callable[[str, V | None, int], None] | None = None,
        on_reject: Callable[[str, StreamMonitorError, int], None] | None = None,
        chunked: bool = False,
    ) -> None:
        self.topic = topic
        self._config = {**consumer_config, "enable.partition.eof": True, "auto.offset.reset": "earliest"}
        self._decode = decode
        self._on_change = on_change
        self._on_reject = on_reject
        self._assembler = ChunkAssembler() if chunked else None
        self._entries: dict[str, tuple[V, int]] = {}
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._failure: BrokerError | None = None
        self._trouble: KafkaError | None = None
        self._next_offset = 0
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"live-topic-{topic}", daemon=True)

    # -- life ---------------------------------------------------------------------------------------------------------
    def start(self) -> LiveTopic[V]:
        """Starts reading; returns at once."""
        self._thread.start()
        return self

    def wait_ready(self, timeout: float) -> None:
        """Waits until all that was in the topic at the start is in the mapping; `BrokerError` if that takes over `timeout` s."""
        deadline = time.monotonic() + timeout
        while not self._ready.wait(min(0.1, max(0.0, deadline - time.monotonic()))):
            self.check()
            if time.monotonic() >= deadline:
                seen = f": {describe_error(self._trouble)}" if self._trouble is not None else ""
                raise BrokerError(f"the topic {self.topic} could not be read to its end in {timeout:g} s{seen}")

    def wait_offset(self, offset: int, timeout: float) -> bool:
        """Waits until the message at `offset` has been taken in; False if that did not happen in `timeout` s."""
        with self._progress:
            return self._progress.wait_for(lambda: self._next_offset > offset, timeout)

    def check(self) -> None:
        """Raises `BrokerError` if reading has ended for good."""
        if self._failure is not None:
            raise self._failure

    def close(self, timeout: float = 5.0) -> None:
        """Stops reading; the mapping stays as it is. Takes at most `timeout` s."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def __enter__(self) -> LiveTopic[V]:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- mapping ------------------------------------------------------------------------------------------------------
    def __getitem__(self, key: str) -> V:
        return self._entries[key][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def offset(self, key: str) -> int | None:
        """Offset of the value in force for a key, None if there is none."""
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    # -- reading ------------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            consumer = Consumer(self._config)
            consumer.assign([TopicPartition(self.topic, 0, OFFSET_BEGINNING)])
        except KafkaException as error:
            self._failure = BrokerError(f"the topic {self.topic} can't be read: {error}")
            return
        try:
            while not self._stop.is_set():
                for message in consumer.consume(500, timeout=0.1):
                    self._take(message)
        except Exception as error:  # noqa: BLE001 - a thread that ends silently would leave stale values in force
            _log.exception("live_topic.stopped", topic=self.topic)
            self._failure = BrokerError(f"reading {self.topic} stopped: {error}")
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._update(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._trouble = None
            self._ready.set()
        elif error.fatal():
            raise KafkaException(error)
        else:  # librdkafka goes on trying; wait_ready tells what it ran into
            self._trouble = error
            _log.warning("live_topic.troubled", topic=self.topic, error=describe_error(error))

    def _update(self, message: Message) -> None:
        offset = message.offset()
        assert offset is not None
        key = (message.key() or b"").decode("utf-8", "replace")
        try:
            self._apply(key, message.value(), offset)
        except StreamMonitorError as error:
            self._reject(base_key(key) if self._assembler else key, error, offset)
        except Exception as error:  # noqa: BLE001 - a decoder's mistake must not stop the thread
            _log.exception("live_topic.value_refused", topic=self.topic, key=key, offset=offset)
            self._reject(key, FormatError(f"{type(error).__name__}: {error}"), offset)
        with self._progress:
            self._next_offset = offset + 1
            self._progress.notify_all()

    def _apply(self, key: str, raw: bytes | None, offset: int) -> None:
        if raw is None:
            self._remove(key, offset)
            return
        if self._assembler is not None:
            whole = self._assembler.add(key, raw)
            if whole is None:
                return
            key, raw = whole
        value = self._decode(raw)
        self._entries = {**self._entries, key: (value, offset)}
        self._notify(key, value, offset)

    def _remove(self, key: str, offset: int) -> None:
        if self._assembler is not None:
            if base_key(key) != key:
                return  # the tombstone of a surplus chunk
            self._assembler.drop(key)
        if key in self._entries:
            self._entries = {other: entry for other, entry in self._entries.items() if other != key}
        self._notify(key, None, offset)

    def _notify(self, key: str, value: V | None, offset: int) -> None:
        if self._on_change is not None:
            self._on_change(key, value, offset)

    def _reject(self, key: str, error: StreamMonitorError, offset: int) -> None:
        _log.warning("live_topic.value_refused", topic=self.topic, key=key, offset=offset, error=str(error))
        if self._on_reject is not None:
            self._on_reject(key, error, offset)
