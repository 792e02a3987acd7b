"""A realistic stream of e-commerce orders: what the demo watches, and a test bed whose relations are known.

Any window can be made on its own, from the seed and the window's number since 1970, so a stream can be replayed, cut and
continued anywhere without state. What holds in it, and breaks under corruption:

- `order_id` and `created_at` rise, and no order is repeated;
- `shipping.city` decides `country`, which decides `currency`, and the first digits of `shipping.postcode`;
- `customer` decides `email`, and mostly the city;
- `product` decides `category` and, within a few percent, `price`; `shipping.weight` follows `product` and `quantity`;
- `total` = `quantity` x `price`, and the units of the `items` add up to `quantity`;
- the volume has a daily rhythm (quietest at 4 h, busiest at 19 h UTC) and Poisson noise;
- messages arrive a little out of order, on the partition of their customer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import cos, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.evaluation.catalogue import CITIES, Customers, Products
from stream_monitor.evaluation.messages import Message

DAY_MS = 86_400_000
IDS_PER_MINUTE = 100_000
"""Order numbers set aside for a minute: more orders than that in one minute would repeat them."""

CHANNELS = ("web", "app", "store", "partner")
CHANNEL_SHARES = (0.48, 0.37, 0.10, 0.05)
PAYMENTS = ("card", "paypal", "bank_transfer", "gift_card")
PAYMENT_SHARES = (0.62, 0.24, 0.10, 0.04)
STATUSES = ("paid", "pending", "authorised", "review")
STATUS_SHARES = (0.82, 0.10, 0.06, 0.02)
COUPONS = ("WELCOME10", "SPRING15", "FREESHIP", "VIP20")
COUPON_SHARE = 0.12
COLOURS = ("BLK", "WHT", "RED", "BLU", "GRN")
AWAY_SHARE = 0.06
"""Orders sent to another city than the customer's own."""
EXPRESS_SHARE = 0.18
TRANSPORT_MS = 50.0
"""Mean delay between an order and its arrival: what puts neighbours out of order."""


@dataclass(frozen=True)
class OrderStream:
    """Orders by window. `records_per_window` is the mean over a day; windows are numbered from 1970 (start = number x window_ms).

    Costs about 10 microseconds an order.
    """

    seed: int = 0
    window_ms: int = 60_000
    records_per_window: float = 400.0
    partitions: int = 4
    customers: int = 4_000
    products: int = 120

    @cached_property
    def _customers(self) -> Customers:
        return Customers.drawn(self._rng(1), self.customers)

    @cached_property
    def _products(self) -> Products:
        return Products.drawn(self._rng(2), self.products)

    def _rng(self, *path: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *path])

    def window(self, number: int, *, volume: float = 1.0) -> list[Message]:
        """The orders of a window, in the order they arrive; `volume` times as many as usual."""
        rng = self._rng(3, number)
        start_ms = number * self.window_ms
        count = int(rng.poisson(volume * self.records_per_window * rhythm(start_ms + self.window_ms // 2)))
        times = np.sort(rng.integers(start_ms, start_ms + self.window_ms, count))
        messages = self._orders(rng, times)
        arrivals = times + rng.exponential(TRANSPORT_MS, count)
        return [messages[i] for i in np.argsort(arrivals, kind="stable").tolist()]

    def window_at(self, at_ms: int, volume: float = 1.0) -> list[Message]:
        """The window that a time (ms since 1970) lies in."""
        return self.window(at_ms // self.window_ms, volume=volume)

    def _orders(self, rng: np.random.Generator, times: NDArray[np.int64]) -> list[Message]:
        count = len(times)
        who, what = self._customers.draw(rng, count), self._products.draw(rng, count)
        columns = {
            "order_id": [f"O-{number:013d}" for number in order_numbers(times)],
            "created_at": [iso(at_ms) for at_ms in times.tolist()],
            "customer": [self._customers.ids[i] for i in who.tolist()],
            "email": [self._customers.emails[i] for i in who.tolist()],
            "channel": _pick(rng, CHANNELS, CHANNEL_SHARES, count),
            "status": _pick(rng, STATUSES, STATUS_SHARES, count),
            "payment_method": _pick(rng, PAYMENTS, PAYMENT_SHARES, count),
            "coupon": _coupons(rng, count),
            **self._goods(rng, what),
            **_delivery(rng, self._customers.cities[who]),
        }
        # Weight in the parcel, not in the order: it depends on both.
        for shipping, weight in zip(columns["shipping"], columns.pop("weight"), strict=True):
            shipping["weight"] = weight
        rows = zip(times.tolist(), (who % self.partitions).tolist(), columns["customer"], zip(*columns.values(), strict=True), strict=True)
        return [Message(dict(zip(columns, row, strict=True)), at_ms, partition, key.encode()) for at_ms, partition, key, row in rows]

    def _goods(self, rng: np.random.Generator, what: NDArray[np.int64]) -> dict[str, list[Any]]:
        """Product, quantity, price, total, and the order's lines."""
        goods, count = self._products, len(what)
        quantities = rng.geometric(0.62, count)
        prices = np.round(goods.prices[what] * rng.choice((1.0, 1.0, 1.0, 0.95, 0.9), count), 2)
        skus = [goods.skus[i] for i in what.tolist()]
        colours = rng.integers(0, len(COLOURS), (count, 2)).tolist()
        return {
            "product": skus,
            "category": [goods.categories[i] for i in what.tolist()],
            "quantity": quantities.tolist(),
            "price": prices.tolist(),
            "total": np.round(quantities * prices, 2).tolist(),
            "weight": np.round(goods.weights[what] * quantities + rng.uniform(0.08, 0.25, count), 3).tolist(),
            "items": [lines(*line) for line in zip(skus, quantities.tolist(), colours, strict=True)],
        }


def _delivery(rng: np.random.Generator, homes: NDArray[np.int64]) -> dict[str, list[Any]]:
    """Where it goes, which decides country and currency: mostly the customer's own city."""
    count = len(homes)
    cities = [CITIES[i] for i in np.where(rng.random(count) < AWAY_SHARE, rng.integers(0, len(CITIES), count), homes).tolist()]
    streets = rng.integers(0, 10_000, count).tolist()
    express = (rng.random(count) < EXPRESS_SHARE).tolist()
    return {
        "country": [city.country for city in cities],
        "currency": [city.currency for city in cities],
        "shipping": [
            {"city": city.name, "postcode": city.postcode(street), "express": is_express}
            for city, street, is_express in zip(cities, streets, express, strict=True)
        ],
    }


def rhythm(at_ms: int) -> float:
    """Volume at a time of day (UTC) as a multiple of the day's mean: 0.4 at 4 h, 1.5 at 19 h; the mean over a day is 1."""
    hour = (at_ms % DAY_MS) / DAY_MS * 24
    return 1.0 - 0.48 * cos(2 * pi * (hour - 5) / 24) + 0.15 * cos(4 * pi * (hour - 20.5) / 24)


def iso(at_ms: int) -> str:
    """A time as ISO 8601 with milliseconds, in UTC."""
    whole = datetime.fromtimestamp(at_ms // 1000, UTC) + timedelta(milliseconds=at_ms % 1000)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def order_numbers(times: NDArray[np.int64]) -> list[int]:
    """Numbers that rise with the (sorted) times and differ between windows: a minute's base plus a count within it."""
    minutes = times // 60_000
    within = np.arange(len(times)) - np.searchsorted(minutes, minutes)
    numbers: list[int] = (minutes * IDS_PER_MINUTE + within).tolist()
    return numbers


def lines(sku: str, quantity: int, colours: list[int]) -> list[dict[str, Any]]:
    """The order's lines: one colour, or two when more than two pieces are bought; their units add up to `quantity`."""
    if quantity <= 2:
        return [{"sku": f"{sku}-{COLOURS[colours[0]]}", "units": quantity}]
    return [{"sku": f"{sku}-{COLOURS[colours[0]]}", "units": quantity - 1}, {"sku": f"{sku}-{COLOURS[colours[1]]}", "units": 1}]


def _pick(rng: np.random.Generator, names: tuple[str, ...], shares: tuple[float, ...], count: int) -> list[str]:
    return [names[i] for i in rng.choice(len(names), count, p=shares).tolist()]


def _coupons(rng: np.random.Generator, count: int) -> list[str | None]:
    used = (rng.random(count) < COUPON_SHARE).tolist()
    which = rng.integers(0, len(COUPONS), count).tolist()
    return [COUPONS[i] if is_used else None for is_used, i in zip(used, which, strict=True)]
