"""The commit protocol: how what a profiler read and what it made of it become durable together.

A flush is a list of messages (deltas, status events) and the source offsets that they cover. Two protocols carry it:

* `ExactlyOnce`, when the monitored topics are on our own cluster: messages and offsets in one Kafka transaction.
* `AtLeastOnce`, when they are on another cluster: messages first, offsets after. A crash between the two repeats messages;
  their offset ranges tell the detector, which refuses and reports the overlap.

Both raise `FlushAbortedError` when nothing became visible and the reader must go back to its last committed offsets, and `FencedError` when
this process must not go on at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from stream_monitor.errors import BrokerError


class FlushAbortedError(BrokerError):
    """The flush did not happen: nothing of it is visible. Rewind to the last committed offsets and read again."""


class FencedError(BrokerError):
    """The process was replaced, or its producer is broken for good: it must exit, so that another starts afresh."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message of a flush."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class CommitProtocol(Protocol):
    """What a profiler needs of either protocol."""

    def start(self) -> None:
        """Claims the identity of this worker unless it has it; to be called before committed offsets are asked for."""

    def commit(self, messages: Sequence[OutgoingMessage], offsets: Sequence[TopicPartition]) -> None:
        """Makes messages and offsets durable, within the time limit, or raises `FlushAbortedError` or `FencedError`."""


class ExactlyOnce:
    """Messages and offsets in one transaction of a producer with a stable `transactional.id`.

    Cost: two round trips to the transaction coordinator and one to the group coordinator, about 5-20 ms a flush.
    `timeout_s` bounds one `commit`; it must be below the producer's `transaction.timeout.ms`, after which the broker aborts by itself.
    """

    def __init__(
        self,
        make_producer: Callable[[], Producer],
        consumer: Consumer,
        *,
        timeout_s: float = 8.0,
        start_timeout_s: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_producer = make_producer
        self._producer: Producer | None = None
        self._consumer = consumer
        self._timeout_s = timeout_s
        self._start_timeout_s = start_timeout_s
        self._monotonic = monotonic

    def start(self) -> None:
        """Claims our identity, if that is not done: fences an earlier producer with the same `transactional.id` and ends what it left open.

        Waits up to a minute, then raises `FlushAbortedError`: the broker may still be timing out the transaction of a process that died.
        """
        if self._producer is not None:
            return
        producer = self._make_producer()
        deadline = self._monotonic() + self._start_timeout_s
        self._call(lambda: producer.init_transactions(_left(deadline, self._monotonic)), deadline, "start transactions")
        self._producer = producer

    def commit(self, messages: Sequence[OutgoingMessage], offsets: Sequence[TopicPartition]) -> None:
        """The protocol. The order is the guarantee:

        1. begin a transaction;
        2. produce every message of the flush into it;
        3. add the source offsets with their metadata (the clocks of the partitions) and the consumer's group metadata: the group
           coordinator refuses them if this member was replaced (a zombie), and the transaction then can't commit;
        4. commit: waits until every message is acknowledged, then messages and offsets become visible at once.

        An error in any step:
        - retriable: the same call again, until `timeout_s` has passed;
        - refused by the group: abort the transaction, raise `FlushAbortedError`; the caller forgets what it holds and rewinds;
        - time ran out, or anything else that needs an abort: the same, but instead of aborting, the next `start` makes a new producer.
          That ends the transaction too, and a producer that saw its broker die was seen to hang in step 3 for ever;
        - fatal or fenced: raise `FencedError`; another process has our identity, the caller exits.
        """
        self.start()
        assert self._producer is not None
        try:
            self._transact(self._producer, messages, offsets, self._monotonic() + self._timeout_s)
        except _RefusedByGroupError:
            self._abort(self._producer)
            raise
        except FlushAbortedError:
            self._producer = None
            raise

    def _transact(
        self, producer: Producer, messages: Sequence[OutgoingMessage], offsets: Sequence[TopicPartition], deadline: float
    ) -> None:
        def send_offsets() -> None:
            group = self._consumer.consumer_group_metadata()
            producer.send_offsets_to_transaction(list(offsets), group, _left(deadline, self._monotonic))

        self._call(producer.begin_transaction, deadline, "begin a transaction")
        for message in messages:
            produce(producer, message, deadline, self._monotonic)
        if offsets:
            self._call(send_offsets, deadline, "add the offsets to the transaction")
        self._call(lambda: producer.commit_transaction(_left(deadline, self._monotonic)), deadline, "commit the transaction")

    def _abort(self, producer: Producer) -> None:
        """Aborts; has its own time limit, because the flush's may have run out by now."""
        deadline = self._monotonic() + self._timeout_s
        try:
            self._call(lambda: producer.abort_transaction(_left(deadline, self._monotonic)), deadline, "abort the transaction")
        except FlushAbortedError:
            self._producer = None

    def _call(self, step: Callable[[], None], deadline: float, what: str) -> None:
        """Runs a step of the protocol, again while it fails retriably and there is time."""
        while True:
            try:
                return step()
            except KafkaException as error:
                failure = kafka_error(error)
                text = f"could not {what}: {failure.str()}"
                if failure.fatal() or failure.code() in _FENCED:
                    raise FencedError(f"{text}; another process took over, or the broker refused for good") from error
                if not failure.retriable() and not failure.txn_requires_abort():
                    raise FencedError(f"{text}{_hint(failure)}") from error
                if failure.code() in _GROUP_REFUSALS:
                    raise _RefusedByGroupError(text) from error
                if failure.txn_requires_abort() or self._monotonic() >= deadline:
                    raise FlushAbortedError(text) from error
            time.sleep(0.05)


class _RefusedByGroupError(FlushAbortedError):
    """This member is not what it was in the group; the producer is fine."""


class AtLeastOnce:
    """Messages, then offsets: for monitored topics on a cluster that ours can't share a transaction with.

    `producer` is idempotent and writes to our cluster, `consumer` commits to the monitored one.
    """

    def __init__(
        self, producer: Producer, consumer: Consumer, *, timeout_s: float = 8.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._producer = producer
        self._consumer = consumer
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._refused: list[str] = []

    def start(self) -> None:
        """Nothing to claim: the group alone says who reads what."""

    def commit(self, messages: Sequence[OutgoingMessage], offsets: Sequence[TopicPartition]) -> None:
        """The order is the guarantee:

        1. produce every message;
        2. wait until all of them are acknowledged;
        3. only then commit the source offsets, synchronously.

        An error in 1 or 2 raises `FlushAbortedError`: part of the messages may be visible, and reading again repeats them. An error in 3
        because this member was replaced does too: the new owner repeats the range.
        """
        deadline = self._monotonic() + self._timeout_s
        self._refused.clear()
        for message in messages:
            produce(self._producer, message, deadline, self._monotonic, self._delivered)
        waiting = self._producer.flush(_left(deadline, self._monotonic))
        if waiting or self._refused:
            self._producer.purge()
            reason = self._refused[0] if self._refused else f"{waiting} not acknowledged in {self._timeout_s:g} s"
            raise FlushAbortedError(f"could not produce {len(messages)} messages: {reason}")
        self._commit_offsets(offsets)

    def _commit_offsets(self, offsets: Sequence[TopicPartition]) -> None:
        if not offsets:
            return
        try:
            done = self._consumer.commit(offsets=list(offsets), asynchronous=False)
        except KafkaException as error:
            raise FlushAbortedError(f"could not commit offsets: {kafka_error(error).str()}") from error
        refused = [part for part in done or [] if part.error is not None]
        if refused:
            raise FlushAbortedError(f"could not commit offsets of {refused[0].topic}[{refused[0].partition}]: {refused[0].error}")

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._refused.append(error.str())


def produce(
    producer: Producer,
    message: OutgoingMessage,
    deadline: float,
    monotonic: Callable[[], float] = time.monotonic,
    on_delivery: Callable[[KafkaError | None, Any], None] | None = None,
) -> None:
    """Queues one message, waiting for room until the deadline; `FlushAbortedError` after that, or when a limit refuses it."""
    while True:
        try:
            producer.produce(message.topic, key=message.key, value=message.value, headers=list(message.headers), on_delivery=on_delivery)
        except BufferError as error:
            if monotonic() >= deadline:
                raise FlushAbortedError(f"the producer's queue stayed full: {message.topic} takes no messages") from error
            producer.poll(0.1)
        except KafkaException as error:
            failure = kafka_error(error)
            if failure.fatal():
                raise FencedError(f"could not produce to {message.topic}: {failure.str()}") from error
            raise FlushAbortedError(f"could not produce {len(message.value)} bytes to {message.topic}: {failure.str()}") from error
        else:
            producer.poll(0)
            return


def kafka_error(error: KafkaException) -> KafkaError:
    """The `KafkaError` inside an exception."""
    inner = error.args[0] if error.args else None
    return inner if isinstance(inner, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


_FENCED = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL}
)

_GROUP_REFUSALS = frozenset({KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS})


def _hint(failure: KafkaError) -> str:
    if failure.code() in (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED):
        return "; allow this user to Write and Describe the transactional id"
    if failure.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
        return "; allow this user to Read the group and Write the stream-monitor topics"
    return ""


def _left(deadline: float, monotonic: Callable[[], float]) -> float:
    """Seconds until the deadline, never quite zero: librdkafka takes 0 as "do not wait at all"."""
    return max(0.1, deadline - monotonic())
