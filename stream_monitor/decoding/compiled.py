"""The one way that functions are compiled here: cached on disk, without the GIL, with strict IEEE arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba  # type: ignore[import-untyped,unused-ignore]

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` compiled by numba at its first call with given types; later processes load it from the cache.

    Never with fastmath: NaN, -0.0 and the order of additions must mean the same on every machine.
    """
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True, fastmath=False)(function))
