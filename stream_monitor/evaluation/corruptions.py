"""Corruptions to plant in a stream: one for each way in which data is known to go bad, over all seven aspects.

A corruption is a description and a pure function of the messages of a window: the messages given are left as they are, the same
random generator gives the same result. `fraction` is the share of the messages that are hit; where a corruption comes in a run
(frozen, replayed) the hit ones are neighbours. At least one message is hit.

Each factory below makes one `Corruption`; `default_corruptions()` is one of every kind, fitted to `orders.OrderStream`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stream_monitor.detection.verdict import Aspect
from stream_monitor.evaluation import operators
from stream_monitor.evaluation.messages import Message
from stream_monitor.evaluation.orders import OrderStream

Operator = Callable[[Sequence[Message], float, np.random.Generator], list[Message]]
"""(messages, fraction, rng) -> messages."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way to go bad."""

    name: str
    """What kind: one word or two, joined by underscores."""
    aspect: Aspect
    """The aspect that it belongs to first; others may see it too."""
    fields: tuple[str, ...]
    """The fields that it changes; none if it is about whole records."""
    text: str
    """What happens, in a few words, for people."""
    operator: Operator

    def apply(self, messages: Sequence[Message], fraction: float, rng: np.random.Generator) -> list[Message]:
        """The window's messages with `fraction` (0 < fraction <= 1) of them hit. ValueError if the fraction is out of range."""
        if not 0 < fraction <= 1:
            raise ValueError(f"expected a fraction above 0 and up to 1, got {fraction!r}")
        return self.operator(messages, fraction, rng) if messages else []


def _each(name: str, aspect: Aspect, fields: tuple[str, ...], text: str, change: operators.Change) -> Corruption:
    """A corruption that changes each hit message by itself."""
    return Corruption(name, aspect, fields, text, operators.on_hits(change))


def _named(fields: Sequence[str]) -> str:
    """The first of some fields, and how many more there are."""
    return fields[0] if len(fields) == 1 else f"{fields[0]} and {len(fields) - 1} more"


def nulls(field: str) -> Corruption:
    """The field is null."""
    return _each("null", Aspect.COMPLETENESS, (field,), f"{field} is null", lambda m, _: m.put(field, None))


def missing(field: str) -> Corruption:
    """The field is not there."""
    return _each("missing_field", Aspect.COMPLETENESS, (field,), f"{field} is missing", lambda m, _: m.drop(field))


def disguised(field: str, text: object = "N/A") -> Corruption:
    """The field holds a stand-in for null."""
    return _each("disguised_null", Aspect.COMPLETENESS, (field,), f"{field} is {text!r}", lambda m, _: m.put(field, text))


def type_flip(field: str) -> Corruption:
    """Numbers become strings, and all else becomes 0."""
    return _each(
        "type_flip", Aspect.CONFORMITY, (field,), f"{field} changes type", lambda m, _: m.put(field, operators.flipped(m.get(field)))
    )


def date_format(field: str) -> Corruption:
    """ISO dates become day/month/year."""
    return _each(
        "format_change", Aspect.CONFORMITY, (field,), f"{field} as dd/mm/yyyy", lambda m, _: m.put(field, operators.day_first(m.get(field)))
    )


def malformed() -> Corruption:
    """The JSON is cut off in the middle."""
    return _each("malformed", Aspect.CONFORMITY, (), "JSON is cut off", operators.truncated)


def renamed(field: str, name: str) -> Corruption:
    """The field comes under another name (its last part)."""
    target = ".".join([*field.split(".")[:-1], name])
    return _each(
        "renamed_field",
        Aspect.CONFORMITY,
        (field, target),
        f"{field} is named {target}",
        lambda m, _: m.drop(field).put(target, m.get(field)),
    )


def swapped(first: str, second: str) -> Corruption:
    """Two fields hold each other's value."""
    return _each(
        "swapped_fields",
        Aspect.CONFORMITY,
        (first, second),
        f"{first} <-> {second}",
        lambda m, _: m.put(first, m.get(second)).put(second, m.get(first)),
    )


def new_category(field: str, value: object) -> Corruption:
    """A value that never occurred."""
    return _each("new_category", Aspect.INTEGRITY, (field,), f"{field} is {value!r}", lambda m, _: m.put(field, value))


def scaled(field: str, factor: float = 1000.0) -> Corruption:
    """Another unit: numbers are `factor` times as large."""
    return _each("unit_change", Aspect.INTEGRITY, (field,), f"{field} x {factor:g}", lambda m, _: operators.affine(m, field, factor, 0.0))


def shifted(field: str, amount: float) -> Corruption:
    """Numbers are `amount` higher."""
    return _each("shift", Aspect.INTEGRITY, (field,), f"{field} {amount:+g}", lambda m, _: operators.affine(m, field, 1.0, amount))


def frozen(*fields: str) -> Corruption:
    """The fields keep their value for a run of messages."""
    return Corruption("frozen", Aspect.UNIQUENESS, fields, f"{_named(fields)} frozen", operators.frozen(fields))


def replayed() -> Corruption:
    """Messages come a second time."""
    return Corruption("replay", Aspect.UNIQUENESS, (), "orders are replayed", operators.replayed)


def near_duplicates(field: str) -> Corruption:
    """Messages come a second time with a new value of one field (a retry under a new id)."""
    return Corruption("near_duplicate", Aspect.UNIQUENESS, (field,), f"orders repeat under a new {field}", operators.near_duplicates(field))


def shuffled(*fields: str) -> Corruption:
    """The fields, together, are dealt anew among the messages: each keeps its distribution and loses its relations."""
    return Corruption("shuffle", Aspect.COHERENCE, fields, f"{_named(fields)} shuffled", operators.shuffled(fields))


def wrong_product(total: str, first: str, second: str) -> Corruption:
    """A total is no longer the product of its factors: it is off by up to 40 %, well within its usual range."""
    return _each(
        "wrong_total",
        Aspect.COHERENCE,
        (total,),
        f"{total} != {first} x {second}",
        lambda m, rng: operators.affine(m, total, rng.uniform(0.6, 1.4), 0.0),
    )


def dropped() -> Corruption:
    """Messages are lost."""
    return Corruption("volume_drop", Aspect.VOLUME, (), "orders are lost", operators.dropped)


def surge(stream: OrderStream) -> Corruption:
    """More of the same, freshly made: twice the volume at fraction 1."""
    return Corruption("volume_surge", Aspect.VOLUME, (), "orders surge", operators.surge(stream.window_at))


def late(delay_ms: int = 180_000) -> Corruption:
    """A backlog arrives: timestamps are `delay_ms` to twice as much in the past."""
    return _each("late_burst", Aspect.TIMELINESS, (), f"orders are {delay_ms // 1000} s late", operators.delayed(delay_ms))


def disordered(spread_ms: int = 8_000) -> Corruption:
    """Timestamps are up to `spread_ms` too early: out of order, though not late beyond the usual allowance."""
    return _each("disorder", Aspect.TIMELINESS, (), "orders out of order", operators.jittered(spread_ms))


def default_corruptions(stream: OrderStream | None = None) -> tuple[Corruption, ...]:
    """One of each kind, for that stream of orders (the default one if not given). Names are unique."""
    return (
        nulls("email"), missing("payment_method"), disguised("customer"),
        type_flip("price"), date_format("created_at"), malformed(), renamed("quantity", "qty"), swapped("channel", "status"),
        new_category("payment_method", "crypto"), scaled("price"), shifted("quantity", 3),
        frozen("price", "quantity", "total"), replayed(), near_duplicates("order_id"),
        shuffled("shipping.city"), wrong_product("total", "quantity", "price"),
        dropped(), surge(stream or OrderStream()),
        late(), disordered(),
    )  # fmt: skip


def named(name: str, stream: OrderStream | None = None) -> Corruption:
    """The default corruption of that name; ValueError that lists the names if there is none."""
    known = {corruption.name: corruption for corruption in default_corruptions(stream)}
    if name not in known:
        raise ValueError(f"expected one of {', '.join(known)}; got {name!r}")
    return known[name]
