r"""How the place of a value in a record is written: `geo.lat`, `items`, `items[]`, `items[].price`, `"a.b".c`, `$`.

A key is written as it is, unless that could be read as something else or not at all: a key that is empty, is `$`, has one of
`. [ ] " \` in it or something unprintable is written as JSON writes it, in quotes. So two places never have one path.
Keys over 256 characters, and paths of containers
over 512, are cut and told apart by their hash. A record that is no object is the field `$`.
"""

from __future__ import annotations

import json
import re

from stream_monitor.decoding.hashing import salt

ROOT = ""
"""The path of a record itself, which is never shown: its fields are `name`, not `.name`."""

WHOLE = "$"
"""The path of a record that is no object."""

LONGEST_KEY, KEPT_OF_LONG_KEY = 256, 200
LONGEST_PREFIX, KEPT_OF_LONG_PREFIX = 512, 400
_NOT_PLAIN = re.compile(r'[.\[\]"\\]')


def key_text(key: str) -> str:
    """A key as it is written in a path.

    >>> key_text("price"), key_text("unit price"), key_text("a.b"), key_text("")
    ('price', 'unit price', '"a.b"', '""')
    """
    if len(key) > LONGEST_KEY:
        return json.dumps(f"{key[:KEPT_OF_LONG_KEY]}...{salt(key):016x}", ensure_ascii=False)
    if not key or key == WHOLE or not key.isprintable() or _NOT_PLAIN.search(key):
        return json.dumps(key, ensure_ascii=False)
    return key


def child(parent: str, key: str) -> str:
    """The path of what an object at `parent` has under `key`."""
    return f"{parent}.{key_text(key)}" if parent else key_text(key)


def elements(parent: str) -> str:
    """The path of the elements of an array at `parent`."""
    return f"{parent}[]"


def shortened(path: str) -> str:
    """The path of a container as the paths of what is in it begin: cut if it is long, so that they can't multiply its length."""
    return path if len(path) <= LONGEST_PREFIX else f"{path[:KEPT_OF_LONG_PREFIX]}...{salt(path):016x}"
