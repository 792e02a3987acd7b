"""One end-to-end run: windows are produced at the pace at which they are judged, while things happen to the processes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from confluent_kafka.admin import NewTopic

from stream_monitor.cli.producing import MessageProducer
from stream_monitor.config.settings import Settings
from stream_monitor.evaluation.messages import Message
from stream_monitor.streaming import clients
from stream_monitor.streaming.profiler_process import create_topics
from tests.end_to_end.journal import Journal
from tests.end_to_end.plans import FIRST, WINDOW_MS, TopicPlan
from tests.end_to_end.roles import Roles

SILENCE_SECONDS = 180.0
"""Nothing judged for so long although there is something to judge: it hangs."""


class Run:
    """Produces plans and hears what the installation says of them."""

    def __init__(self, settings: Settings, plans: Sequence[TopicPlan], roles: Roles, *, lead: int) -> None:
        self.settings, self.plans, self.roles, self.lead = settings, tuple(plans), roles, lead
        self.produced: Counter[tuple[str, int]] = Counter()
        """By topic and start of the window, ms."""
        self.next = FIRST
        """Number of the window to be produced next, in all topics."""
        self.produced_at: dict[int, float] = {}
        """Window number -> when its last record was sent (monotonic)."""
        self._due: list[tuple[float, Callable[[], None]]] = []
        create_topics(settings)
        self._create_monitored()
        self._producers = {plan.topic: MessageProducer(settings, plan.topic) for plan in plans}
        self.journal = Journal(settings)

    def close(self) -> None:
        """Lets go of the brokers."""
        self.journal.close()

    @property
    def records(self) -> int:
        """Produced so far."""
        return self.produced.total()

    @property
    def judged(self) -> int:
        """Number of the first window that is not judged yet in some topic."""
        return min(self.journal.judged_ms.get(plan.topic, FIRST * WINDOW_MS) for plan in self.plans) // WINDOW_MS

    def produce(self, until: int, *, meanwhile: dict[int, Callable[[], None]] | None = None) -> None:
        """Produces up to window `until`, at most `lead` ahead of what is judged; `meanwhile`: what to do before a window is produced."""
        while self.next < until:
            if meanwhile and self.next in meanwhile:
                meanwhile.pop(self.next)()
            for plan in self.plans:
                self.send(plan, plan.messages(self.next))
            self.produced_at[self.next] = time.monotonic()
            self.next += 1
            self.hear(lambda: self.next - self.judged <= self.lead)
        self.flush()

    def send(self, plan: TopicPlan, messages: Sequence[Message]) -> None:
        """Produces messages, without waiting for anything."""
        self.produced.update((plan.topic, message.timestamp_ms // WINDOW_MS * WINDOW_MS) for message in messages)
        self._producers[plan.topic].send(messages)

    def flush(self) -> None:
        """Waits until the brokers have all that was sent."""
        for producer in self._producers.values():
            producer.flush()

    def start(self, *names: str) -> None:
        """Starts processes, and waits until each has said that it is there."""
        for name in names:
            self.roles.start(name)
        self.hear(lambda: set(names) <= {status["source"].partition("@")[2] for status in self.journal.said("joined")})

    def restart(self, name: str, *, after: float) -> None:
        """Kills a process, and starts it again `after` s while the run goes on."""
        self.roles.kill(name)
        self.later(after, lambda: self.roles.start(name))

    def settle(self) -> None:
        """Waits until all is judged but the last window, which is still open."""
        self.hear(lambda: self.judged >= self.next - 1)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Does something while the run goes on."""
        self._due.append((time.monotonic() + seconds, action))

    def hear(self, enough: Callable[[], bool], *, silence: float = SILENCE_SECONDS) -> None:
        """Hears until it is enough; fails when nothing is judged for `silence` s."""
        heard, judged = time.monotonic(), self.judged
        while True:
            self.journal.hear(0.02)
            for due in [due for due in self._due if due[0] <= time.monotonic()]:
                self._due.remove(due)
                due[1]()
            if enough():
                return
            if self.judged != judged:
                heard, judged = time.monotonic(), self.judged
            self.roles.check()
            if time.monotonic() - heard > silence:
                raise AssertionError(f"nothing judged for {silence} s at window {self.judged - FIRST}:\n{self._last_words()}")

    def _create_monitored(self) -> None:
        """Topics that keep records however old they are."""
        admin = clients.admin(self.settings)
        new = [NewTopic(plan.topic, plan.stream.partitions, -1, config={"retention.ms": "-1"}) for plan in self.plans]
        for made in admin.create_topics(new).values():
            made.result(20)

    def _last_words(self) -> str:
        return "\n".join(f"--- {name}\n{self.roles.last_words(name)}" for name in self.roles.running)
