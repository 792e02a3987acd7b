"""What corruptions do to the messages of a window. Pure: (messages, fraction, rng) -> new messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stream_monitor.evaluation.messages import Message

Change = Callable[[Message, np.random.Generator], Message]
Operator = Callable[[Sequence[Message], float, np.random.Generator], list[Message]]


def hits(count: int, fraction: float, rng: np.random.Generator) -> list[int]:
    """Positions of `fraction` of `count` messages (at least one), ascending, drawn at random."""
    chosen: list[int] = np.sort(rng.permutation(count)[: max(1, round(count * fraction))]).tolist()
    return chosen


def run(count: int, fraction: float, rng: np.random.Generator) -> range:
    """A run of neighbouring positions, `fraction` of `count` long (at least one), at a random place."""
    length = max(1, round(count * fraction))
    start = int(rng.integers(0, count - length + 1))
    return range(start, start + length)


def on_hits(change: Change) -> Operator:
    """Changes each hit message by itself."""

    def operate(messages: Sequence[Message], fraction: float, rng: np.random.Generator) -> list[Message]:
        changed = list(messages)
        for i in hits(len(messages), fraction, rng):
            changed[i] = change(changed[i], rng)
        return changed

    return operate


def flipped(value: Any) -> Any:
    """A number as a string, anything else as the number 0."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def day_first(value: Any) -> Any:
    """`2026-01-31T...` as `31/01/2026 ...`; what is no such text is left."""
    if not isinstance(value, str) or len(value) < 19 or value[4] != "-":
        return value
    return f"{value[8:10]}/{value[5:7]}/{value[:4]} {value[11:19]}"


def truncated(message: Message, rng: np.random.Generator) -> Message:
    """The bytes, cut at a random place."""
    data = message.encoded()
    return replace(message, value=data[: int(rng.integers(1, max(2, len(data))))])


def affine(message: Message, field: str, factor: float, offset: float) -> Message:
    """A number times `factor` plus `offset`: an int stays one where the result is whole, all else is rounded to cents."""
    value = message.get(field)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return message
    result = round(value * factor + offset, 2)
    return message.put(field, int(result) if isinstance(value, int) and result == int(result) else result)


def frozen(fields: Sequence[str]) -> Operator:
    """In each partition, a run of messages keeps the values that the fields had at its start."""

    def operate(messages: Sequence[Message], fraction: float, rng: np.random.Generator) -> list[Message]:
        changed = list(messages)
        for partition in sorted({message.partition for message in messages}):
            own = [i for i, message in enumerate(messages) if message.partition == partition]
            stretch = run(len(own), fraction, rng)
            for place in stretch:
                for field in fields:
                    changed[own[place]] = changed[own[place]].put(field, messages[own[stretch.start]].get(field))
        return changed

    return operate


def replayed(messages: Sequence[Message], fraction: float, rng: np.random.Generator) -> list[Message]:
    """A run of messages comes again, as it was, right after its end, with the timestamps of the replay."""
    stretch = run(len(messages), fraction, rng)
    behind = messages[stretch.stop - 1].timestamp_ms
    again = [replace(messages[i], timestamp_ms=max(messages[i].timestamp_ms, behind)) for i in stretch]
    return [*messages[: stretch.stop], *again, *messages[stretch.stop :]]


def near_duplicates(field: str) -> Operator:
    """Each hit message is followed by a copy with another value of the field."""

    def operate(messages: Sequence[Message], fraction: float, rng: np.random.Generator) -> list[Message]:
        chosen = set(hits(len(messages), fraction, rng))
        changed: list[Message] = []
        for i, message in enumerate(messages):
            changed.append(message)
            if i in chosen:
                changed.append(message.put(field, renewed(message.get(field), rng)))
        return changed

    return operate


def renewed(value: Any, rng: np.random.Generator) -> Any:
    """Another value of the same form: the last four digits of a text, or a number, drawn anew."""
    if isinstance(value, str) and value[-4:].isdigit():
        return f"{value[:-4]}{rng.integers(5_000, 10_000):04d}"
    return int(rng.integers(0, 1_000_000)) if isinstance(value, int) else f"{rng.integers(0, 2**32):08x}"


def shuffled(fields: Sequence[str]) -> Operator:
    """The values of the fields (kept together) are passed on among the hit messages: none keeps its own, unless another has the same."""

    def operate(messages: Sequence[Message], fraction: float, rng: np.random.Generator) -> list[Message]:
        chosen = hits(len(messages), fraction, rng)
        givers = rng.permutation(chosen).tolist()
        changed = list(messages)
        for taker, giver in zip(givers, [*givers[1:], givers[0]], strict=True):
            for field in fields:
                changed[taker] = changed[taker].put(field, messages[giver].get(field))
        return changed

    return operate


def dropped(messages: Sequence[Message], fraction: float, rng: np.random.Generator) -> list[Message]:
    """The hit messages are gone."""
    gone = set(hits(len(messages), fraction, rng))
    return [message for i, message in enumerate(messages) if i not in gone]


def surge(fresh: Callable[[int, float], list[Message]]) -> Operator:
    """The window with (1 + fraction) times the records: `fresh(time in ms, volume)` makes it, so that nothing in it is a copy."""

    def operate(messages: Sequence[Message], fraction: float, _: np.random.Generator) -> list[Message]:
        return fresh(messages[0].timestamp_ms, 1.0 + fraction)

    return operate


def delayed(delay_ms: int) -> Change:
    """The timestamp is `delay_ms` to twice that in the past."""
    return lambda message, rng: message.moved(-int(rng.integers(delay_ms, 2 * delay_ms)))


def jittered(spread_ms: int) -> Change:
    """The timestamp is up to `spread_ms` in the past."""
    return lambda message, rng: message.moved(-int(rng.integers(1, spread_ms)))
