"""Newline-delimited JSON, and the same in the envelopes that `kcat -J` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

import orjson

from stream_monitor.errors import InputError
from stream_monitor.evaluation.event_times import value_at
from stream_monitor.evaluation.raw import Raw

CHUNK_BYTES = 2**19
_ENVELOPE = {"topic": str, "partition": int, "offset": int, "tstype": str, "ts": int}
_NO_TIME = "unknown"


def read_ndjson(stream: BinaryIO, timestamp_field: str | None = None) -> Iterator[Raw]:
    """Records, one a line; blank lines are left out, and what is no JSON is a record all the same: judging it is the monitor's matter.

    If the first line is a kcat envelope, all are: values, keys, positions and times are taken out of them.

    Raises:
        InputError: the file is one JSON array.
    """
    chunks = _chunks(stream)
    first = next(chunks, [])
    opening = first[0].strip() if first else b""
    if opening in (b"[", b"[{") or (opening.startswith(b"[{") and (len(first) == 1 or opening.endswith(b","))):
        raise InputError("expected one JSON record a line, got one JSON array: convert it with `jq -c '.[]'`")
    read = _envelopes if first and is_envelope(_loads(first[0])) else _plain
    for lines in chain([first] if first else [], chunks):
        yield read(lines, timestamp_field)


def _chunks(stream: BinaryIO) -> Iterator[list[bytes]]:
    while lines := stream.readlines(CHUNK_BYTES):
        kept = [line.rstrip(b"\r\n") for line in lines if not line.isspace()]
        if kept:
            yield kept


def is_envelope(record: Any) -> bool:
    """Whether a decoded line is what `kcat -J` writes."""
    return isinstance(record, dict) and "payload" in record and all(isinstance(record.get(key), kind) for key, kind in _ENVELOPE.items())


def _plain(lines: list[bytes], timestamp_field: str | None) -> Raw:
    return Raw(lines, [value_at(_loads(line), timestamp_field) for line in lines] if timestamp_field else None)


def _envelopes(lines: list[bytes], timestamp_field: str | None) -> Raw:
    records = [_tolerant(line) for line in lines]
    envelopes = [record for record in records if is_envelope(record)]
    values = [_bytes(envelope["payload"]) for envelope in envelopes]
    return Raw(
        values,
        times=[value_at(_loads(value), timestamp_field) for value in values] if timestamp_field else _own_times(envelopes),
        partitions=[envelope["partition"] for envelope in envelopes],
        offsets=[envelope["offset"] for envelope in envelopes],
        keys=[_bytes(envelope.get("key")) for envelope in envelopes],
        topics=[envelope["topic"] for envelope in envelopes],
        skipped=len(lines) - len(envelopes),
    )


def _own_times(envelopes: list[dict[str, Any]]) -> list[float | None] | None:
    """Seconds that the envelopes tell; None where Kafka has no timestamps at all."""
    times = [None if envelope["tstype"] == _NO_TIME or envelope["ts"] < 0 else envelope["ts"] / 1000 for envelope in envelopes]
    return times if any(time is not None for time in times) else None


def _loads(line: bytes | None) -> Any:
    try:
        return orjson.loads(line or b"null")
    except orjson.JSONDecodeError:
        return None


def _tolerant(line: bytes) -> Any:
    """A decoded envelope. kcat copies payloads as they are, so one may hold bytes that are not UTF-8: these must survive."""
    decoded = _loads(line)
    if decoded is not None:
        return decoded
    try:
        return json.loads(line.decode("utf-8", "surrogateescape"), strict=False)
    except ValueError:
        return None


def _bytes(text: Any) -> bytes | None:
    """The bytes that kcat read; with `-s value=avro` it writes payloads as JSON instead of strings."""
    if text is None:
        return None
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else orjson.dumps(text)
