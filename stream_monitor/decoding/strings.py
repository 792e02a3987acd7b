"""What is known of a string without keeping it: its hash, length, format pattern, order and oddities, in one compiled pass.

The **mask** of a string is its first 40 characters with runs of digits as `9`, of upper case as `A`, of lower case as `a` and of
anything beyond ASCII as `~`; all else stands for itself: `2026-11-22T09:30Z` -> `9-9-9A9:9A`. A string is known by the hash of its
mask (SipHash of the mask's text), which `PatternBook` gives the text of.

The **ordinal** of a string is its first 17 ASCII digits, wherever they stand, as a number: enough to see time and sequence
numbers go backwards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Flag
from stream_monitor.decoding.compiled import compiled
from stream_monitor.decoding.hashing import hash_bytes, sip_block, sip_end, sip_slice, sip_start

DISGUISED_WORDS = (
    "-", "--", "---", ".", "..", "...", "?", "??", "???", "_", "na", "n/a", "n.a.", "<na>", "<n/a>", "#n/a", "#na", "#null!", "#ref!",
    "#value!", "#div/0!", "nan", "-nan", "null", "(null)", "<null>", "\\n", "nil", "none", "(none)", "<none>", "undefined", "unknown",
    "missing", "tbd", "tba", "blank", "(blank)", "empty", "(empty)", "not available", "not applicable", "no data", "0000-00-00",
)  # fmt: skip
"""Strings that stand for null by convention, compared in lower case after stripping; so does a string of nothing but white space."""

MASKED_CHARACTERS, ORDINAL_DIGITS, LONGEST_WORD, MAX_PATTERNS = 40, 17, 16, 10_000
_OTHER, _DIGIT, _UPPER, _LOWER, _LEAD, _CONTINUATION = range(6)
_EMPTY, _PADDED, _NON_ASCII, _DISGUISED = (np.uint8(flag) for flag in (Flag.EMPTY, Flag.PADDED, Flag.NON_ASCII, Flag.DISGUISED))
_EIGHT, _TOP, _ZERO = np.uint64(8), np.uint64(56), np.uint64(0)
_TABLE_SIZE = 1 << 15


def _classes() -> NDArray[np.uint8]:
    classes = np.zeros(256, dtype=np.uint8)
    for span, kind in (("09", _DIGIT), ("AZ", _UPPER), ("az", _LOWER), ("\x80\xbf", _CONTINUATION), ("\xc0\xff", _LEAD)):
        classes[ord(span[0]) : ord(span[1]) + 1] = kind
    return classes


def _packed_words() -> NDArray[np.uint64]:
    rows = [(int.from_bytes(w[:8], "little"), int.from_bytes(w[8:], "little")) for w in (word.encode() for word in DISGUISED_WORDS)]
    return np.array(rows, dtype=np.uint64)


def _first_bytes() -> NDArray[np.bool_]:
    first = np.zeros(256, dtype=np.bool_)
    first[[ord(letter) for word in DISGUISED_WORDS for letter in (word[0].lower(), word[0].upper())]] = True
    return first


_CLASSES, _WORDS, _FIRST = _classes(), _packed_words(), _first_bytes()
_STANDS = np.frombuffer(b"\x009Aa~", dtype=np.uint8)  # what a run of each class is written as in a mask


@compiled
def white_at(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Bytes of the white space character at `at`, 0 if it is none; white space is what `str.isspace` says."""
    byte = data[at]
    if byte < 128:
        return 1 if 9 <= byte <= 13 or 28 <= byte <= 32 else 0
    if byte == 0xC2 and at + 1 < end:
        return 2 if data[at + 1] == 0x85 or data[at + 1] == 0xA0 else 0
    if not 0xE1 <= byte <= 0xE3 or at + 2 >= end:
        return 0
    code = (np.int64(byte & 15) << 12) | (np.int64(data[at + 1] & 63) << 6) | np.int64(data[at + 2] & 63)
    return 3 if 0x2000 <= code <= 0x200A or code in (0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000) else 0


@compiled
def white_before(data: NDArray[np.uint8], start: int, end: int) -> int:
    """Bytes of the white space character that ends at `end`, 0 if it is none."""
    at = end - 1
    while at > start and data[at] & 0xC0 == 0x80:
        at -= 1
    return white_at(data, at, end)


@compiled
def is_disguised(data: NDArray[np.uint8], start: int, end: int) -> bool:
    """Whether a stripped string is one of `DISGUISED_WORDS`."""
    if end - start > LONGEST_WORD or not _FIRST[data[start]]:
        return False
    low, high = _ZERO, _ZERO
    for at in range(start, end):
        byte = np.uint64(data[at])
        if 65 <= data[at] <= 90:
            byte += np.uint64(32)
        place = np.uint64(at - start)
        if place < _EIGHT:
            low |= byte << (_EIGHT * place)
        else:
            high |= byte << (_EIGHT * (place - _EIGHT))
    for i in range(_WORDS.shape[0]):  # numba has no any()
        if _WORDS[i, 0] == low and _WORDS[i, 1] == high:
            return True
    return False


@compiled
def flags_of(data: NDArray[np.uint8], start: int, end: int) -> np.uint8:
    """EMPTY, PADDED and DISGUISED of a string."""
    if start == end:
        return _EMPTY
    flags, first, last = np.uint8(0), start, end
    while first < last:
        width = white_at(data, first, last)
        if width == 0:
            break
        first += width
    while last > first:
        width = white_before(data, first, last)
        if width == 0:
            break
        last -= width
    if first != start or last != end:
        flags |= _PADDED
    if first == last or is_disguised(data, first, last):
        flags |= _DISGUISED
    return flags


@compiled
def mask_and_digits(
    data: NDArray[np.uint8], start: int, end: int, k0: np.uint64, k1: np.uint64
) -> tuple[np.uint64, float, bool]:
    """Hash of the mask, ordinal, and whether a byte is beyond ASCII, in one pass over a string."""
    v0, v1, v2, v3 = sip_start(k0, k1)
    block, written, number = _ZERO, _ZERO, _ZERO
    characters, digits, previous, beyond_ascii = 0, 0, _OTHER, False
    for at in range(start, end):
        byte = data[at]
        kind = _CLASSES[byte]
        if kind == _DIGIT and digits < ORDINAL_DIGITS:
            number = number * np.uint64(10) + np.uint64(byte - 48)
            digits += 1
        if kind >= _LEAD:
            beyond_ascii = True
            if kind == _CONTINUATION:
                continue
        characters += 1
        if characters <= MASKED_CHARACTERS and (kind == _OTHER or kind != previous):
            shown = byte if kind == _OTHER else _STANDS[kind]
            block |= np.uint64(shown) << (_EIGHT * (written & np.uint64(7)))
            written += np.uint64(1)
            if written & np.uint64(7) == _ZERO:
                v0, v1, v2, v3 = sip_block(v0, v1, v2, v3, block)
                block = _ZERO
        previous = kind
    mask = sip_end(v0, v1, v2, v3, block | (written << _TOP))
    return mask, np.float64(number) if digits else np.nan, beyond_ascii


@compiled
def is_new(table: NDArray[np.uint64], room: int, mask: np.uint64) -> bool:
    """Whether `mask` is not in the open-addressed `table` yet; puts it there while there is room."""
    slot = mask & np.uint64(table.size - 1)
    while table[slot] != _ZERO:
        if table[slot] == mask:
            return False
        slot = (slot + np.uint64(1)) & np.uint64(table.size - 1)
    if room > 0:
        table[slot] = mask
    return room > 0


@compiled
def analyse_strings(  # compiled functions take no keywords
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], cells: NDArray[np.int64], k0: np.uint64, k1: np.uint64,
    hashes: NDArray[np.uint64], lengths: NDArray[np.uint32], masks: NDArray[np.uint64], ordinals: NDArray[np.float64],
    flags: NDArray[np.uint8], table: NDArray[np.uint64], fresh: NDArray[np.int64],
) -> int:  # fmt: skip
    """Writes what is known of string i, `data[starts[i]:ends[i]]`, at `cells[i]` of the flat output arrays.

    `fresh` gets the numbers of the strings whose mask is not in `table` yet, at most as many as it has room for; returns how many.
    50-100 ns for a string of 10-25 bytes.
    """
    found = 0
    for i in range(starts.size):
        start, end, cell = starts[i], ends[i], cells[i]
        mask, ordinal, beyond_ascii = mask_and_digits(data, start, end, k0, k1)
        hashes[cell] = sip_slice(data, start, end, k0, k1)
        lengths[cell] = end - start
        masks[cell] = mask
        ordinals[cell] = ordinal
        flags[cell] = flags_of(data, start, end) | (_NON_ASCII if beyond_ascii else np.uint8(0))
        if is_new(table, fresh.size - found, mask):
            fresh[found] = i
            found += 1
    return found


_RUNS = re.compile(r"(?P<a>[a-z]+)|(?P<A>[A-Z]+)|(?P<d>[0-9]+)|(?P<o>[^\x00-\x7f]+)")
_SHOWN = {"a": "a", "A": "A", "d": "9", "o": "~"}


def mask_text(text: str) -> str:
    """The mask of a string, as its hash is made of."""
    return _RUNS.sub(lambda run: _SHOWN[run.lastgroup or "o"], text[:MASKED_CHARACTERS])


class PatternBook:
    """Texts of mask hashes. Holds 10,000 masks of strings at most, then starts again.

    A batch with more than 10,000 new masks leaves some without a text.
    """

    def __init__(self, key: bytes, fixed: Sequence[str]) -> None:
        self._fixed = {hash_bytes(key, text.encode()): text for text in fixed}
        self._start()

    def _start(self) -> None:
        self.texts: dict[int, str] = dict(self._fixed)
        """By mask hash. Never emptied in place: batches decoded before keep theirs."""
        self.table = np.zeros(_TABLE_SIZE, dtype=np.uint64)

    def room(self) -> int:
        """How many new masks there is room for; makes room if there is none."""
        if len(self.texts) - len(self._fixed) >= MAX_PATTERNS:
            self._start()
        return MAX_PATTERNS - (len(self.texts) - len(self._fixed))

    def add(self, mask: int, text: str) -> None:
        """Notes the mask of a string."""
        self.texts[mask] = mask_text(text)
