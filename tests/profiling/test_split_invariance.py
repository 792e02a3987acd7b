"""The law of profiles: the same bytes however the records were split."""

import os
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.profiling import pane_buffer
from stream_monitor.profiling.profile import Profile
from stream_monitor.profiling.stream_profiler import StreamProfiler
from tests.profiling.streams import Record, awkward_stream, feed, panes_of, profiled


def as_bytes(panes: dict[int, Profile]) -> dict[int, bytes]:
    return {start: profile.to_bytes() for start, profile in panes.items()}


def split_up(records: list[Record], rng: random.Random, drains: float, workers: int) -> dict[int, Profile]:
    """Partitions over workers that restart from their metadata, random batches, random drains, deltas merged in random order."""
    deltas = []
    profilers = [StreamProfiler("t") for _ in range(workers)]
    owner = {record.partition: record.partition % workers for record in records}
    at = 0
    while at < len(records):
        batch = records[at : at + rng.randrange(1, 60)]
        at += len(batch)
        for number, profiler in enumerate(profilers):
            mine = [record for record in batch if owner[record.partition] == number]
            if mine:
                feed(profiler, mine)
        if rng.random() < drains:
            number = rng.randrange(workers)
            old = profilers[number]
            deltas += old.drain()
            profilers[number] = StreamProfiler("t")
            for partition, clock in old.partitions.items():
                profilers[number].assign(partition, clock.next_offset, old.metadata(partition))
    deltas += [delta for profiler in profilers for delta in profiler.drain()]
    rng.shuffle(deltas)
    return panes_of(deltas)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 400), workers=st.integers(1, 3), drains=st.sampled_from([0.0, 0.1, 0.5]))
def test_profiles_are_the_same_bytes_however_records_are_split(seed: int, size: int, workers: int, drains: float) -> None:
    records = awkward_stream(seed, size)
    rng = random.Random(seed + 1)
    assert as_bytes(split_up(records, rng, drains, workers)) == as_bytes(profiled(records))


def test_profiles_are_the_same_bytes_when_sketches_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    records = awkward_stream(7, 9000, seconds=50)
    whole = as_bytes(profiled(records))
    monkeypatch.setattr(pane_buffer, "PROFILE_AT", 700)
    monkeypatch.setattr(pane_buffer, "DECODE_AT", 100)
    assert as_bytes(split_up(records, random.Random(1), 0.05, 2)) == whole


def test_every_record_counts_exactly_once() -> None:
    records = awkward_stream(11, 3000)
    panes = profiled(records)
    assert sum(profile.read for profile in panes.values()) == len(records)
    assert sum(profile.tombstones for profile in panes.values()) <= sum(record.value is None for record in records)
    assert sum(profile.timing.late for profile in panes.values()) > 0
    assert sum(profile.timing.future for profile in panes.values()) > 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_merging_is_associative_and_commutative_with_a_neutral_element(seed: int) -> None:
    a, b, c = (
        next(iter(profiled([record for record in awkward_stream(seed, 120, partitions=3, seconds=20) if record.partition == own]).values()))
        for own in range(3)
    )
    assert a.merge(b).to_bytes() == b.merge(a).to_bytes()
    assert a.merge(b).merge(c).to_bytes() == a.merge(b.merge(c)).to_bytes()
    assert a.merge(Profile.empty()).to_bytes() == a.to_bytes() == Profile.empty().merge(a).to_bytes()


def test_what_the_caps_drop_does_not_depend_on_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    from stream_monitor.profiling import chunk_profile, profile

    for module in (chunk_profile, profile):
        monkeypatch.setattr(module, "MAX_FIELDS", 6)
        monkeypatch.setattr(module, "TRACKED_FIELDS", 3)
        monkeypatch.setattr(module, "SAMPLED_FIELDS", 4)
    records = awkward_stream(5, 800)
    whole = profiled(records)
    split = split_up(records, random.Random(2), 0.3, 3)
    for start, profile_ in whole.items():
        assert list(split[start].fields) == list(profile_.fields)
        assert split[start].dropped_values == profile_.dropped_values > 0
        assert set(split[start].sample.columns) == set(profile_.sample.columns)
        for path, field in profile_.fields.items():
            assert (split[start].fields[path].kinds == field.kinds).all()
            assert (split[start].fields[path].minus is None) == (field.minus is None)



PROGRAM = """
from tests.profiling.streams import awkward_stream, profiled
import hashlib
print(hashlib.sha256(b"".join(p.to_bytes() for p in profiled(awkward_stream(3, 300)).values())).hexdigest())
"""


@pytest.mark.slow
def test_profiles_are_the_same_bytes_in_every_process() -> None:
    seen = set()
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."}, capture_output=True, text=True,
            check=True, timeout=100,
        )
        seen.add(done.stdout)
    assert len(seen) == 1
