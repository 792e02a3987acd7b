"""Parquet rows as JSON records; needs the `parquet` extra (pyarrow)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from stream_monitor.errors import InputError
from stream_monitor.evaluation.event_times import value_at
from stream_monitor.evaluation.raw import CHUNK_RECORDS, Raw


def read_parquet(path: Path, timestamp_field: str | None = None) -> Iterator[Raw]:
    """Records of a Parquet file: times as ISO 8601, decimals as numbers, durations in seconds, bytes as text, NaN as null.

    Raises:
        InputError: pyarrow is missing, or the file is no Parquet, or has no column `timestamp_field`.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError("reading Parquet needs pyarrow, which is not installed: pip install 'stream-monitor[parquet]'") from error
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if timestamp_field is not None and timestamp_field.partition(".")[0] not in names and timestamp_field not in names:
                raise InputError(f"--timestamp-field: expected one of the columns {', '.join(names[:20])}, got {timestamp_field!r}")
            schema = pa.schema([_python_sized(field) for field in file.schema_arrow])
            for batch in file.iter_batches(batch_size=CHUNK_RECORDS):
                rows = batch.cast(schema, safe=False).to_pylist()
                values = [orjson.dumps(row, default=_plain, option=orjson.OPT_NON_STR_KEYS) for row in rows]
                yield Raw(values, [value_at(row, timestamp_field) for row in rows] if timestamp_field else None)
    except pa.ArrowException as error:
        raise InputError(f"expected Parquet in {path}, got: {error}") from error


def _python_sized(field: Any) -> Any:
    """The field with nanoseconds as microseconds, which is all that Python's datetime holds."""
    import pyarrow as pa

    kind = field.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return field.with_type(pa.timestamp("us", kind.tz))
    return field.with_type(pa.duration("us")) if pa.types.is_duration(kind) and kind.unit == "ns" else field


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
