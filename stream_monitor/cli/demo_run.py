"""The demo at work: an embedded broker, a monitor started as users start it, orders sent faster than time, alerts read back."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from confluent_kafka import TopicPartition

from stream_monitor.cli.demo_view import DemoView
from stream_monitor.cli.producing import MessageProducer, ensure_topic
from stream_monitor.config.settings import Settings
from stream_monitor.config.topic_names import TopicNames
from stream_monitor.errors import BrokerError
from stream_monitor.evaluation.demo_plan import DemoPlan
from stream_monitor.evaluation.scoreboard import Scoreboard
from stream_monitor.streaming import clients
from stream_monitor.streaming.topics import ensure_topics, topic_specs

TOPIC = "orders"
SILENCE_SECONDS = 120.0
"""The monitor is given up when it says nothing for this long while it should."""
STOP_SECONDS = 12.0
LOG_LINES = 15
LOG_WIDTH = 300


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast event time goes."""

    live_seconds: float = 0.4
    """Between two live windows."""
    lead: int = 4
    """Windows that may be out and not judged: on a busy machine the demo slows down rather than runs ahead."""


class Monitor:
    """`stream-monitor run` as a process of its own, with what the demo needs set; its log goes to a file."""

    def __init__(self, bootstrap: str, directory: Path, *, arguments: Sequence[str] = ()) -> None:
        self._log_file = directory / "monitor.log"
        command = [
            sys.executable, "-m", "stream_monitor", "run", "--bootstrap-servers", bootstrap, "--topic", TOPIC, "--flush", "0.2s",
            "--state-directory", str(directory / "state"), "--log-format", "json",
            # The whole log is read, as look-up by time does not work on the embedded broker.
            "--set", "start_from=earliest", "--set", "cold_start=none",
            # With the default time-out, members of a group were seen to get nothing for 20 s from the embedded broker.
            "--set", "kafka.session.timeout.ms=6000", *arguments,
        ]  # fmt: skip
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_MONITOR_")}
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=directory, process_group=0
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raises `BrokerError` with the end of its log when it has ended."""
        if not self.alive:
            raise BrokerError(f"the monitor ended with exit code {self._process.returncode}; its last words:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(line[:LOG_WIDTH] for line in self._log_file.read_text(errors="replace").splitlines()[-LOG_LINES:])

    def stop(self) -> None:
        """Ends it, as SIGTERM does: it flushes and leaves its groups."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # its children too
            self._process.wait()


class Reader:
    """Follows the alerts and the verdicts from their beginning."""

    def __init__(self, settings: Settings) -> None:
        self._names = settings.names
        self._consumer = clients.consumer(clients.reader_config(settings, "stream-monitor-demo"))
        specs = {spec.name: spec.partitions for spec in topic_specs(settings.names)}
        followed = (settings.names.alerts, settings.names.verdicts)
        self._consumer.assign([TopicPartition(name, partition, 0) for name in followed for partition in range(specs[name])])

    def read(self, timeout: float) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """("alert", data of the event) and ("verdict", document), what there is within `timeout` seconds."""
        for message in self._consumer.consume(200, timeout):
            value = message.value()
            if message.error() is not None or value is None:
                continue
            document = orjson.loads(value)
            yield ("alert", document["data"]) if message.topic() == self._names.alerts else ("verdict", document)

    def close(self) -> None:
        """Lets go."""
        self._consumer.close()


class DemoRun:
    """One run of a plan against a broker at `bootstrap`. Use as a context manager: at the end the monitor is stopped."""

    def __init__(
        self, plan: DemoPlan, board: Scoreboard, view: DemoView, pace: Pace, bootstrap: str, directory: Path, *, began: float
    ) -> None:
        self._plan, self._board, self._view, self._pace = plan, board, view, pace
        self._settings = Settings(bootstrap_servers=bootstrap, topics=(TOPIC,))  # neither file nor environment: a demo is always the same
        self._began = began
        self._directory = directory
        self._stack = contextlib.ExitStack()
        self._next = plan.first
        self._judged = plan.first - 1
        self._heard_at = 0.0
        self.first_alert: float | None = None
        """Seconds after the beginning."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self._stack.close()

    @property
    def stopped(self) -> bool:
        """Whether the monitor, once started, has ended."""
        return not self._monitor.alive

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def start(self) -> None:
        """Makes the topics, produces the log that is there before the monitor, starts the monitor."""
        cluster = self._settings
        ensure_topic(cluster, TOPIC, self._plan.stream.partitions)
        ensure_topics(clients.admin(cluster), topic_specs(TopicNames(cluster.prefix)), bootstrap_servers=cluster.bootstrap_servers)
        self._producer = MessageProducer(cluster, TOPIC)
        self._reader = Reader(cluster)
        self._stack.callback(self._reader.close)
        self._monitor = Monitor(cluster.bootstrap_servers, self._directory)
        self._stack.callback(self._monitor.stop)
        self._view.step(self.elapsed, "monitor started: stream-monitor run --topic orders")

    def learn(self) -> None:
        """The history: the log that is there when the monitor begins to read."""
        orders = sum(self._produce() for _ in range(self._plan.history))
        self._producer.flush()
        self._view.step(self.elapsed, f"{self._plan.history} minutes of history, {orders:,} orders; 4 partitions")
        self._await(lambda: self._judged >= self._plan.live - 2, "to judge the history")
        self._view.step(self.elapsed, "history read and learned")

    def live(self) -> None:
        """The plantings, at the pace of live windows."""
        self._view.step(self.elapsed, f"live from now on: a minute of orders every {self._pace.live_seconds:.2g} s")
        self._flow(self._plan.end, self._pace.live_seconds)
        self._await(lambda: self._judged >= self._plan.end - 2, "to judge the last windows")

    def go_on(self) -> None:
        """Healthy orders without end."""
        self._flow(sys.maxsize, self._pace.live_seconds)

    # -- producing ----------------------------------------------------------------------------------------------------
    def _flow(self, end: int, seconds: float) -> None:
        """Produces windows up to `end`, one every `seconds`, no more than `lead` ahead of what is judged."""
        due = time.monotonic()
        while self._next < end:
            self._hear(max(0.0, min(0.05, due - time.monotonic())))
            if time.monotonic() >= due and self._next - self._judged <= self._pace.lead:
                self._produce()
                due = max(due + seconds, time.monotonic())

    def _produce(self) -> int:
        """Produces the next window; its orders."""
        number = self._next
        planting = self._plan.planted(number)
        if planting is not None and number == planting.first:
            self._view.planted(self.elapsed, planting)
        self._board.produced(number, self.elapsed)
        count = self._producer.send(self._plan.messages(number))
        self._next += 1
        self._view.produced(number)
        return count

    # -- hearing ------------------------------------------------------------------------------------------------------
    def _await(self, done: Callable[[], bool], what: str) -> None:
        """Hears until `done()`."""
        self._heard_at = time.monotonic()
        while not done():
            self._hear(0.05, what)

    def _hear(self, timeout: float, what: str = "to go on") -> None:
        """Takes in what the monitor says; `BrokerError` if it has ended, or is silent for too long while windows wait to be judged."""
        for kind, document in self._reader.read(timeout):
            self._heard_at = time.monotonic()
            if kind == "alert":
                self._alert(document)
            else:
                number = window_of(document, self._plan.stream.window_ms)
                self._judged = max(self._judged, number)
                self._view.judged(number, document)
        self._monitor.check()
        if self._next - self._judged <= 2:
            self._heard_at = time.monotonic()
        if time.monotonic() - self._heard_at > SILENCE_SECONDS:
            raise BrokerError(f"waited {SILENCE_SECONDS:g} s for the monitor {what}; its last words:\n{self._monitor.last_words()}")

    def _alert(self, alert: Mapping[str, Any]) -> None:
        false = len(self._board.false)
        catch = self._board.alerted(alert, self.elapsed)
        if catch is not None:
            self.first_alert = self.elapsed if self.first_alert is None else self.first_alert
            self._view.caught(self.elapsed, catch)
        elif len(self._board.false) > false:
            self._view.false(self.elapsed, alert)


def window_of(verdict: Mapping[str, Any], window_ms: int) -> int:
    """Number of the last window that a verdict is about."""
    return (round(datetime.fromisoformat(verdict["window"]["end"]).timestamp() * 1000) - 1) // window_ms
