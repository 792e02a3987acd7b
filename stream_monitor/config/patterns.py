"""Field patterns: `*` is any run of characters (dots too), `?` is one, everything else is itself.

Not `fnmatch`: there `items[].price` would hold a character class.
"""

from __future__ import annotations


def is_pattern(pattern: str) -> bool:
    """Whether `pattern` has a wildcard."""
    return "*" in pattern or "?" in pattern


def specificity(pattern: str) -> tuple[bool, int, str]:
    """Sort key: larger is more specific. An exact path beats a pattern, more literal characters beat fewer, then the alphabet."""
    return not is_pattern(pattern), sum(character not in "*?" for character in pattern), pattern


def matches(pattern: str, path: str) -> bool:
    """Whether `path` is of `pattern`. Cost: at most len(pattern) x len(path); no backtracking beyond the last `*`.

    >>> matches("debug.*", "debug.a.b"), matches("items[].*", "items[].price"), matches("debug.*", "debug")
    (True, True, False)
    """
    at, star, resume = 0, -1, 0
    position = 0
    while position < len(path):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", path[position]):
            at += 1
            position += 1
        elif star >= 0:
            at = star + 1
            resume += 1
            position = resume
        else:
            return False
    return all(character == "*" for character in pattern[at:])
