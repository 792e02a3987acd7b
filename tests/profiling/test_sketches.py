"""One sketch at a time: exact where it says so, close where it says so, and the same whatever the split."""

from fractions import Fraction

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import FormatError
from stream_monitor.profiling.bottom_k import BottomK
from stream_monitor.profiling.exact_sum import Dyadic
from stream_monitor.profiling.float_histogram import MAX_BUCKETS, FloatHistogram, float_keys, key_floats
from stream_monitor.profiling.lengths import LengthMoments
from stream_monitor.profiling.moments import LARGEST, ExactMoments
from stream_monitor.profiling.patterns import PatternCounts
from stream_monitor.profiling.timing import DELAY_BUCKETS, Timing, delay_buckets

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)


def state(sketch) -> bytes:
    return msgpack.packb(sketch.to_state())


def uniform(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, size, dtype=np.uint64)


@given(st.lists(FLOATS, max_size=60))
def test_a_sum_of_floats_is_exact(values: list[float]) -> None:
    assert Dyadic.sum_of(np.array(values, dtype=np.float64)).fraction() == sum((Fraction(value) for value in values), Fraction(0))


@given(st.lists(FLOATS, max_size=40), st.integers(0, 40))
def test_moments_do_not_depend_on_the_split(values: list[float], cut: int) -> None:
    numbers = np.array(values, dtype=np.float64)
    parts = ExactMoments.from_numbers(numbers[cut:]).merge(ExactMoments.from_numbers(numbers[:cut]))
    assert state(parts) == state(ExactMoments.from_numbers(numbers))


def test_moments_are_those_of_the_numbers() -> None:
    numbers = np.random.default_rng(1).lognormal(3, 2, 5000)
    moments = ExactMoments.from_numbers(numbers)
    assert moments.mean == pytest.approx(numbers.mean(), rel=1e-14)
    assert moments.variance == pytest.approx(numbers.var(ddof=1), rel=1e-12)


def test_one_huge_number_does_not_spoil_the_moments() -> None:
    moments = ExactMoments.from_numbers(np.array([1.0, 3.0, 1e300, np.inf, np.nan, -np.inf, -LARGEST * 2]))
    assert (moments.count, moments.extreme, moments.mean, moments.maximum) == (2, 5, 2.0, 3.0)


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(0, 200), st.sampled_from([1, 3, 8, 64]))
def test_bottom_k_does_not_depend_on_the_split(values: list[int], cut: int, k: int) -> None:
    hashes = uniform(0, 31)[values] if values else np.empty(0, dtype=np.uint64)
    parts = BottomK.from_hashes(hashes[cut:], k).merge(BottomK.from_hashes(hashes[:cut], k))
    assert state(parts) == state(BottomK.from_hashes(hashes, k))
    exact = {int(value): int((hashes == value).sum()) for value in np.unique(hashes)[:k]}
    assert dict(zip(parts.hashes.tolist(), parts.counts.tolist(), strict=True)) == exact


def test_bottom_k_of_many_is_the_same_with_and_without_what_was_known_before() -> None:
    hashes = np.repeat(uniform(1, 20_000), 2)
    first, rest = BottomK.from_hashes(hashes[:9000]), hashes[9000:]
    assert state(first.merge(BottomK.from_hashes(rest, below=first.threshold))) == state(BottomK.from_hashes(hashes))


def test_bottom_k_estimates_distinct_and_repeated_values() -> None:
    sketch = BottomK.from_hashes(np.concatenate((uniform(2, 50_000), uniform(2, 5000))))
    assert sketch.distinct() == pytest.approx(50_000, rel=0.1)
    assert sketch.repeated_rate() == pytest.approx(5000 / 55_000, abs=0.03)
    assert not sketch.is_complete


def test_bottom_k_is_exact_while_it_is_complete() -> None:
    hashes = uniform(3, 100)
    sketch = BottomK.from_hashes(np.concatenate((hashes, hashes[:7], hashes[:7])))
    assert sketch.is_complete
    assert (sketch.distinct(), sketch.repeated(), sketch.singles()) == (100.0, pytest.approx(14.0), 93)
    assert sketch.count(int(hashes[3])) == 3
    assert sketch.count(12345) == 0


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, 6000), scale=st.sampled_from([0.001, 1.0, 30.0]))
def test_a_histogram_is_as_fine_as_its_numbers_allow_and_does_not_depend_on_the_split(seed: int, cut: int, scale: float) -> None:
    numbers = np.random.default_rng(seed).normal(0, 1, 6000) * np.exp(scale * np.random.default_rng(seed).normal(0, 1, 6000))
    whole = FloatHistogram.from_numbers(numbers)
    assert state(FloatHistogram.from_numbers(numbers[cut:]).merge(FloatHistogram.from_numbers(numbers[:cut]))) == state(whole)
    first = FloatHistogram.from_numbers(numbers[:cut])
    assert state(first.merge(FloatHistogram.from_numbers(numbers[cut:], shift=first.shift))) == state(whole)
    assert len(whole.buckets) <= MAX_BUCKETS
    assert whole.shift == 0 or len(np.unique(float_keys(numbers) >> np.uint64(whole.shift - 1))) > MAX_BUCKETS


def test_quantiles_are_within_the_stated_error() -> None:
    numbers = np.random.default_rng(5).lognormal(3, 1, 20_000)
    histogram = FloatHistogram.from_numbers(numbers)
    q = np.linspace(0.001, 0.999, 99)
    true = np.sort(numbers)[np.ceil(q * len(numbers)).astype(int) - 1]
    assert np.all(np.abs(histogram.quantiles(q) / true - 1) <= histogram.relative_error)
    assert histogram.relative_error < 0.02


def test_quantiles_of_few_distinct_numbers_are_exact() -> None:
    histogram = FloatHistogram.from_numbers(np.repeat([-2.5, -0.0, 0.0, 1e9], 100))
    assert histogram.quantiles(np.array([0.0, 0.25, 0.5, 1.0])).tolist() == [-2.5, -2.5, 0.0, 1e9]
    assert histogram.cdf(np.array([-3.0, -2.5, 0.0, 2e9])).tolist() == [0.0, 0.25, 0.75, 1.0]


@given(st.lists(FLOATS, min_size=1))
def test_keys_order_as_numbers_do_and_can_be_turned_back(values: list[float]) -> None:
    numbers = np.sort(np.array(values) + 0.0)
    keys = float_keys(numbers)
    assert np.all(np.diff(keys.astype(object)) >= 0)
    assert np.array_equal(key_floats(keys), numbers)


@given(st.lists(st.integers(0, 2**23), max_size=50), st.integers(0, 50))
def test_lengths_do_not_depend_on_the_split(values: list[int], cut: int) -> None:
    lengths = np.array(values, dtype=np.uint32)
    whole = LengthMoments.from_lengths(lengths)
    assert whole == LengthMoments.from_lengths(lengths[:cut]).merge(LengthMoments.from_lengths(lengths[cut:]))
    assert (whole.sum, whole.sum_squares) == (sum(values), sum(value * value for value in values))


def test_patterns_keep_their_texts() -> None:
    hashes = uniform(9, 200)
    texts = {int(mask): f"p{place}" for place, mask in enumerate(hashes)}
    a, b = PatternCounts.from_masks(hashes[:120], texts), PatternCounts.from_masks(np.append(hashes, np.uint64(0)), texts)
    both = a.merge(b)
    assert len(both.by_text()) == 64
    assert both.counts.total == 320
    assert state(both) == state(b.merge(a)) == state(PatternCounts.from_state(msgpack.unpackb(state(both))))


def test_delays_fall_in_buckets_of_a_quarter_octave() -> None:
    delays = np.array([-5, 0, 1, 2, 3, 4, 1000, 2**45], dtype=np.int64)
    assert delay_buckets(delays).tolist() == [0, 1, 2, 6, 8, 10, 2 + 4 * 9 + 3, DELAY_BUCKETS - 1]
    timing = Timing.of(np.zeros(100, dtype=np.int64), np.full(100, 1000, dtype=np.int64))
    assert timing.delay_quantile(0.5) == pytest.approx(1000, rel=0.1)
    assert (timing.delay_mean, timing.delay_min, timing.delay_max) == (1000.0, 1000, 1000)


@pytest.mark.parametrize(
    "bad", [[4, 0, b"12345678" * 2, b"12345678"], [1, 0, b"1" * 16, b"1" * 16], [4, 0, b"2" * 8 + b"1" * 8, b"1" * 16]]
)
def test_a_state_that_no_sketch_wrote_is_refused(bad: list) -> None:
    with pytest.raises(FormatError):
        BottomK.from_state(bad)
