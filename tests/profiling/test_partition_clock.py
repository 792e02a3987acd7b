"""Event time of a partition: late, early, absurd and absent timestamps."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import FormatError
from stream_monitor.profiling.event_time import event_times, to_epoch_ms
from stream_monitor.profiling.partition_clock import AGREEING, HOUR_MS, PartitionClock

T0 = 1_700_000_040_000
MINUTE = 60_000


def clock(**options) -> PartitionClock:
    return PartitionClock(MINUTE, 10_000, **options)


def judge(own: PartitionClock, *times: int, arrivals: list[int] | None = None):
    return own.judge(np.array(times, dtype=np.int64), None if arrivals is None else np.array(arrivals, dtype=np.int64))


def test_a_record_is_late_once_its_pane_and_the_allowed_lateness_are_over() -> None:
    judged = judge(clock(), T0 + 5, T0 + MINUTE + 9_999, T0 + 59_999, T0 + MINUTE + 10_000, T0 + 59_999)
    assert judged.late.tolist() == [False, False, False, False, True]
    assert judged.disordered.tolist() == [False, False, True, False, False]


def test_a_timestamp_far_ahead_is_not_believed() -> None:
    own = clock()
    judged = judge(own, T0, T0 + 10 * HOUR_MS, T0 + 1000)
    assert judged.future.tolist() == [False, True, False]
    assert judged.timestamps_ms.tolist() == [T0, T0, T0 + 1000]
    assert own.watermark_ms == T0 + 1000


def test_arrival_supports_a_jump() -> None:
    later = T0 + 10 * HOUR_MS
    judged = judge(clock(), T0, later, arrivals=[T0 + 5, later - 200_000])
    assert not judged.future.any()
    assert judge(clock(), T0, later, arrivals=[T0, T0]).future.tolist() == [False, True]


def test_twenty_in_a_row_move_the_watermark() -> None:
    own = clock()
    judged = judge(own, T0, *(T0 + 10 * HOUR_MS - at for at in range(30)))
    assert judged.future.sum() == AGREEING - 1
    assert own.watermark_ms == T0 + 10 * HOUR_MS


def test_twenty_that_contradict_each_other_do_not() -> None:
    own = clock()
    rng = random.Random(1)
    judged = judge(own, T0, *(T0 + rng.randrange(10, 10**6) * HOUR_MS for _ in range(60)))
    assert judged.future.sum() == 60
    assert own.watermark_ms == T0


def test_a_sparse_stream_is_believed_after_twenty_records() -> None:
    judged = judge(clock(), *(T0 + 5 * HOUR_MS * at for at in range(60)))
    assert judged.future.sum() == AGREEING - 1
    assert not judged.future[AGREEING:].any()


def test_a_first_record_from_the_future_does_not_set_the_clock_when_its_arrival_is_known() -> None:
    own = clock()
    judged = judge(own, T0 + 10**10, T0, arrivals=[T0, T0 + 1])
    assert judged.future.tolist() == [True, False]
    assert not judged.late.any()
    assert own.watermark_ms == T0


def test_records_without_a_time_take_their_arrival_or_the_watermark() -> None:
    assert judge(clock(), -1, arrivals=[T0]).timestamps_ms.tolist() == [T0]
    own = clock()
    assert judge(own, -1, T0, -1).timestamps_ms.tolist() == [0, T0, T0]
    assert not judge(own, -1).late.any()


TIMES = st.lists(
    st.one_of(st.integers(-200_000, 400_000), st.just(None), st.integers(0, 10**10), st.just(8 * 10**7)).map(
        lambda at: -1 if at is None else T0 + at
    ),
    min_size=1, max_size=80,
)


@settings(deadline=None, max_examples=200)
@given(TIMES, st.lists(st.integers(1, 79), max_size=6), st.booleans())
def test_judgement_does_not_depend_on_batches_or_restarts(times: list[int], cuts: list[int], with_arrivals: bool) -> None:
    arrivals = [T0 + 1000 * at for at in range(len(times))] if with_arrivals else None
    own = clock()
    whole = judge(own, *times, arrivals=arrivals)
    bounds = sorted({0, len(times), *(cut for cut in cuts if cut < len(times))})
    pieces, text = [], ""
    for a, b in itertools.pairwise(bounds):
        part = clock()
        part.restore(text)
        pieces.append(judge(part, *times[a:b], arrivals=None if arrivals is None else arrivals[a:b]))
        text = part.metadata()
    for name in ("timestamps_ms", "late", "future", "disordered"):
        assert np.concatenate([getattr(piece, name) for piece in pieces]).tolist() == getattr(whole, name).tolist(), name
    assert text == own.metadata()
    assert len(text) <= 120


def test_a_text_that_no_clock_wrote_is_refused() -> None:
    for text in ("c2 1 2 3 4 5 6 7", "c1 1 2", "hello", "c1 a b c d e f g"):
        with pytest.raises(FormatError, match="clock"):
            clock().restore(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_700_000_000, 1_700_000_000_000), (1_700_000_000.25, 1_700_000_000_250), (1_700_000_000_123, 1_700_000_000_123),
        (1_700_000_000_123_456, 1_700_000_000_123), ("1700000000", 1_700_000_000_000), ("2023-11-14T22:13:20", 1_700_000_000_000),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000_000), ("2023-11-14T22:13:20.123Z", 1_700_000_000_123),
        ("2023-11-14", 1_699_920_000_000),
        (True, None), (None, None), ("soon", None), (-5, None), (1e300, None), ([], None), ("nan", None), ("1e999", None),
    ],
)  # fmt: skip
def test_times_are_read_from_numbers_and_iso_texts(value: object, expected: int | None) -> None:
    assert to_epoch_ms(value) == expected


def test_event_time_comes_from_a_field_and_falls_back_to_the_record() -> None:
    values = [b'{"at":{"t":1700000000}}', b'{"at.t":"2023-11-14T22:13:20Z"}', b'{"at":{}}', b"{", None, b'{"at":3}', b"[1]"]
    times = event_times(values, "at.t", np.arange(7))
    assert times.tolist() == [1_700_000_000_000, 1_700_000_000_000, 2, 3, 4, 5, 6]
