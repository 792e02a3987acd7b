"""The law of measuring: the vector of some records is the sum of the vectors of their parts, exactly."""

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.decoding.json_records import JsonDecoder
from stream_monitor.detection.pool import PaneRows, Pool, absent
from stream_monitor.detection.reference_builder import learn_probabilities, learn_structure
from stream_monitor.profiling.measure import Measured, measure, measurer
from stream_monitor.profiling.reference import FIXED_POINT, MISSING, UNSEEN, Reference
from tests.streams import healthy

ODD = [
    {}, {"city": None}, {"city": 5, "price": "x"}, {"price": 1e308, "total": -1e308}, {"quantity": 1e30}, {"country": "ZZ", "city": "Lyon"},
    {"quantity": 2**63}, {"geo": "none"}, {"geo": {"lat": True}}, {"price": [1]}, {"phone": ""},
    {"coupon": "never seen", "price": -0.0}, {"price": 5e-324},
]


def columns_of(records):
    batch = JsonDecoder().decode([orjson.dumps(record) for record in records])
    return {path: column for path, column in batch.columns.items() if column.owners is None}, len(batch.rows)


def part(columns, rows):
    return {path: column.take(np.asarray(rows, np.int64)) for path, column in columns.items()}


@pytest.fixture(scope="module")
def reference():
    pool = Pool.join([PaneRows(n, columns) for columns, n in (columns_of(healthy(number)) for number in range(10))])
    structure = learn_structure(pool, {}, seed=0)
    return Reference(1, 0, structure, learn_probabilities(structure, pool, np.ones(len(pool), np.bool_)))


@pytest.fixture(scope="module")
def records():
    columns, n = columns_of(healthy(77, records=120) + ODD)
    return columns, n


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_vectors_of_any_split_add_up_to_the_vector_of_the_whole(reference, records, data):
    columns, n = records
    parts = data.draw(st.integers(1, 6))
    owner = np.random.default_rng(data.draw(st.integers(0, 2**32))).integers(0, parts, n)
    whole = measure(columns, n, reference)
    assert whole.dtype == np.int64
    total = sum((measure(part(columns, np.flatnonzero(owner == p)), int((owner == p).sum()), reference) for p in range(parts)), 0 * whole)
    assert (total == whole).all()


def test_a_row_looks_the_same_whatever_its_batch(reference, records):
    columns, n = records
    ready = measurer(reference)
    whole = ready.rows(columns, n)
    for row in [0, 5, 60, *range(n - len(ODD), n)]:
        alone = ready.rows(part(columns, [row]), 1)
        for name in ("codes", "slots", "deviations", "joint", "tree_scores", "leaves"):
            mine, theirs = getattr(alone, name)[0], getattr(whole, name)[row]
            assert np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"), name
        for name in ("scores", "residuals", "beyond"):
            assert np.array_equal(getattr(alone, name)[:, 0], getattr(whole, name)[:, row]), name


def test_the_order_of_rows_does_not_matter(reference, records):
    columns, n = records
    assert (measure(part(columns, np.random.default_rng(0).permutation(n)), n, reference) == measure(columns, n, reference)).all()


def test_no_records_measure_nothing(reference):
    assert not measure({}, 0, reference).any()
    assert not measure(columns_of([])[0], 0, reference).any()


def test_a_column_that_is_not_there_is_absent_everywhere(reference, records):
    columns, n = records
    less = {path: column for path, column in columns.items() if path != "price"}
    assert (measure(less, n, reference) == measure({**less, "price": absent(n)}, n, reference)).all()


def test_unknown_columns_change_nothing(reference, records):
    columns, n = records
    assert (measure({**columns, "new": columns["price"]}, n, reference) == measure(columns, n, reference)).all()


def test_counts_are_the_counts(reference):
    columns, n = columns_of([{**record, "city": None} for record in healthy(3)] + [{"city": "Atlantis"}] * 7)
    measured = Measured(measurer(reference).layout, measure(columns, n, reference))
    city = measured["bins"][reference.paths.index("city")]
    assert measured.rows == n
    assert city[MISSING] == n - 7
    assert city[UNSEEN] == 7
    assert (measured["bins"].sum(1) == n).all()
    assert (measured["mass"].sum(1) == n).all()


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324])
def test_one_wild_number_moves_no_mean_far(reference, wild):
    columns, n = columns_of(healthy(9))
    wilder = columns["price"].take(np.arange(n))
    wilder.numbers[0] = wild
    ready = measurer(reference)
    before, after = (Measured(ready.layout, ready.measure({**columns, "price": price}, n)) for price in (columns["price"], wilder))
    for name, most in (("moments", 100), ("linear", 9), ("joint", 1.5), ("pairs", 3)):
        assert np.abs(after[name] - before[name]).max() <= (most + 20) * FIXED_POINT, name


def test_broken_relations_show_in_every_kind_of_relation(reference):
    fine, n = columns_of(healthy(30))
    mixed, reversed_ = np.random.default_rng(0).permutation(n), np.arange(n)[::-1]
    broken = {**fine, "country": fine["country"].take(mixed), "total": fine["total"].take(reversed_)}
    ready = measurer(reference)
    before, after = (Measured(ready.layout, ready.measure(columns, n)) for columns in (fine, broken))
    assert after["pairs"][:, 0].sum() > before["pairs"][:, 0].sum() + 20
    assert after["joint"][reference.paths.index("country"), 1] > before["joint"][reference.paths.index("country"), 1] + 20
    assert after["linear"][1, :, 1].sum() > before["linear"][1, :, 1].sum() + 20
