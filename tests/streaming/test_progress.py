"""What a detector's watchdog takes for progress."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from stream_monitor.streaming.progress import JUDGING_LIMIT_S, Progress


class HashableTP(SimpleNamespace):
    __hash__ = object.__hash__


TP = HashableTP(topic="p.profiles", partition=0)


class Consumer:
    def __init__(self) -> None:
        self.polled = 0
        self.waiting: set[int] = set()
        self.stuck = False
        self.partitions = [TP]

    def assignment(self) -> list[SimpleNamespace]:
        return self.partitions

    def polled_ms(self, partitions: object) -> int:
        return self.polled

    def delivered(self, partitions: object) -> dict[int, int]:
        return {}

    async def unread(self, partitions: object) -> set[int]:
        if self.stuck:
            await asyncio.sleep(3600)
        return self.waiting


class App:
    """A worker that is idle and well: the broker answers each time one looks."""

    sought_topic = "p.profiles"
    detector_started = True
    rebalancing = False
    in_recovery = False

    def __init__(self) -> None:
        self.committed_consumer = Consumer()
        self.untaken = False
        self.detector = SimpleNamespace(handled=0, judging_s=0.0, untaken=lambda _: self.untaken)
        self.tables = SimpleNamespace(recovery=SimpleNamespace(active_offsets={}))


async def made(app: App, looks: int = 3, *, answers: bool = True, works: bool = False) -> list[bool]:
    progress = Progress(cast(Any, app))
    found = []
    for _ in range(looks + 1):
        app.committed_consumer.polled += answers
        app.detector.handled += works
        found.append(await progress.made())
    return found[1:]


async def test_an_idle_worker_whose_broker_answers_gets_on() -> None:
    assert await made(App()) == [True] * 3


async def test_a_worker_whose_broker_does_not_answer_does_not() -> None:
    assert await made(App(), answers=False) == [False] * 3


async def test_a_worker_that_takes_deltas_gets_on_however_much_there_is() -> None:
    app = App()
    app.committed_consumer.waiting = {1}
    app.untaken = True
    assert await made(app, works=True) == [True] * 3


async def test_a_worker_that_has_something_to_take_and_does_not_does_not_get_on() -> None:
    unread, untaken = App(), App()
    unread.committed_consumer.waiting = {1}
    untaken.untaken = True
    assert await made(unread) == [False] * 3
    assert await made(untaken) == [False] * 3


async def test_a_worker_that_judges_the_history_of_a_cold_start_gets_on_but_not_for_ever() -> None:
    app = App()
    app.untaken = True
    app.detector.judging_s = JUDGING_LIMIT_S / 2
    assert await made(app) == [True] * 3
    app.detector.judging_s = JUDGING_LIMIT_S + 1
    assert await made(app) == [False] * 3


async def test_a_rebalance_that_never_ends_is_no_progress_and_one_that_recovers_state_is() -> None:
    app = App()
    app.rebalancing = app.in_recovery = True  # type: ignore[misc]
    progress = Progress(cast(Any, app))
    await progress.made()
    assert not await progress.made()
    app.tables.recovery.active_offsets = {1: 10}
    assert await progress.made()


async def test_a_consumer_thread_that_hangs_is_no_progress() -> None:
    app = App()
    app.committed_consumer.stuck = True
    assert await made(app, looks=1) == [False]


async def test_a_worker_without_partitions_stands_by() -> None:
    app = App()
    app.committed_consumer.partitions = []
    assert await made(app, answers=False) == [True] * 3
