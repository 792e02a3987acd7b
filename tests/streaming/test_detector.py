"""The detector without a broker: silence, stray commands, faults, and when a worker must not write."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stream_monitor.clock import ManualClock
from stream_monitor.config.commands import Command
from stream_monitor.config.sensitivity import Sensitivity
from stream_monitor.config.settings import Settings
from stream_monitor.errors import SensitivityError
from stream_monitor.streaming.detector import Detector
from stream_monitor.streaming.inbox import Letter, profiles_partition
from stream_monitor.streaming.publishing import Message
from tests.streaming.ledger_monitor import LedgerDelta, ledger_factory
from tests.streaming.test_state_table import DyingTable, store


class Inbox:
    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.answers: list[Letter] = []

    def check(self) -> None:
        pass

    def sensitivity(self, topic: str) -> tuple[Sensitivity, int | None]:
        return Sensitivity.of(None, None), None

    def documents(self, after: int) -> list[Letter]:
        return [letter for letter in self.letters if letter.offset > after]

    def commands(self, topic: str) -> list[Letter]:
        return [letter for letter in self.answers if letter.topic == topic]

    def topics_with_commands(self) -> list[str]:
        return sorted({letter.topic for letter in self.answers})


class World:
    """A detector that owns the one partition there is, on a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000_000)
        self.inbox = Inbox()
        self.published: list[Message] = []
        self.table = DyingTable()
        self.crashes: list[BaseException] = []
        self.assigned = True
        self.offset = -1
        app = SimpleNamespace(profile_partitions=1, consumer=SimpleNamespace(assignment=self._assignment), crash=self._crash)
        settings = Settings(prefix="p", worker="w", flush_seconds=5.0)
        publisher = SimpleNamespace(publish=self.published.extend)
        self.detector = Detector(
            cast(Any, app), store(self.table), cast(Any, self.inbox), cast(Any, publisher), ledger_factory(), settings, self.clock
        )

    async def begin(self) -> None:
        await self.detector.start_offsets(cast(Any, {TopicPartition(0)}))
        await self.detector.tick()

    async def deliver(self, delta: LedgerDelta | bytes, key: str = "orders") -> None:
        self.offset += 1
        value = delta if isinstance(delta, bytes) else delta.to_bytes()
        message = SimpleNamespace(
            topic="p.profiles", partition=0, offset=self.offset, key=key.encode(), value=value, headers=None, timestamp=1.0, tp="tp"
        )
        await self.detector.take(cast(Any, SimpleNamespace(message=message)))

    def statuses(self, event: str) -> list[dict[str, Any]]:
        said = [json.loads(message.value or b"") for message in self.published if message.topic == "p.status"]
        return [each for each in said if each["event"] == event]

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(message.value or b"") for message in self.published if message.topic == f"p.{topic}"]

    def _assignment(self) -> set[str]:
        return {"tp"} if self.assigned else set()

    async def _crash(self, error: BaseException) -> None:
        self.crashes.append(error)


class TopicPartition(SimpleNamespace):
    """Hashable by its partition."""

    def __init__(self, partition: int) -> None:
        super().__init__(topic="p.profiles", partition=partition)

    def __hash__(self) -> int:
        return int(self.partition)


def delta(pane: int, *records: int) -> LedgerDelta:
    return LedgerDelta("orders", 1000 * pane, records, 1000 * pane + 500)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.begin()
    return world


async def test_a_worker_says_that_it_joined(world: World) -> None:
    assert [event["source"] for event in world.statuses("joined")] == ["detector@w"]


async def test_verdicts_and_alerts_go_out_before_state_is_written(world: World) -> None:
    for pane in range(4):
        await world.deliver(delta(pane, 1))
    assert [document["window"]["records"] for document in world.of("verdicts")] == [1, 1, 1]
    assert len(world.of("alerts")) == 1
    world.table.writes_left = 0
    await world.deliver(delta(4, 1))
    assert len(world.of("verdicts")) == 4
    assert len(world.crashes) == 1
    await world.deliver(delta(5, 1))
    assert len(world.of("verdicts")) == 4, "after a failure nothing is taken any more"


async def test_silence_is_told_once_and_again_after_the_next_delta(world: World) -> None:
    await world.deliver(delta(0, 1))
    world.clock.advance(44)
    await world.detector.tick()
    assert world.statuses("blind") == []
    for _ in range(3):
        world.clock.advance(2)
        await world.detector.tick()
    assert [event["topic"] for event in world.statuses("blind")] == ["orders"]
    await world.deliver(delta(0, 1))
    world.clock.advance(46)
    await world.detector.tick()
    assert len(world.statuses("blind")) == 2


async def test_a_topic_whose_deltas_never_came_back_after_a_restart_is_blind_too(world: World) -> None:
    await world.deliver(delta(0, 1))
    await world.deliver(delta(1, 1))
    fresh = World()
    fresh.table.update(world.table)
    await fresh.begin()
    fresh.clock.advance(46)
    await fresh.detector.tick()
    assert [event["topic"] for event in fresh.statuses("blind")] == ["orders"]


async def test_documents_are_answered_once_over_restarts(world: World) -> None:
    world.inbox.letters = [Letter("orders", 4), Letter("*", 5, SensitivityError("max_alrts", "no such key"))]
    await world.detector.tick()
    await world.detector.tick()
    await world.begin()
    fresh = World()
    fresh.table.update(world.table)
    fresh.inbox = world.inbox
    await fresh.begin()
    assert [event["offset"] for event in world.statuses("config.accepted")] == [4]
    assert [event["message"] for event in world.statuses("config.rejected")] == ["max_alrts: no such key"]
    assert fresh.statuses("config.accepted") == []


async def test_a_command_for_a_topic_that_nobody_reads_is_refused_after_a_while(world: World) -> None:
    world.inbox.answers = [Letter("typo", 3, None, Command(do="reset"), came_at=world.clock.monotonic())]
    await world.detector.tick()
    assert world.statuses("command.rejected") == []
    world.clock.advance(11)
    await world.detector.tick()
    world.clock.advance(11)
    await world.detector.tick()
    assert [(event["topic"], event["offset"]) for event in world.statuses("command.rejected")] == [("typo", 3)]


async def test_a_worker_that_stood_still_writes_no_state(world: World) -> None:
    await world.deliver(delta(0, 1))
    world.clock.advance(11)
    await world.deliver(delta(1, 1))
    assert len(world.crashes) == 1
    assert world.table == {}


async def test_a_worker_that_lost_its_partitions_says_nothing(world: World) -> None:
    await world.deliver(delta(0, 1))
    world.assigned = False
    await world.deliver(delta(1, 1))
    assert world.of("verdicts") == []
    assert world.table == {}


async def test_faults_and_garbage_cost_one_delta_and_are_told_without_the_payload(world: World) -> None:
    await world.deliver(delta(0, 666))
    await world.deliver(b"secret")
    await world.deliver(delta(0, 1))
    await world.deliver(delta(1, 1))
    assert [document["window"]["records"] for document in world.of("verdicts")] == [1]
    assert [letter["offset"] for letter in world.of("dead-letters")] == [0, 1]
    assert "secret" not in str(world.of("dead-letters"))
    assert world.crashes == []


def test_a_topic_is_where_the_java_clients_put_it() -> None:
    # murmur2 as in the tests of Kafka itself: "foobar" is -790332482, "21" is -973932308.
    places = [profiles_partition(topic, 8) for topic in ("foobar", "21", "*")]
    assert places == [(-790332482 & 0x7FFFFFFF) % 8, (-973932308 & 0x7FFFFFFF) % 8, 0]
