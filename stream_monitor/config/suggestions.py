"""Unknown keys are errors that name the nearest known one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches


def nearest(unknown: str, known: Iterable[str], *, show: Callable[[str], str] = str) -> str:
    """A sentence that suggests the known key nearest to `unknown`, or lists them all; `show` turns a key into what the user writes.

    >>> nearest("completness", ["completeness", "volume"])
    "did you mean 'completeness'?"
    """
    names = list(known)
    matches = get_close_matches(unknown[:100].lower(), names, n=1, cutoff=0.6)
    return f"did you mean {show(matches[0])!r}?" if matches else f"known: {', '.join(sorted(map(show, names)))}"
