"""The orders stream keeps the relations that its docstring promises."""

import numpy as np
import orjson
import pytest

from stream_monitor.evaluation.catalogue import CITIES
from stream_monitor.evaluation.orders import DAY_MS, OrderStream, rhythm

FIRST = 29_848_800  # a window's number, in 2026


@pytest.fixture(scope="module")
def orders():
    stream = OrderStream(seed=3)
    return [message for number in range(FIRST, FIRST + 20) for message in stream.window(number)]


def test_a_window_is_the_same_whenever_and_by_whomever_it_is_made():
    assert OrderStream(seed=3).window(FIRST) == OrderStream(seed=3).window(FIRST)
    warmed = OrderStream(seed=3)
    warmed.window(FIRST - 5)
    assert warmed.window(FIRST) == OrderStream(seed=3).window(FIRST)
    assert OrderStream(seed=4).window(FIRST) != OrderStream(seed=3).window(FIRST)


def test_order_ids_are_unique_and_rise_with_time(orders):
    by_id = sorted(orders, key=lambda message: message.get("order_id"))
    times = [message.get("created_at") for message in by_id]
    assert len({message.get("order_id") for message in orders}) == len(orders)
    assert times == sorted(times)


def test_the_city_decides_country_and_currency(orders):
    places = {city.name: (city.country, city.currency) for city in CITIES}
    assert all(places[m.get("shipping.city")] == (m.get("country"), m.get("currency")) for m in orders)


def test_total_is_quantity_times_price_and_lines_add_up(orders):
    assert all(m.get("total") == pytest.approx(m.get("quantity") * m.get("price"), abs=0.006) for m in orders)
    assert all(sum(line["units"] for line in m.get("items")) == m.get("quantity") for m in orders)


def test_timestamps_lie_in_the_window_and_are_those_of_the_value():
    messages = OrderStream(seed=3).window(FIRST)
    assert all(FIRST * 60_000 <= m.timestamp_ms < (FIRST + 1) * 60_000 for m in messages)
    first = min(messages, key=lambda m: m.timestamp_ms)
    assert first.get("created_at").endswith(f"{first.timestamp_ms % 1000:03d}Z")


def test_every_order_of_a_customer_goes_to_the_same_one_of_four_partitions(orders):
    partitions = {}
    for message in orders:
        assert partitions.setdefault(message.key, message.partition) == message.partition
    assert set(partitions.values()) == {0, 1, 2, 3}


def test_the_rhythm_of_a_day_has_a_mean_of_one_and_the_volume_follows_it():
    assert np.mean([rhythm(at) for at in range(0, DAY_MS, 600_000)]) == pytest.approx(1)
    stream = OrderStream(seed=3, records_per_window=50)
    night, evening = (sum(len(stream.window(FIRST // 1440 * 1440 + hour * 60 + i)) for i in range(30)) for hour in (4, 19))
    assert evening > 2.5 * night


def test_values_are_json(orders):
    assert orjson.loads(orders[0].encoded()) == orders[0].value


def test_twice_the_volume_makes_twice_the_orders():
    stream = OrderStream(seed=3)
    assert len(stream.window(FIRST, volume=2)) == pytest.approx(2 * len(stream.window(FIRST)), rel=0.3)
