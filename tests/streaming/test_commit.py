from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_monitor.clock import ManualClock
from stream_monitor.streaming.commit import AtLeastOnce, ExactlyOnce, FencedError, FlushAbortedError, OutgoingMessage

MESSAGES = [OutgoingMessage("p.profiles", b"orders", b"delta", (("kind", b"delta"),))]
OFFSETS = [TopicPartition("orders", 0, 7, "clock")]


def failure(code: int = KafkaError._TIMED_OUT, **flags: bool) -> KafkaException:
    return KafkaException(KafkaError(code, "said the broker", **flags))


class FakeKafka:
    """A producer and a consumer in one, that write down what is asked of them; `fails` are the failures of each call, in order."""

    def __init__(self, **fails: list[Exception]) -> None:
        self.calls: list[str] = []
        self.fails = fails
        self.clock = ManualClock()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.clock.advance(1.0)
        if self.fails.get(name):
            raise self.fails[name].pop(0)

    def produce(self, topic: str, *, on_delivery: Any = None, **_: Any) -> None:
        self._call(f"produce {topic}")

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any, **__: Any) -> Any:
            self._call(name)
            return 0 if name == "flush" else None

        return call


def exactly_once(kafka: FakeKafka) -> ExactlyOnce:
    return ExactlyOnce(lambda: kafka, kafka, timeout_s=8.0, monotonic=kafka.clock.monotonic)  # type: ignore[arg-type]


def test_a_flush_is_one_transaction_in_the_order_of_the_protocol() -> None:
    kafka = FakeKafka()
    exactly_once(kafka).commit(MESSAGES, OFFSETS)
    assert [call for call in kafka.calls if call != "poll"] == [
        "init_transactions",
        "begin_transaction",
        "produce p.profiles",
        "consumer_group_metadata",
        "send_offsets_to_transaction",
        "commit_transaction",
    ]


def test_a_retriable_error_is_tried_again() -> None:
    kafka = FakeKafka(commit_transaction=[failure(retriable=True), failure(retriable=True)])
    exactly_once(kafka).commit(MESSAGES, OFFSETS)
    assert kafka.calls.count("commit_transaction") == 3
    assert "abort_transaction" not in kafka.calls


def test_a_refusal_by_the_group_aborts_and_asks_for_a_rewind() -> None:
    kafka = FakeKafka(send_offsets_to_transaction=[failure(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)])
    with pytest.raises(FlushAbortedError, match="add the offsets"):
        exactly_once(kafka).commit(MESSAGES, OFFSETS)
    assert kafka.calls[-1] == "abort_transaction"
    assert "commit_transaction" not in kafka.calls


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_when_time_runs_out_the_next_flush_has_a_new_producer(call: str) -> None:
    kafka = FakeKafka(**{call: [failure(retriable=True) for _ in range(9)]})
    protocol = exactly_once(kafka)
    with pytest.raises(FlushAbortedError):
        protocol.commit(MESSAGES, OFFSETS)
    assert kafka.clock.monotonic() < 20
    assert "abort_transaction" not in kafka.calls
    kafka.fails.clear()
    protocol.commit(MESSAGES, OFFSETS)
    assert kafka.calls.count("init_transactions") == 2


@pytest.mark.parametrize(
    "error", [failure(KafkaError._FENCED, fatal=True), failure(KafkaError.PRODUCER_FENCED), failure(KafkaError._STATE)]
)
def test_a_fenced_or_broken_producer_ends_the_process_without_an_abort(error: KafkaException) -> None:
    kafka = FakeKafka(commit_transaction=[error])
    with pytest.raises(FencedError):
        exactly_once(kafka).commit(MESSAGES, OFFSETS)
    assert "abort_transaction" not in kafka.calls


def test_a_transaction_that_can_not_be_aborted_is_ended_by_a_new_producer() -> None:
    refused = failure(KafkaError.UNKNOWN_MEMBER_ID, txn_requires_abort=True)
    kafka = FakeKafka(send_offsets_to_transaction=[refused], abort_transaction=[failure(txn_requires_abort=True)])
    protocol = exactly_once(kafka)
    with pytest.raises(FlushAbortedError):
        protocol.commit(MESSAGES, OFFSETS)
    protocol.start()
    assert kafka.calls.count("init_transactions") == 2


def test_a_missing_permission_is_named() -> None:
    kafka = FakeKafka(init_transactions=[failure(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)])
    with pytest.raises(FencedError, match="transactional id"):
        exactly_once(kafka).start()


def test_at_least_once_commits_offsets_after_every_message_was_acknowledged() -> None:
    kafka = FakeKafka()
    AtLeastOnce(kafka, kafka, monotonic=kafka.clock.monotonic).commit(MESSAGES, OFFSETS)  # type: ignore[arg-type]
    assert [call for call in kafka.calls if call != "poll"] == ["produce p.profiles", "flush", "commit"]


def test_at_least_once_commits_nothing_when_messages_were_not_acknowledged() -> None:
    kafka = FakeKafka()
    kafka.flush = lambda *_: 1  # type: ignore[attr-defined]
    with pytest.raises(FlushAbortedError, match="not acknowledged"):
        AtLeastOnce(kafka, kafka, monotonic=kafka.clock.monotonic).commit(MESSAGES, OFFSETS)  # type: ignore[arg-type]
    assert "commit" not in kafka.calls


def test_a_full_queue_is_waited_for() -> None:
    kafka = FakeKafka(**{"produce p.profiles": [BufferError(), BufferError()]})
    exactly_once(kafka).commit(MESSAGES, OFFSETS)
    assert kafka.calls.count("produce p.profiles") == 3
