"""Live orders come when they are due, each once, with corruptions on schedule."""

from stream_monitor.evaluation.corruptions import late, nulls
from stream_monitor.evaluation.live_orders import LiveOrders, Schedule
from stream_monitor.evaluation.orders import OrderStream

STREAM = OrderStream(seed=5, records_per_window=60)
START = 29_848_800 * 60_000


def test_each_order_comes_once_and_not_before_its_time():
    orders = LiveOrders(STREAM, Schedule(), START)
    handed = []
    for now in range(START, START + 180_000, 700):
        for message in orders.due(now):
            assert message.timestamp_ms <= now
            handed.append(message)
    expected = [m for number in range(29_848_800, 29_848_803) for m in STREAM.window(number)]
    assert handed == [m for m in expected if m in handed]
    assert len(expected) - len(handed) <= 3


def test_a_generator_that_starts_within_a_minute_leaves_out_what_is_past():
    first = next(iter(LiveOrders(STREAM, Schedule(), START + 30_000).due(START + 90_000)))
    assert first.timestamp_ms >= START + 29_000


def test_corruptions_take_turns_at_the_end_of_each_period():
    schedule = Schedule((nulls("email"), late()), every=10, length=2)
    planted = [schedule.planted(number) for number in range(29_848_800, 29_848_820)]
    names = [corruption.name if corruption else None for corruption in planted]
    assert names == [None] * 8 + ["null"] * 2 + [None] * 8 + ["late_burst"] * 2


def test_late_orders_are_sent_among_those_of_their_arrival():
    orders = LiveOrders(STREAM, Schedule((late(),), every=1, length=1), START)
    messages = list(orders.due(START + 60_000))
    assert len(messages) == len(STREAM.window(29_848_800))
    assert sum(m.timestamp_ms < START for m in messages) > 5
