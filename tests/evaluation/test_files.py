import gzip
import io
import json
import sys
from pathlib import Path

import pytest

from stream_monitor.errors import InputError
from stream_monitor.evaluation.event_times import SPACED_START_MS
from stream_monitor.evaluation.files import FileFormat, RecordReader

T0 = 1_404_172_800_000  # 2014-07-01


def read(*paths, **options):
    """The reader, and all of its records as (value, timestamp, partition, offset)."""
    reader = RecordReader(list(paths), **options)
    rows = [row for chunk in reader for row in zip(chunk.values, chunk.timestamps_ms, chunk.partitions, chunk.offsets, strict=True)]
    return reader, rows


def envelope(offset, payload, *, topic="orders", partition=0, ts=T0, tstype="create", key=None):
    where = {"topic": topic, "partition": partition, "offset": offset, "tstype": tstype, "ts": ts, "broker": 0}
    return json.dumps({**where, "key": key, "payload": payload}).encode() + b"\n"


@pytest.fixture
def file(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path
    return write


# ------------------------------------------------------------------------------------------------------------------ NDJSON
@pytest.mark.parametrize("name", ["orders.ndjson", "orders.json.gz"])
def test_ndjson_lines_are_taken_as_they_are(file, name):
    path = file(name, b'{"a":1}\r\n\n{broken\n[1]\nnull\n\xff\xfe\n  \n{"a":2}')
    reader, rows = read(path)
    assert [row[0] for row in rows] == [b'{"a":1}', b"{broken", b"[1]", b"null", b"\xff\xfe", b'{"a":2}']
    assert (reader.topic, reader.records, reader.bytes_read, reader.bytes_total) == ("orders", 6, path.stat().st_size, path.stat().st_size)


def test_records_without_times_are_spaced_500_a_window(file):
    path = file("x.ndjson", b'{"a":1,"created_at":"2024-01-01T00:00:00Z","n":7}\n' * 1001)
    reader, rows = read(path, window_ms=60_000)
    assert [rows[at][1] - SPACED_START_MS for at in (0, 1, 500, 1000)] == [0, 120, 60_000, 120_000]
    assert (reader.spaced, reader.time_like) == (True, ["created_at"])


def test_a_named_field_tells_the_time_and_what_has_none_takes_that_before_it(file):
    times = ["2014-07-01 00:00:00", T0 + 5000, "soon", T0 / 1000]
    lines = [{"no": 1}, *({"meta": {"at": time}} for time in times)]
    reader, rows = read(file("x.ndjson", "\n".join(map(json.dumps, lines)).encode()), timestamp_field="meta.at")
    assert [row[1] - T0 for row in rows] == [0, 0, 5000, 5000, 0]
    assert reader.undated == 2


def test_a_wrong_time_field_is_an_error_that_says_what_is_accepted(file):
    with pytest.raises(InputError, match=r"--timestamp-field at: expected epoch seconds or .* in the first 1 records, got nothing there"):
        read(file("x.ndjson", b'{"a":1}\n'), timestamp_field="at")
    with pytest.raises(InputError, match="got str in them"):
        read(file("x.ndjson", b'{"a":"x"}\n'), timestamp_field="a")


def test_several_files_are_one_stream(file):
    reader, rows = read(file("a.ndjson", b"1\n2\n"), file("b.ndjson.gz", b"3\n"))
    assert [(row[0], row[3]) for row in rows] == [(b"1", 0), (b"2", 1), (b"3", 2)]
    assert reader.topic == "a"


def test_a_json_array_gets_the_command_that_converts_it(file):
    for data in (b'[\n{"a":1}\n]', b'[{"a":1}, {"a":2}]', b'[{"a":1},\n{"a":2}]'):
        with pytest.raises(InputError, match=r"jq -c '\.\[\]'"):
            read(file("x.json", data))


# ------------------------------------------------------------------------------------------------------------------- kcat
def test_kcat_envelopes_are_opened(file):
    lines = [envelope(7, '{"a":1}', key="k", partition=2), envelope(8, None, ts=T0 + 1), b"no\n", envelope(9, {"avro": 1}, ts=T0 + 2)]
    reader = RecordReader([file("dump.json", b"".join(lines))])
    (chunk,) = reader
    assert list(chunk.values) == [b'{"a":1}', None, b'{"avro":1}']
    assert (list(chunk.partitions), list(chunk.offsets), list(chunk.keys)) == ([2, 0, 0], [7, 8, 9], [b"k", None, None])
    assert list(chunk.timestamps_ms) == [T0, T0 + 1, T0 + 2]
    assert (reader.topic, reader.skipped, reader.spaced) == ("orders", 1, False)


def test_payloads_that_are_no_utf_8_survive_the_envelope(file):
    line = envelope(1, "PAYLOAD").replace(b"PAYLOAD", b"\xff\xfe\x01")
    _, rows = read(file("dump.json", envelope(0, "{}") + line))
    assert rows[1][0] == b"\xff\xfe\x01"


def test_envelopes_without_timestamps_are_spaced(file):
    reader, _ = read(file("dump.json", envelope(0, "{}", ts=-1) + envelope(1, "{}", ts=0, tstype="unknown")))
    assert reader.spaced


def test_envelopes_of_several_topics_need_a_choice(file):
    path = file("dump.json", envelope(0, "1") + envelope(0, "2", topic="users") + envelope(1, "3"))
    with pytest.raises(InputError, match="expected envelopes of one topic, got orders and users: choose one with --topic"):
        read(path)
    assert [row[0] for row in read(path, topic="users")[1]] == [b"2"]
    with pytest.raises(InputError, match=r"expected records of topic clicks \(there are orders, users\)"):
        read(path, topic="clicks")


# -------------------------------------------------------------------------------------------------------------------- CSV
def test_csv_rows_become_json_records_and_numbers_are_known_by_column(file):
    text = 'id,zip,price,name,mixed\n1,01234,10.50,Ann,1\n2,98765,-3e2,,x\n3,00001,n/a,"a ""b"", c",\n'
    _, rows = read(file("x.csv", text.encode()))
    assert [row[0] for row in rows] == [
        b'{"id":1,"zip":"01234","price":"10.50","name":"Ann","mixed":"1"}',
        b'{"id":2,"zip":"98765","price":"-3e2","name":null,"mixed":"x"}',
        b'{"id":3,"zip":"00001","price":"n/a","name":"a \\"b\\", c","mixed":null}',
    ]


def test_in_a_numeric_column_numbers_keep_their_digits_and_what_is_none_stays_text(file):
    rows = ["n,late"] + ["10.50,"] * 4096 + ["oops,7", "+3,x", " .5,8"]
    _, read_rows = read(file("x.csv.gz", "\n".join(rows).encode()))
    values = [row[0] for row in read_rows]
    assert values[0] == b'{"n":10.50,"late":null}'
    assert values[-3:] == [b'{"n":"oops","late":"7"}', b'{"n":3.0,"late":"x"}', b'{"n":0.5,"late":"8"}']


def test_ragged_rows_lack_fields_or_carry_extra_cells(file):
    _, rows = read(file("x.csv", b"a;b\n1;2\n3\n4;5;6;7\n\n"))
    assert [row[0] for row in rows] == [b'{"a":1,"b":2}', b'{"a":3}', b'{"a":4,"b":5,"extra_cells":["6","7"]}']


def test_csv_headers_are_made_unique_and_a_byte_order_mark_is_no_name(file):
    _, rows = read(file("x.tsv", "\ufeffa\t\ta\n1\t2\t3\n".encode()))
    assert rows[0][0] == b'{"a":1,"column_2":2,"a_3":3}'


def test_csv_times_come_from_a_column(file):
    reader, rows = read(file("taxi.csv", b"timestamp,value\n2014-07-01 00:00:00,1\n2014-07-01 00:30:00,2\n"), timestamp_field="timestamp")
    assert [row[1] - T0 for row in rows] == [0, 1_800_000]
    with pytest.raises(InputError, match="expected one of the columns timestamp, value, got 'time'"):
        read(reader.paths[0], timestamp_field="time")


# ---------------------------------------------------------------------------------------------------------------- Parquet
def test_parquet_rows_become_json_records(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    at = pa.array([T0 * 1_000_000 + 1, None], pa.timestamp("ns"))
    path = tmp_path / "orders.parquet"
    pq.write_table(pa.table({"id": [1, 2], "at": at, "tags": [["a"], None], "raw": [b"x", b"\xff"]}), path)
    reader, rows = read(path, timestamp_field="at")
    assert json.loads(rows[0][0]) == {"id": 1, "at": "2014-07-01T00:00:00", "tags": ["a"], "raw": "x"}
    assert [row[1] for row in rows] == [T0, T0]
    assert (reader.topic, reader.undated, reader.bytes_read) == ("orders", 1, reader.bytes_total)
    with pytest.raises(InputError, match="expected one of the columns id, at, tags, raw, got 'time'"):
        read(path, timestamp_field="time")


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"pip install 'stream-monitor\[parquet\]'"):
        read(tmp_path / "x.parquet")


# ----------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(("name", "data", "message"), [
    ("empty.ndjson", b"", "expected records, got none in .*empty.ndjson"),
    ("empty.csv", b"", "names of the columns in the first line, got an empty file"),
    ("header.csv", b"a,b\n", "expected records, got none"),
    ("x.parquet", b"PAR1garbage", "expected Parquet in"),
])
def test_what_is_empty_or_not_what_it_seems_is_refused(file, name, data, message):
    with pytest.raises(InputError, match=message):
        read(file(name, data))


def test_a_missing_file_and_a_torn_gzip_are_named(tmp_path):
    for name in ("no.ndjson", "no.parquet"):
        with pytest.raises(InputError, match=rf"{name}: expected a readable file, got: No such file"):
            read(tmp_path / name)
    torn = tmp_path / "torn.ndjson.gz"
    torn.write_bytes(gzip.compress(b'{"a":1}\n' * 10_000)[:-20])
    with pytest.raises(InputError, match=r"torn.ndjson.gz: expected a readable file, got: Compressed file ended"):
        read(torn)


@pytest.mark.parametrize(("data", "file_format", "value"), [
    (b'{"a":1}\n', FileFormat.AUTO, b'{"a":1}'),
    (gzip.compress(b'{"a":1}\n'), FileFormat.AUTO, b'{"a":1}'),
    (b"a\n1\n", FileFormat.CSV, b'{"a":1}'),
])
def test_standard_input_can_be_read(monkeypatch, data, file_format, value):
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)))
    monkeypatch.setattr(sys, "stdin", stdin)
    reader, rows = read(Path("-"), file_format=file_format)
    assert (reader.topic, [row[0] for row in rows], reader.bytes_total) == ("stdin", [value], None)
    assert not stdin.closed
