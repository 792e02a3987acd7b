"""References as bytes, and what learning one makes of healthy rows."""

import dataclasses
import random

import numpy as np
import pytest

from stream_monitor.decoding.json_records import JsonDecoder
from stream_monitor.detection.pool import PaneRows, Pool
from stream_monitor.detection.reference_builder import learn_probabilities, learn_structure
from stream_monitor.errors import FormatError
from stream_monitor.profiling.reference import BINS, Reference
from tests.streams import encoded, healthy


def rows_of(number, records=150):
    values, _ = encoded(healthy(number, records=records), number)
    batch = JsonDecoder().decode(values)
    return PaneRows(len(batch.rows), {path: column for path, column in batch.columns.items() if column.owners is None}), batch.patterns


@pytest.fixture(scope="module")
def reference():
    panes, patterns = zip(*(rows_of(number) for number in range(12)), strict=True)
    pool = Pool.join(panes)
    structure = learn_structure(pool, {key: text for known in patterns for key, text in known.items()}, seed=0)
    return Reference(3, 1_750_000_000_000, structure, learn_probabilities(structure, pool, np.ones(len(pool), np.bool_)))


def same(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    return one == other


def test_a_reference_survives_its_bytes(reference):
    back = Reference.from_bytes(reference.to_bytes())
    assert same(back, reference)
    assert back.to_bytes() == reference.to_bytes()


def test_corrupt_bytes_are_refused_never_believed(reference):
    data, rng = reference.to_bytes(), random.Random(0)
    for _ in range(100):
        place = rng.randrange(len(data))
        broken = data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
        if broken[4:6] == data[4:6]:  # an older version's bytes may be read; anything else is refused
            with pytest.raises(FormatError):
                Reference.from_bytes(broken)
    for cut in (0, 3, 9, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(FormatError):
            Reference.from_bytes(data[:cut])


def test_a_newer_version_is_refused_with_advice(reference):
    data = reference.to_bytes()
    with pytest.raises(FormatError, match="upgrade"):
        Reference.from_bytes(data[:4] + (99).to_bytes(2, "little") + data[6:])


def test_other_things_well_sealed_are_refused(reference):
    from stream_monitor.profiling.codec import seal

    for state in ([1, 2], {"t": "Reference", "f": {}}, {"t": "Forest", "f": {"features": 1}}, None, {"t": "NoSuch", "f": {}}):
        with pytest.raises(FormatError):
            Reference.from_bytes(seal(b"SMRF", 1, state))


def test_shares_are_probabilities(reference):
    healthy_ = reference.probabilities
    for field, known in zip(reference.structure.fields, healthy_.fields, strict=True):
        assert known.bins.sum() == pytest.approx(1)
        assert (known.bins > 0).all()
        assert len(known.bins) == BINS
        if field.numeric:
            assert known.slots.sum() == pytest.approx(1)
            assert (np.diff(field.edges) > 0).all()
    assert healthy_.leaf_mass.sum(1) == pytest.approx(1)


def test_fields_are_told_apart_by_what_they_hold(reference):
    fields = {field.path: field for field in reference.structure.fields}
    assert set(fields) == {"city", "country", "coupon", "geo.lat", "id", "phone", "price", "quantity", "total"}
    assert {path for path, field in fields.items() if field.numeric} == {"geo.lat", "price", "quantity", "total"}
    assert {"city", "country", "coupon", "quantity"} <= {path for path, field in fields.items() if field.closed}
    assert not any(fields[path].closed for path in ("id", "phone", "price", "total", "geo.lat"))
    assert {"id", "phone"} <= {path for path, field in fields.items() if field.by_pattern}


def test_probabilities_without_some_rows_share_the_structure_and_nothing_else():
    panes, _ = zip(*(rows_of(number) for number in range(6)), strict=True)
    pool = Pool.join(panes)
    structure = learn_structure(pool, {}, seed=0)
    whole, part = (learn_probabilities(structure, pool, pool.pane < panes_) for panes_ in (6, 3))
    assert whole.rows == len(pool)
    assert part.rows == int((pool.pane < 3).sum())
    assert all((a.bins >= 0).all() and a.bins.shape == b.bins.shape for a, b in zip(whole.fields, part.fields, strict=True))
    assert any((a.bins != b.bins).any() for a, b in zip(whole.fields, part.fields, strict=True))


def test_rows_under_suspicion_do_not_teach_about_their_field():
    fine, _ = rows_of(0)
    bad, _ = rows_of(1)
    bad.columns["price"].numbers[:] *= 1000
    pool = Pool.join([fine, dataclasses.replace(bad, excluded=frozenset({"price"}))])
    structure = learn_structure(pool, {}, seed=0)
    learned = learn_probabilities(structure, pool, np.ones(len(pool), np.bool_))
    known = dict(zip([field.path for field in structure.fields], learned.fields, strict=True))
    assert known["price"].high < 1000
    assert known["total"].bins.sum() == pytest.approx(1)


@pytest.mark.parametrize("records", [4, 60])
def test_hardly_any_rows_are_enough_for_a_reference(records):
    rows, _ = rows_of(0, records)
    pool = Pool.join([rows])
    structure = learn_structure(pool, {}, seed=0)
    learn_probabilities(structure, pool, np.zeros(len(pool), np.bool_))  # a fold may leave nothing


def test_no_rows_at_all_make_an_empty_reference():
    pool = Pool.join([PaneRows(0, {})])
    structure = learn_structure(pool, {}, seed=0)
    empty = Reference(1, 0, structure, learn_probabilities(structure, pool, np.zeros(0, np.bool_)))
    assert Reference.from_bytes(empty.to_bytes()).paths == ()
