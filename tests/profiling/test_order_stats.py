"""Order across seams."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.decoding.columns import Column, Kind
from stream_monitor.profiling import order_stats
from stream_monitor.profiling.column_rows import absent
from stream_monitor.profiling.order_stats import FieldOrder, OrderStats

VALUES = st.lists(st.sampled_from([None, 1, 1, 2, 3, "x", "y", "y"]), min_size=1, max_size=40)


def column(values: list) -> Column:
    out = absent(len(values))
    for place, value in enumerate(values):
        if value is None:
            out.kinds[place] = Kind.NULL
            continue
        out.kinds[place] = Kind.INT if isinstance(value, int) else Kind.STRING
        out.hashes[place] = value if isinstance(value, int) else 1000 + ord(value)
        out.ordinals[place] = value if isinstance(value, int) else np.nan
    return out


def stats(values: list, start: int, partition: int = 0) -> OrderStats:
    offsets = np.arange(start, start + len(values))
    partitions = np.full(len(values), partition, dtype=np.int32)
    return OrderStats.of({partition: (start, start + len(values))}, partitions, offsets, {"f": column(values)})


def plain(values: list) -> FieldOrder:
    present = [value for value in values if value is not None]
    numbers = [value for value in present if isinstance(value, int)]
    longest, run = 0, 0
    for place, value in enumerate(present):
        run = run + 1 if place and value == present[place - 1] else 1
        longest = max(longest, run)
    return FieldOrder(
        sum(a == b for a, b in pairwise(present)), max(0, len(present) - 1), longest, sum(b < a for a, b in pairwise(numbers)),
        max(0, len(numbers) - 1),
    )


@settings(deadline=None)
@given(VALUES, st.lists(st.integers(1, 39), max_size=5), st.randoms(use_true_random=False))
def test_pieces_in_any_order_say_what_the_whole_says(values: list, cuts: list[int], rng) -> None:
    bounds = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    pieces = [stats(values[a:b], 100 + a) for a, b in pairwise(bounds)]
    rng.shuffle(pieces)
    merged = OrderStats.empty()
    for piece in pieces:
        merged = merged.merge(piece)
    assert merged.by_field().get("f", FieldOrder(0, 0, 0, 0, 0)) == plain(values)
    assert [len(own) for own in merged.segments.values()] == [1]
    assert merged.to_state() == stats(values, 100).to_state()


def test_pieces_with_a_hole_between_wait_until_they_are_sealed() -> None:
    merged = stats([1, 1], 0).merge(stats([1, 2], 10))
    assert len(merged.segments[0]) == 2
    assert len(merged.sealed().segments[0]) == 1
    assert merged.adjacent_equal("f") == (2, 3)
    assert merged.longest_run("f") == 3
    assert merged.sealed().to_state() == merged.sealed().sealed().to_state()


def test_partitions_are_not_neighbours() -> None:
    merged = stats([5, 4], 0, partition=0).merge(stats([4, 3], 0, partition=1))
    assert merged.adjacent_equal("f") == (0, 2)
    assert merged.descending("f") == (2, 2)
    assert merged.descending("absent") == (0, 0)


def test_no_more_segments_are_kept_than_the_cap_allows(monkeypatch) -> None:
    monkeypatch.setattr(order_stats, "MAX_SEGMENTS", 3)
    merged = OrderStats.empty()
    for place in range(6):
        merged = merged.merge(stats([1], 10 * place))
    assert len(merged.segments[0]) == 3
    assert merged.forced == 3
    assert merged.adjacent_equal("f") == (5, 5)
