"""What an end-to-end run produces: streams of orders and of census-like rows, with corruptions planted in known windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from stream_monitor.evaluation import corruptions
from stream_monitor.evaluation.corruptions import Corruption
from stream_monitor.evaluation.demo_plan import START_MS, Planting
from stream_monitor.evaluation.messages import Message
from stream_monitor.evaluation.orders import OrderStream

WINDOW_MS = 60_000
FIRST = START_MS // WINDOW_MS
"""Number of the first window of every stream."""


class Stream(Protocol):
    """Windows of messages, each made on its own from a seed."""

    @property
    def seed(self) -> int: ...

    @property
    def partitions(self) -> int: ...

    def window(self, number: int) -> list[Message]:
        """The healthy messages of a window, in the order they arrive."""
        ...


@dataclass(frozen=True)
class RowStream:
    """Rows of a table as a stream: each window draws some, none twice, evenly spread over its minute and the partitions."""

    rows: Sequence[Mapping[str, Any]]
    seed: int = 0
    records_per_window: float = 400.0
    partitions: int = 4

    def window(self, number: int) -> list[Message]:
        """The messages of a window; at most as many as there are rows."""
        rng = np.random.default_rng([self.seed, number])
        count = min(int(rng.poisson(self.records_per_window)), len(self.rows))
        chosen = rng.choice(len(self.rows), count, replace=False).tolist()
        times = np.sort(rng.integers(number * WINDOW_MS, (number + 1) * WINDOW_MS, count)).tolist()
        return [Message(self.rows[row], at_ms, row % self.partitions) for row, at_ms in zip(chosen, times, strict=True)]


@dataclass(frozen=True)
class SomeFields:
    """A stream whose messages have only some of their fields: references are learned sooner."""

    whole: Stream
    fields: tuple[str, ...]

    @property
    def seed(self) -> int:
        return self.whole.seed

    @property
    def partitions(self) -> int:
        return self.whole.partitions

    def window(self, number: int) -> list[Message]:
        """The messages of a window, without the other fields."""
        return [replace(message, value={name: message.get(name) for name in self.fields}) for message in self.whole.window(number)]


@dataclass(frozen=True)
class TopicPlan:
    """One topic: `windows` minutes of a stream from `FIRST` on, with what is planted in some of them."""

    topic: str
    stream: Stream
    windows: int
    plantings: tuple[Planting, ...] = ()
    """To be caught."""
    mild: tuple[Planting, ...] = ()
    """To be caught or not, as the budget says."""
    by_window: Mapping[int, Planting] = field(init=False)

    def __post_init__(self) -> None:
        planted = {number: one for one in (*self.plantings, *self.mild) for number in range(one.first, one.last + 1)}
        object.__setattr__(self, "by_window", planted)

    @property
    def end(self) -> int:
        """Number of the window after the last."""
        return FIRST + self.windows

    def messages(self, number: int) -> list[Message]:
        """The messages of a window, with what is planted in it."""
        messages, planting = self.stream.window(number), self.by_window.get(number)
        if planting is None:
            return messages
        return planting.corruption.apply(messages, planting.fraction, np.random.default_rng([self.stream.seed, 4, number]))


def plan(topic: str, stream: Stream, planted: Sequence[tuple[Corruption, float]], *, history: int, gap: int) -> TopicPlan:
    """`history` healthy windows, then each corruption for one window, `gap` healthy ones after each."""
    plantings = [
        Planting(corruption, FIRST + history + place * (gap + 1), fraction) for place, (corruption, fraction) in enumerate(planted)
    ]
    return TopicPlan(topic, stream, history + len(planted) * (gap + 1), tuple(plantings))


def orders_stream(seed: int, records_per_window: float) -> OrderStream:
    """Orders in minutes. The plan begins at 8 h, when the volume is close to the day's mean."""
    return OrderStream(seed, window_ms=WINDOW_MS, records_per_window=records_per_window)


ORDERS_PLANTED: tuple[tuple[Corruption, float], ...] = (
    (corruptions.nulls("email"), 0.2),
    (corruptions.type_flip("price"), 0.2),
    (corruptions.malformed(), 0.2),
    (corruptions.new_category("payment_method", "crypto"), 0.2),
    (corruptions.scaled("shipping.weight"), 0.2),
    (corruptions.renamed("coupon", "voucher"), 1.0),
    (corruptions.replayed(), 0.2),
    (corruptions.dropped(), 0.7),
)
CENSUS_PLANTED: tuple[tuple[Corruption, float], ...] = (
    (corruptions.dropped(), 0.7),
    (corruptions.replayed(), 0.2),
    (corruptions.renamed("education", "schooling"), 1.0),
    (corruptions.scaled("hours_per_week"), 0.2),
    (corruptions.new_category("workclass", "Gig-economy"), 0.2),
    (corruptions.malformed(), 0.2),
    (corruptions.type_flip("age"), 0.2),
    (corruptions.nulls("occupation"), 0.2),
)

_EDUCATIONS = {"HS-grad": 9, "Some-college": 10, "Bachelors": 13, "Masters": 14, "Assoc-voc": 11, "11th": 7, "Doctorate": 16}
_OCCUPATIONS = ("Adm-clerical", "Craft-repair", "Exec-managerial", "Prof-specialty", "Sales", "Other-service", "Transport-moving")
_WORKCLASSES = ("Private", "Self-emp-not-inc", "Local-gov", "State-gov", "Federal-gov")


def census_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Made-up people with the fields of a census: education decides education_num and leans on income, age and hours on each other."""
    rng = np.random.default_rng(seed)
    names = list(_EDUCATIONS)
    education = rng.choice(len(names), count, p=[0.34, 0.23, 0.18, 0.07, 0.08, 0.08, 0.02]).tolist()
    age = np.clip(rng.gamma(6.0, 6.5, count), 17, 90).astype(int).tolist()
    hours = np.clip(rng.normal(41, 9, count), 1, 99).astype(int).tolist()
    workclass = rng.choice(_WORKCLASSES, count, p=[0.74, 0.1, 0.08, 0.05, 0.03]).tolist()
    occupation, known = rng.choice(_OCCUPATIONS, count).tolist(), (rng.random(count) > 0.05).tolist()
    gain = np.where(rng.random(count) < 0.08, rng.integers(500, 15_000, count), 0).tolist()
    weight = rng.lognormal(12.0, 0.5, count).astype(int).tolist()
    luck = rng.random(count).tolist()
    return [
        {
            "age": age[i],
            "workclass": workclass[i],
            "fnlwgt": weight[i],
            "education": names[education[i]],
            "education_num": _EDUCATIONS[names[education[i]]],
            "occupation": occupation[i] if known[i] else None,
            "capital_gain": gain[i],
            "hours_per_week": hours[i],
            "class": ">50K" if luck[i] < 0.05 * (_EDUCATIONS[names[education[i]]] - 6) else "<=50K",
        }
        for i in range(count)
    ]
