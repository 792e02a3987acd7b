"""Deltas as messages of the profiles topic.

Key: the monitored topic, so that all its deltas are in one partition, in order. A delta is in one or more chunks below 900 kB, one after
the other. Headers:

| header | value |
| --- | --- |
| `kind` | `delta`: what a profiler just read; `backfill`: a pane of the retained log, for the cold start; `backfill-end`: its end |
| `run` | with `backfill` and `backfill-end`: id of the cold start. A new id before an end: it was begun again from the beginning |
| `worker` | who produced it |

The value of `backfill-end` is JSON: `{"panes": n, "records": n, "complete": bool}`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from stream_monitor.profiling.delta import Delta
from stream_monitor.streaming.chunks import MAX_CHUNK_BYTES
from stream_monitor.streaming.commit import OutgoingMessage


class MessageKind(StrEnum):
    """The `kind` header. Readers must let unknown kinds pass."""

    DELTA = "delta"
    BACKFILL = "backfill"
    BACKFILL_END = "backfill-end"


class BackfillEnd(msgspec.Struct, frozen=True):
    """What a cold start delivered. `complete` is False if time or bytes ran out first."""

    panes: int
    records: int
    complete: bool


def delta_messages(profiles_topic: str, delta: Delta, *, worker: str, run: str | None = None) -> list[OutgoingMessage]:
    """The messages of one delta, in the order to produce them; with `run`, as part of that cold start."""
    kind = MessageKind.DELTA if run is None else MessageKind.BACKFILL
    headers = _headers(kind, worker, run)
    return [OutgoingMessage(profiles_topic, delta.topic.encode(), chunk, headers) for chunk in delta.chunk(MAX_CHUNK_BYTES)]


def backfill_end_message(profiles_topic: str, topic: str, end: BackfillEnd, *, worker: str, run: str) -> OutgoingMessage:
    """The message that ends a cold start."""
    return OutgoingMessage(profiles_topic, topic.encode(), msgspec.json.encode(end), _headers(MessageKind.BACKFILL_END, worker, run))


def _headers(kind: MessageKind, worker: str, run: str | None) -> tuple[tuple[str, bytes], ...]:
    own = (("kind", str(kind).encode()), ("worker", worker.encode()))
    return own if run is None else (*own, ("run", run.encode()))
