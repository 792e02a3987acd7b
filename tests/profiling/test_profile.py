"""What a profile says of records, and its bytes."""

import contextlib

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.decoding.columns import Kind
from stream_monitor.decoding.hashing import hash_positions
from stream_monitor.errors import FormatError
from stream_monitor.profiling import codec, pane_buffer
from stream_monitor.profiling.profile import MAGIC, VERSION, Profile
from tests.profiling.streams import BASE_MS, Record, awkward_stream, profiled


def profile_of(*values: object, first: int = 0) -> Profile:
    records = [
        Record(value if value is None or isinstance(value, bytes) else orjson.dumps(value), BASE_MS, 0, first + place, None)
        for place, value in enumerate(values)
    ]
    return profiled(records)[BASE_MS]


def test_a_profile_counts_what_it_read() -> None:
    profile = profile_of({"a": 1, "b": None}, {"a": "x"}, {"a": 2.5, "b": [1, 2]}, None, b"{", b'{"a":1,"a":2}')
    assert (profile.records, profile.tombstones, profile.well_formed, profile.duplicate_keys, profile.bytes) == (5, 1, 4, 1, 58)
    assert sum(profile.malformed.values()) == 1
    assert [position[1:3] for position in profile.malformed_positions] == [(0, 4)]
    a, b = profile.fields["a"], profile.fields["b"]
    assert {Kind(kind): int(count) for kind, count in enumerate(a.kinds) if count} == {Kind.INT: 2, Kind.STRING: 1, Kind.FLOAT: 1}
    assert b.kinds[Kind.ABSENT] == 2
    assert (b.kinds[Kind.NULL], b.present, b.sizes.sum) == (1, 1, 2)
    assert (a.numbers.count, a.numbers.sum.value(), a.lengths.count, a.values.distinct()) == (3, 5.5, 1, 4.0)
    assert profile.fields["b[]"].elements
    assert profile.fields["b[]"].minus is None


def test_repeated_records_are_seen_whole_and_but_for_one_field() -> None:
    rows = [{"id": i % 90, "v": i % 30, "tags": ["x", i % 30]} for i in range(100)]
    profile = profile_of(*rows)
    assert profile.rows.repeated() == pytest.approx(10)
    minus = profile.fields["id"].minus
    assert minus is not None
    assert minus.distinct() == 30


def test_elements_in_another_order_make_another_record() -> None:
    assert profile_of({"a": [1, 2]}, {"a": [2, 1]}, {"a": [1, 2]}).rows.distinct() == 2


def test_a_field_that_comes_and_goes_keeps_its_near_repeats() -> None:
    """More whole-record hashes than are kept, while a field that the later chunk lacks has few hashes without it."""
    early = [{"id": i, "c": i % 3} for i in range(8192)]
    late = [{"c": i} for i in range(300)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pane_buffer, "PROFILE_AT", 10**6)
        whole = profile_of(*early, *late)
        patch.setattr(pane_buffer, "PROFILE_AT", 1024)
        assert profile_of(*early, *late).to_bytes() == whole.to_bytes()


def test_the_sample_is_of_the_records_with_the_smallest_position_hashes() -> None:
    profile = profile_of(*({"n": i} for i in range(4000)), first=10)
    priorities = hash_positions(0, np.arange(10, 4010))
    best = np.argsort(priorities)[:1024]
    assert np.array_equal(profile.sample.offsets, best + 10)
    assert np.array_equal(profile.sample.columns["n"].numbers, best.astype(np.float64))


def test_a_profile_survives_its_bytes() -> None:
    for profile in profiled(awkward_stream(21, 500)).values():
        again = Profile.from_bytes(profile.to_bytes())
        assert again.to_bytes() == profile.to_bytes()
        assert again.order.by_field() == profile.order.by_field()
        assert again.fields.keys() == profile.fields.keys()


def test_measured_vectors_add_up_by_version() -> None:
    from dataclasses import replace

    one = replace(Profile.empty(), measured={1: np.array([1, 2]), 2: np.array([5])})
    both = one.merge(replace(Profile.empty(), measured={1: np.array([10, 20])}))
    assert {version: counts.tolist() for version, counts in both.measured.items()} == {1: [11, 22], 2: [5]}
    assert Profile.from_bytes(both.to_bytes()).to_bytes() == both.to_bytes()
    with pytest.raises(FormatError, match="disagree"):
        both.merge(replace(Profile.empty(), measured={1: np.array([1])}))


BLOB = next(iter(profiled(awkward_stream(8, 60)).values())).to_bytes()


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, len(BLOB) - 1), flip=st.integers(1, 255), cut=st.integers(0, len(BLOB) - 1))
def test_corrupt_bytes_raise_format_error_and_nothing_else(place: int, flip: int, cut: int) -> None:
    broken = bytearray(BLOB)
    broken[place] ^= flip
    for blob in (bytes(broken), BLOB[:cut], BLOB + b"x"):
        with contextlib.suppress(FormatError):
            assert Profile.from_bytes(blob).to_bytes() == BLOB  # the version may become an older one


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=20) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=11) | st.dictionaries(st.text(max_size=3), children, max_size=3), max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(JSON_LIKE)
def test_a_sealed_state_of_another_shape_raises_format_error(shape: object) -> None:
    with pytest.raises(FormatError):
        Profile.from_bytes(codec.seal(MAGIC, VERSION, shape))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_state_with_one_part_replaced_raises_format_error_or_is_read(data: st.DataObject) -> None:
    state = codec.unseal(MAGIC, VERSION, BLOB)
    node = state
    while True:
        place = data.draw(st.integers(0, len(node) - 1))
        if not isinstance(node[place], list) or not node[place] or data.draw(st.booleans()):
            node[place] = data.draw(JSON_LIKE)
            break
        node = node[place]
    with contextlib.suppress(FormatError):
        Profile.from_bytes(codec.seal(MAGIC, VERSION, state))


def test_bytes_of_a_newer_version_are_refused_with_a_hint() -> None:
    with pytest.raises(FormatError, match="upgrade"):
        Profile.from_bytes(codec.seal(MAGIC, VERSION + 1, []))
