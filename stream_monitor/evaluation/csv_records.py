"""CSV rows as JSON records.

The first row is the header. An empty cell is null. A column is numeric when all of its cells in the first rows that have any are
numbers; in a numeric column, what is a number becomes one, digit by digit as written, and what is not stays a string, so that a type
that flips later is seen. Anything else is a string: no guesses at dates or booleans, and `007` keeps its zeros. A row that is too short
lacks the last fields; one that is too long has the rest under `extra_cells`.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TextIO

import orjson

from stream_monitor.errors import InputError
from stream_monitor.evaluation.raw import CHUNK_RECORDS, Raw

EXTRA = "extra_cells"
_DELIMITERS = ",;\t|"
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)


def read_csv(stream: TextIO, timestamp_field: str | None = None) -> Iterator[Raw]:
    """Records of a CSV file whose delimiter is the comma, semicolon, tab or bar that its header holds most of.

    Raises:
        InputError: it has no header, or no column `timestamp_field`, or is no CSV.
    """
    csv.field_size_limit(sys.maxsize)
    header_line = stream.readline()
    delimiter = max(_DELIMITERS, key=header_line.count)
    names = _names(next(csv.reader([header_line], delimiter=delimiter), []))
    if timestamp_field is not None and timestamp_field not in names:
        raise InputError(f"--timestamp-field: expected one of the columns {', '.join(names[:20])}, got {timestamp_field!r}")
    place = names.index(timestamp_field) if timestamp_field is not None else None
    table = _Table(names)
    reader = csv.reader(stream, delimiter=delimiter)
    while rows := _rows(reader):
        yield Raw(table.records(rows), None if place is None else [row[place] if place < len(row) else None for row in rows])


def _rows(reader: Any) -> list[list[str]]:
    try:
        return [row for row in islice(reader, CHUNK_RECORDS) if row]
    except csv.Error as error:
        raise InputError(f"expected CSV, got {error} after line {reader.line_num}") from error


def _names(header: Sequence[str]) -> list[str]:
    """Unique, non-empty names of the columns."""
    if not header:
        raise InputError("expected CSV with the names of the columns in the first line, got an empty file")
    names: list[str] = []
    for place, cell in enumerate(header):
        name = cell.strip().lstrip("\ufeff") or f"column_{place + 1}"
        names.append(f"{name}_{place + 1}" if name in names else name)
    return names


class _Table:
    """Turns rows into JSON and remembers which columns are numeric."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._numeric: list[bool | None] = [None] * len(names)

    def records(self, rows: Sequence[Sequence[str]]) -> list[bytes]:
        self._decide(rows)
        return [self._record(row) for row in rows]

    def _decide(self, rows: Sequence[Sequence[str]]) -> None:
        for place, known in enumerate(self._numeric):
            if known is None:
                cells = [row[place] for row in rows if place < len(row) and row[place]]
                self._numeric[place] = all(map(_NUMBER.fullmatch, cells)) if cells else None

    def _record(self, row: Sequence[str]) -> bytes:
        cells = zip(self._names, row, self._numeric, strict=False)
        record: dict[str, Any] = {name: (_number(cell) if numeric else cell) if cell else None for name, cell, numeric in cells}
        if len(row) > len(self._names):
            record[EXTRA] = list(row[len(self._names):])
        return orjson.dumps(record)


def _number(cell: str) -> Any:
    """The number in a cell, or the cell."""
    if _JSON_NUMBER.fullmatch(cell):
        return orjson.Fragment(cell)
    return float(cell) if _NUMBER.fullmatch(cell) else cell
