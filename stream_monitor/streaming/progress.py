"""Whether a detector worker gets on: what its watchdog is fed with.

A worker gets on while deltas are taken or state is recovered, or while the broker answers its fetches and nothing waits to be taken.
So it does not get on when its agent or its consumer died quietly, when the event loop is blocked (nothing is looked at then), when a
rebalance never ends, or when the broker is gone. The end of a cold start is one message whose judging may take minutes: a thread that
judges gets on, up to a limit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from faust.types import TP

from stream_monitor.streaming.watchdog import Watchdog

if TYPE_CHECKING:
    from stream_monitor.streaming.detector_app import DetectorApp

LOOK_S = 1.0
JUDGING_LIMIT_S = 1800.0
"""A cold start has at most a few hundred windows to learn from; whoever judges one message for longer hangs."""


class Progress:
    """Looks at an app again and again; each look compares with the one before."""

    def __init__(self, app: DetectorApp) -> None:
        self._app = app
        self._work = (-1, -1)
        self._polled = -1

    async def feed(self, watchdog: Watchdog) -> None:
        """Feeds a watchdog as long as the app gets on; never returns."""
        while True:
            await asyncio.sleep(LOOK_S)
            if await self.made():
                watchdog.feed()

    async def made(self) -> bool:
        """Whether there was progress since the last look, or nothing to do."""
        work = self._app.detector.handled, self._recovered()
        worked, self._work = work != self._work, work
        return await self._is_idle() or worked or 0 < self._app.detector.judging_s < JUDGING_LIMIT_S

    def _recovered(self) -> int:
        tables: Any = self._app.tables
        offsets: dict[TP, int | None] = tables.recovery.active_offsets if self._app.detector_started else {}
        return sum(offset for offset in offsets.values() if offset)

    async def _is_idle(self) -> bool:
        """The broker answers, and all that it has was taken."""
        if not self._app.detector_started or self._app.rebalancing or self._app.in_recovery:
            return False
        consumer = self._app.committed_consumer
        partitions = {tp for tp in consumer.assignment() if tp.topic == self._app.sought_topic}
        if not partitions:
            return True  # more workers than partitions: this one stands by
        polled = consumer.polled_ms(partitions)
        answered, self._polled = polled != self._polled, polled
        try:
            ends = await asyncio.wait_for(consumer.unread(partitions), LOOK_S)
        except TimeoutError:
            return False
        return answered and not ends and not self._app.detector.untaken(consumer.delivered(partitions))
