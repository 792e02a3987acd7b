"""Asks the group where partitions were left, and decides where new ones start (see `positions`)."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from stream_monitor.config.settings import Settings
from stream_monitor.errors import BrokerError
from stream_monitor.events import get_logger
from stream_monitor.streaming.clients import describe_error
from stream_monitor.streaming.positions import Position, choose_start, read_position

_log = get_logger(__name__)
_TIMEOUT_S = 15.0


def find_positions(consumer: Consumer, settings: Settings, topic: str, assigned: Sequence[int]) -> tuple[int, dict[int, Position]]:
    """Partition count of `topic`, and the position of each partition in `assigned`.

    Positions of partitions that had none are committed here and now: else a crash before the first flush would start them elsewhere, and
    what came in between would be lost. Raises `BrokerError`. Cost: one request a topic, one more a partition that is new.
    """
    try:
        partitions = _partition_count(consumer, topic, assigned)
        committed = _committed(consumer, topic, partitions)
        positions, new = {}, []
        for partition in assigned:
            if partition in committed:
                positions[partition] = committed[partition]
                continue
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S)
            start = choose_start(
                partition, committed, partitions=partitions, low=low, high=high, start_from=settings.start_from,
                cold_start=settings.cold_start != "none",
            )  # fmt: skip
            positions[partition] = start.position
            new.append(TopicPartition(topic, partition, start.position.offset, start.position.metadata()))
        _commit(consumer, new)
    except KafkaException as error:
        raise BrokerError(f"the positions of {topic} can't be read from the group: {describe_error(error.args[0])}") from error
    return partitions, positions


def _partition_count(consumer: Consumer, topic: str, assigned: Sequence[int]) -> int:
    described = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
    return max([len(described.partitions), *(partition + 1 for partition in assigned)])


def _committed(consumer: Consumer, topic: str, partitions: int) -> dict[int, Position]:
    asked = [TopicPartition(topic, partition) for partition in range(partitions)]
    answered = consumer.committed(asked, timeout=_TIMEOUT_S)
    failed = [part for part in answered if part.error is not None]
    if failed:
        raise KafkaException(failed[0].error)
    return {part.partition: read_position(part.offset, part.metadata, partitions) for part in answered if part.offset >= 0}


def _commit(consumer: Consumer, new: list[TopicPartition]) -> None:
    if not new:
        return
    _log.info("profiler.positions_started", topic=new[0].topic, offsets={part.partition: part.offset for part in new})
    try:
        consumer.commit(offsets=new, asynchronous=False)
    except KafkaException as error:  # the first flush commits them too; until then a crash would start elsewhere
        _log.warning("profiler.start_not_committed", topic=new[0].topic, error=describe_error(error.args[0]))
