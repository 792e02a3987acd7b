"""`stream-monitor generate`: a live stream of orders to a real Kafka, with corruptions planted every so often."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Annotated

import typer
from confluent_kafka import TopicPartition

from stream_monitor.cli.options import duration_option, with_settings
from stream_monitor.cli.producing import MessageProducer, ensure_topic
from stream_monitor.cli.stopping import stop_on_signals
from stream_monitor.clock import Clock, SystemClock
from stream_monitor.config.settings import Settings
from stream_monitor.errors import SettingsError
from stream_monitor.evaluation.corruptions import Corruption, default_corruptions, named
from stream_monitor.evaluation.live_orders import LiveOrders, Schedule
from stream_monitor.evaluation.orders import OrderStream
from stream_monitor.events import get_logger
from stream_monitor.streaming import clients

_log = get_logger(__name__)

WINDOW_MS = 60_000
TICK_SECONDS = 0.2


@with_settings("topics")
def generate(
    settings: Settings,
    rate: Annotated[str, typer.Option(help="Orders a second on average over a day: 20/s.", metavar="N/s")] = "20/s",
    corrupt: Annotated[list[str] | None, typer.Option(help="Corruption to plant; repeat. all: each in turn. none.", metavar="NAME")] = None,
    every: Annotated[str, typer.Option(help="Plant one this often.", metavar="DURATION")] = "30m",
    lasting: Annotated[str, typer.Option(help="How long each lasts.", metavar="DURATION")] = "1m",
    fraction: Annotated[float, typer.Option(help="Share of the orders hit.", min=0.001, max=1.0)] = 0.3,
    history: Annotated[str, typer.Option(help="First fill an empty topic with so much of the past.", metavar="DURATION")] = "0s",
    partitions: Annotated[int, typer.Option(help="Of the topic, if it is missing.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Another one, other customers and products.", min=0)] = 7,
    stop_after: Annotated[str | None, typer.Option(help="End after this time; else at Ctrl-C or SIGTERM.", metavar="DURATION")] = None,
) -> None:
    """Produces orders to a topic in real time, with a daily rhythm, and plants corruptions in them."""
    topic = only_topic(settings.topics)
    clock = SystemClock()
    count = ensure_topic(settings.source_cluster, topic, partitions)
    stream = OrderStream(seed, window_ms=WINDOW_MS, records_per_window=orders_a_second(rate) * WINDOW_MS / 1000, partitions=count)
    schedule = Schedule(chosen(corrupt or ["all"], stream), _windows(every, "--every"), _windows(lasting, "--lasting"), fraction)
    producer = MessageProducer(settings.source_cluster, topic)
    now_ms = clock.now_ms()
    past_ms = round(1000 * duration_option(history, "--history")) if is_empty(settings, topic, count) else 0
    for number in range((now_ms - past_ms) // WINDOW_MS, now_ms // WINDOW_MS if past_ms else 0):
        producer.send(stream.window(number))
    orders = LiveOrders(stream, schedule, now_ms // WINDOW_MS * WINDOW_MS if past_ms else now_ms)
    _log.info("generator.started", topic=topic, rate=rate, history=history if past_ms else "0s", every=every)
    _go_on(orders, producer, clock, duration_option(stop_after, "--stop-after") if stop_after else inf)


def _go_on(orders: LiveOrders, producer: MessageProducer, clock: Clock, seconds: float) -> None:
    """Produces what is due, for so many seconds or until a signal comes."""
    end = clock.monotonic() + seconds
    told, sent = -1, 0
    with stop_on_signals() as stop:
        while not stop.is_set() and clock.monotonic() < end:
            now_ms = clock.now_ms()
            sent += producer.send(orders.due(now_ms))
            told = _tell(orders.schedule, producer.topic, now_ms // WINDOW_MS, told)
            stop.wait(TICK_SECONDS)
    producer.flush()
    _log.info("generator.stopped", topic=producer.topic, orders=sent)


def _tell(schedule: Schedule, topic: str, number: int, told: int) -> int:
    """Logs what is planted in a window that has begun; the number of the last window told of."""
    corruption = schedule.planted(number)
    if number == told or corruption is None:
        return told
    _log.info("corruption.planted", topic=topic, corruption=corruption.name, aspect=corruption.aspect.value, what=corruption.text)
    return number


def _windows(text: str, option: str) -> int:
    return max(1, round(duration_option(text, option) * 1000 / WINDOW_MS))


def only_topic(topics: Sequence[str]) -> str:
    """The one topic to produce to; `orders` if none is named."""
    if len(topics) > 1 or any(topic.startswith("^") for topic in topics):
        raise SettingsError(f"--topic: expected one topic name to produce to, got {', '.join(topics)}")
    return topics[0] if topics else "orders"


def orders_a_second(text: str) -> float:
    """A rate such as `20/s`, `600/min` or plain `20`, a second. Raises `typer.BadParameter` if it is none, or not above 0.

    >>> orders_a_second("20/s"), orders_a_second("90/min"), orders_a_second("0.5")
    (20.0, 1.5, 0.5)
    """
    number, _, unit = text.partition("/")
    seconds = {"": 1, "s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600}.get(unit.strip())
    try:
        rate = float(number) / (seconds or 0)
    except (ValueError, ZeroDivisionError):
        rate = 0.0
    if not 0 < rate < 1e6:
        raise typer.BadParameter(f"--rate: expected orders per s, min or h such as 20/s, got {text!r}")
    return rate


def chosen(names: Sequence[str], stream: OrderStream) -> tuple[Corruption, ...]:
    """The corruptions of these names; `all` and `none` are names too."""
    if list(names) == ["none"]:
        return ()
    if list(names) == ["all"]:
        return default_corruptions(stream)
    try:
        return tuple(named(name, stream) for name in names)
    except ValueError as error:
        raise typer.BadParameter(f"--corrupt: {error}") from error


def is_empty(settings: Settings, topic: str, partitions: int) -> bool:
    """Whether nothing was ever written to the topic."""
    reader = clients.consumer(clients.reader_config(settings.source_cluster, "stream-monitor-generator"))
    try:
        marks = [reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=15.0) for partition in range(partitions)]
    finally:
        reader.close()
    return all(high == 0 for _, high in marks)
