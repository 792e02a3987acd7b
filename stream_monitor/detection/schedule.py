"""When references are re-trained: early and often at first, then each time history has grown by half, at least every 400 windows."""

from __future__ import annotations

FIRST, GROWTH, LONGEST = 5, 1.5, 400


def first_training() -> int:
    """Windows before the first reference: fewer can't be cross-fitted."""
    return FIRST


def next_training(windows: int) -> int:
    """The number of windows at which to train again after training at `windows`.

    >>> [next_training(n) for n in (5, 8, 12, 1000)]
    [8, 12, 18, 1400]
    """
    return min(max(windows + 1, round(windows * GROWTH + 0.01)), windows + LONGEST)
