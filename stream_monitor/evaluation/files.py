"""Files of records as a stream: what `replay`, back-tests and notebooks feed to a Monitor.

NDJSON, `kcat -J` envelopes, CSV (all plain or gzipped, also from standard input) and Parquet. Several files are one stream, in the
order given; records are taken in file order. Memory: one chunk of records, whatever the size of the files.

    reader = RecordReader([Path("orders.ndjson.gz")], timestamp_field="created_at")
    for chunk in reader:
        monitor.observe(chunk.values, chunk.timestamps_ms)
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast

from stream_monitor.errors import InputError
from stream_monitor.evaluation.csv_records import read_csv
from stream_monitor.evaluation.event_times import EventTimes, time_like_fields
from stream_monitor.evaluation.ndjson import read_ndjson
from stream_monitor.evaluation.parquet_records import read_parquet
from stream_monitor.evaluation.raw import Raw

STDIN = Path("-")
_GZIP = b"\x1f\x8b"
_BUFFER = 2**18


class FileFormat(StrEnum):
    """What files hold; AUTO goes by the name: .csv, .tsv, .parquet, .pq, anything else is NDJSON."""

    AUTO = "auto"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some records, ready for `Monitor.observe`."""

    values: Sequence[bytes | None]
    timestamps_ms: Sequence[int]
    partitions: Sequence[int]
    offsets: Sequence[int]
    keys: Sequence[bytes | None] | None


class RecordReader:
    """Iterates over the chunks of some files, once. What it learns on the way is in its attributes.

    Args:
        paths: files; `-` is standard input.
        topic: what the stream is called. Of envelopes, only those of this topic are taken. Without it: the envelopes' topic, else the first
            file's name.
        timestamp_field: dotted path of the event time; else the envelope's; else records are spaced evenly, 500 a window.
        window_ms: length of a window, for that spacing.
        file_format: of all the files.

    Raises (while iterating):
        InputError: a file can't be read, or is not what it seems; names the file.
    """

    def __init__(
        self, paths: Sequence[Path], *, topic: str | None = None, timestamp_field: str | None = None, window_ms: int = 60_000,
        file_format: FileFormat = FileFormat.AUTO,
    ) -> None:
        self.paths = paths
        self.topic = topic
        self.records = 0
        self.skipped = 0
        """Lines of envelope files that are no envelopes."""
        self.time_like: list[str] = []
        """Fields that look like a time, when none was named and the file gives none; from the first record."""
        self.spaced = False
        """Whether times were made up."""
        self._field = timestamp_field
        self._times = EventTimes(window_ms)
        self._format = file_format
        self._named = topic is not None
        self._foreign: set[str] = set()
        self._done_bytes = 0
        self._handle: BinaryIO | None = None

    @property
    def undated(self) -> int:
        """Records that had no readable time and got that of the record before them."""
        return self._times.undated

    @property
    def bytes_total(self) -> int | None:
        """Size of all files as they are stored; None with standard input or a file that isn't there."""
        return sum(path.stat().st_size for path in self.paths) if all(path.is_file() for path in self.paths) else None

    @property
    def bytes_read(self) -> int:
        """Of `bytes_total`, for a progress bar."""
        handle = self._handle
        return self._done_bytes + (handle.tell() if handle is not None and not handle.closed and handle.seekable() else 0)

    def __iter__(self) -> Iterator[Chunk]:
        for path in self.paths:
            try:
                for raw in self._read(path):
                    chunk = self._chunk(raw, path)
                    if chunk.values:
                        yield chunk
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            except (OSError, EOFError, zlib.error) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise InputError(f"{path}: expected a readable file, got: {reason}") from error
            if self._handle is not None:
                self._done_bytes += path.stat().st_size if path.is_file() else 0
                self._handle = None
        if not self.records:
            seen = f" of topic {self.topic} (there are {', '.join(sorted(self._foreign)[:5])})" if self._foreign else ""
            raise InputError(f"expected records{seen}, got none in {', '.join(map(str, self.paths))}")

    # ----------------------------------------------------------------------------------------------------------- one file
    def _read(self, path: Path) -> Iterator[Raw]:
        kind = self._format_of(path)
        if kind is FileFormat.PARQUET:
            if path == STDIN:
                raise InputError("expected a file, as Parquet can't be read from standard input")
            path.stat()  # what is missing is missing whatever pyarrow makes of it
            yield from read_parquet(path, self._field)
            self._done_bytes += path.stat().st_size
            return
        with ExitStack() as stack:
            handle = cast("BinaryIO", sys.stdin.buffer) if path == STDIN else stack.enter_context(path.open("rb", _BUFFER))
            self._handle = handle
            stream: BinaryIO = handle
            if cast("io.BufferedReader", handle).peek(2)[:2] == _GZIP:
                stream = cast("BinaryIO", io.BufferedReader(stack.enter_context(gzip.GzipFile(fileobj=handle)), _BUFFER))
            if kind is FileFormat.CSV:
                text = io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="")
                stack.callback(text.detach)  # or it would close standard input
                yield from read_csv(text, self._field)
            else:
                yield from read_ndjson(stream, self._field)

    def _format_of(self, path: Path) -> FileFormat:
        if self._format is not FileFormat.AUTO:
            return self._format
        suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
        names = {".csv": FileFormat.CSV, ".tsv": FileFormat.CSV, ".parquet": FileFormat.PARQUET, ".pq": FileFormat.PARQUET}
        return names.get(suffix, FileFormat.NDJSON)

    # ---------------------------------------------------------------------------------------------------------- one chunk
    def _chunk(self, raw: Raw, path: Path) -> Chunk:
        if self.topic is None:
            self.topic = raw.topics[0] if raw.topics else "stdin" if path == STDIN else path.name.split(".")[0]
        raw = self._of_topic(raw)
        n = len(raw.values)
        first, self.records = self.records, self.records + n
        self.skipped += raw.skipped
        return Chunk(
            raw.values, self._stamp(raw), raw.partitions if raw.partitions is not None else [0] * n,
            raw.offsets if raw.offsets is not None else range(first, first + n), raw.keys,
        )

    def _of_topic(self, raw: Raw) -> Raw:
        """Without the envelopes of other topics."""
        if raw.topics is None or not (foreign := {topic for topic in raw.topics if topic != self.topic}):
            return raw
        if not self._named:
            other = min(foreign)
            raise InputError(f"expected envelopes of one topic, got {self.topic} and {other}: choose one with --topic")
        self._foreign |= foreign
        return raw.take([place for place, topic in enumerate(raw.topics) if topic == self.topic])

    def _stamp(self, raw: Raw) -> list[int]:
        if not raw.values:
            return []
        if raw.times is not None:
            return self._times.own(raw.times, self._field or "(the envelope's ts)")
        if not self.spaced:
            self.spaced, self.time_like = True, time_like_fields(raw.values[0])
        return self._times.spaced(len(raw.values))
