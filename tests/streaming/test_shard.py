"""A shard, without Kafka: wherever it is stopped and restarted, the same panes close with the same records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.config.commands import Command
from stream_monitor.config.sensitivity import Sensitivity
from stream_monitor.errors import FormatError
from stream_monitor.streaming.monitoring import Message, Order, Situation, Step
from stream_monitor.streaming.shard import Shard
from stream_monitor.streaming.state_table import PartitionRecord, TopicRecord
from tests.streaming.ledger_monitor import LedgerDelta, ledger_factory

SITUATION = Situation(Sensitivity.of(None, None))


class Disk:
    """What was saved."""

    def __init__(self) -> None:
        self.partition: PartitionRecord | None = None
        self.topics: dict[str, TopicRecord] = {}

    def shard(self) -> Shard:
        return Shard(0, ledger_factory(), saved=self.partition, load=self.topics.get)

    def save(self, shard: Shard, topic: str) -> None:
        self.topics[topic] = shard.record(topic)
        self.partition = shard.partition_record()


@dataclasses.dataclass(frozen=True)
class Line:
    """One message of the log."""

    topic: str
    message: Message


def live(offset: int, delta: LedgerDelta) -> Line:
    return Line(delta.topic, Message(offset, delta.to_bytes()))


def run(
    log: list[Line], deaths: Iterable[tuple[int, bool]], orders: dict[int, Order] | None = None
) -> dict[tuple[str, int], set[tuple[int, float, int]]]:
    """What was said of every (topic, pane), when the worker dies at some positions: after publishing, before or after saving."""
    disk, said = Disk(), {}
    pending = list(deaths)
    shard, position = disk.shard(), 0
    given: list[Order] = []
    while position < len(log):
        line = log[position]
        if orders and position in orders and orders[position] not in given:
            given.append(orders[position])
        if line.message.offset < shard.next_offset:
            position += 1
            continue
        shard.open(line.topic)
        step = shard.take(line.topic, line.message, dataclasses.replace(SITUATION, orders=tuple(given)))
        for verdict in step.outcome.verdicts if step.outcome else ():
            said.setdefault((verdict.topic, verdict.start_ms), set()).add((verdict.records, verdict.metrics[0].value, verdict.reference))
        dies = next((death for death in pending if death[0] == position), None)
        if step.save and not (dies and not dies[1]):
            disk.save(shard, line.topic)
        position += 1
        if dies:
            pending.remove(dies)
            shard, position = disk.shard(), 0
            start = shard.start_offset or 0
            while position < len(log) and log[position].message.offset < start:
                position += 1
    return said


@st.composite
def logs(draw: st.DrawFn) -> list[Line]:
    """Deltas of three topics in any order of panes, with watermarks that rise and offsets with holes, as transactions leave them."""
    offset, log = 0, []
    watermarks = {"a": 0, "b": 0, "c": 0}
    for number in range(draw(st.integers(5, 40))):
        topic = draw(st.sampled_from("abc"))
        watermarks[topic] += draw(st.integers(0, 900))
        pane = max(0, watermarks[topic] // 1000 + draw(st.integers(-1, 2))) * 1000
        offset += draw(st.integers(1, 3))
        log.append(live(offset, LedgerDelta(topic, pane, (number + 1000,), watermarks[topic])))
    return log


@settings(max_examples=150, deadline=None)
@given(logs(), st.lists(st.tuples(st.integers(0, 39), st.booleans()), max_size=4))
def test_a_worker_may_die_anywhere_and_says_the_same(log: list[Line], deaths: list[tuple[int, bool]]) -> None:
    assert run(log, deaths) == run(log, ())


@settings(max_examples=80, deadline=None)
@given(logs(), st.lists(st.tuples(st.integers(0, 39), st.booleans()), max_size=3), st.integers(0, 10))
def test_commands_between_the_deltas_change_nothing_of_that(log: list[Line], deaths: list[tuple[int, bool]], at: int) -> None:
    orders = {at: Order(0, Command(do="reset")), at + 5: Order(1, Command(do="export"))}
    assert run(log, deaths, orders) == run(log, (), orders)


def take(shard: Shard, line: Line, *orders: Order) -> Step:
    shard.open(line.topic)
    return shard.take(line.topic, line.message, dataclasses.replace(SITUATION, orders=orders))


def test_a_command_is_carried_out_once_and_saved() -> None:
    disk = Disk()
    shard = disk.shard()
    order = Order(7, Command(do="reset"))
    step = take(shard, live(0, LedgerDelta("a", 0, (1,), 500)), order)
    assert [offset for offset, _ in step.answers] == [7]
    assert step.save
    disk.save(shard, "a")
    assert take(shard, live(1, LedgerDelta("a", 0, (2,), 500)), order).answers == ()
    assert take(disk.shard(), live(0, LedgerDelta("a", 0, (1,), 500)), order).answers == ()


def test_a_command_that_was_refused_while_the_topic_was_unknown_is_not_carried_out_later() -> None:
    shard = Disk().shard()
    shard.skip_orders("a", 7)
    step = take(shard, live(0, LedgerDelta("a", 0, (1,), 500)), Order(7, Command(do="reset")), Order(8, None, "what?"))
    assert step.answers == ((8, ({"event": "command.rejected", "message": "what?"},)),)


def test_reading_starts_at_the_oldest_open_pane_of_any_topic() -> None:
    disk = Disk()
    shard = disk.shard()
    take(shard, live(10, LedgerDelta("a", 0, (1,), 500)))
    take(shard, live(11, LedgerDelta("b", 0, (2,), 500)))
    take(shard, live(12, LedgerDelta("a", 1000, (3,), 1500)))
    disk.save(shard, "a")
    assert disk.partition == PartitionRecord(11, -1)
    assert disk.topics["a"].open_from_ms == 1000


def test_a_chunk_whose_rest_has_not_come_is_read_again() -> None:
    shard = Disk().shard()
    take(shard, Line("a", Message(3, b"half")))
    assert shard.partition_record().needed_offset == 3
    take(shard, live(4, LedgerDelta("a", 0, (1,), 500)))
    assert shard.partition_record().needed_offset == 3
    take(shard, live(5, LedgerDelta("a", 1000, (1,), 1500)))
    assert shard.partition_record().needed_offset == 5


def history(offset: int, run_id: str, *records: int) -> Line:
    if not records:
        return Line("a", Message(offset, b"{}", 0, "backfill-end", run_id))
    return Line("a", Message(offset, LedgerDelta("a", 0, records, 0).to_bytes(), 0, "backfill", run_id))


def test_a_cold_start_that_was_cut_by_a_restart_is_read_again_and_one_that_ended_is_not() -> None:
    disk = Disk()
    shard = disk.shard()
    take(shard, history(1, "r1", 1, 2))
    take(shard, live(2, LedgerDelta("a", 0, (1,), 500)))
    take(shard, live(3, LedgerDelta("a", 1000, (1,), 1500)))
    disk.save(shard, "a")
    assert disk.partition == PartitionRecord(1, -1)
    shard = disk.shard()
    for line in (history(1, "r1", 1, 2), live(2, LedgerDelta("a", 0, (1,), 500)), live(3, LedgerDelta("a", 1000, (1,), 1500))):
        assert not take(shard, line).save
    step = take(shard, history(4, "r1"))
    assert [said["message"] for said in step.statuses] == ["[1, 2]"]
    assert step.save
    disk.save(shard, "a")
    assert disk.partition == PartitionRecord(3, -1)
    assert take(disk.shard(), history(4, "r1")).statuses == ()


def test_a_delta_under_the_key_of_another_topic_and_garbage_are_refused() -> None:
    shard = Disk().shard()
    shard.open("a")
    wrong = shard.take("a", live(0, LedgerDelta("b", 0, (1,), 500)).message, SITUATION)
    garbage = shard.take("a", Message(1, b"\xff\x00"), SITUATION)
    unknown = shard.take("a", Message(2, b"", 0, "of-a-newer-version"), SITUATION)
    assert isinstance(wrong.refused, FormatError)
    assert isinstance(garbage.refused, FormatError)
    assert unknown == Step()


def test_a_fault_in_the_judging_counts_the_delta_as_taken() -> None:
    shard = Disk().shard()
    with pytest.raises(RuntimeError):
        take(shard, live(4, LedgerDelta("a", 0, (666,), 500)))
    assert shard.next_offset == 5


def test_state_saved_while_catching_up_promises_no_pane_that_was_not_read_again() -> None:
    log = [
        live(1, LedgerDelta("a", 0, (1,), 500)),
        live(2, LedgerDelta("a", 2000, (2,), 500)),
        live(3, LedgerDelta("a", 1000, (3,), 500)),
        live(4, LedgerDelta("a", 1000, (), 1500)),
    ]
    disk = Disk()
    shard = disk.shard()
    for line in log:
        step = take(shard, line)
    assert step.save
    disk.save(shard, "a")
    shard = disk.shard()
    assert shard.start_offset == 2
    assert take(shard, log[1], Order(0, Command(do="reset"))).save
    disk.save(shard, "a")
    assert disk.topics["a"].open_from_ms == 1000
    shard = disk.shard()
    for line in log[1:]:
        take(shard, line)
    step = take(shard, live(5, LedgerDelta("a", 2000, (), 3500)))
    assert step.outcome is not None
    assert [(verdict.start_ms, verdict.records) for verdict in step.outcome.verdicts] == [(1000, 1), (2000, 1)]
