"""Keyed hashes: SipHash over bytes and words, so that nobody who can send records can aim at a sketch.

Hashes are portable: the same key and value give the same 64 bits in every process and on every machine, whatever
`PYTHONHASHSEED` or byte order. SipHash-1-3 is the variant that Rust and CPython use for their own tables; the round counts are
arguments so that the code can be checked against the published SipHash-2-4 vectors.

Hashes of strings, numbers, booleans and containers are kept apart by a tag in SipHash's last block: the last block of a
string whose length is a multiple of 8 has nothing but its length, so no string can equal a tagged word.

Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. Finalizer: Steele et al., SplitMix64, 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.compiled import compiled

DEFAULT_KEY = bytes.fromhex("9b1fe24c0d6a35c87e55d3a0f4127b86")
"""The key of every hash that leaves a process. Profiles that are to be merged must share it."""

PRIVATE_SALT = b"path\x00"
"""Before a path in `salt`, so that a field's salt is never the hash of a value that reads like its name."""

TAG_INTEGER, TAG_UNSIGNED, TAG_FLOAT, TAG_BOOL, TAG_CONTAINER, TAG_POSITION = (np.uint64(tag) for tag in range(1, 7))
CANONICAL_NAN = np.uint64(0x7FF8000000000000)

_C0, _C1 = np.uint64(0x736F6D6570736575), np.uint64(0x646F72616E646F6D)
_C2, _C3 = np.uint64(0x6C7967656E657261), np.uint64(0x7465646279746573)
_FINAL, _BYTE, _EIGHT, _TOP = np.uint64(0xFF), np.uint64(0xFF), np.uint64(8), np.uint64(56)
_R13, _R16, _R17, _R21, _R32, _W = (np.uint64(bits) for bits in (13, 16, 17, 21, 32, 64))
_GOLDEN, _M1, _M2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)

State = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


@compiled
def sip_round(v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64) -> State:
    """One SipRound."""
    v0 += v1
    v1 = ((v1 << _R13) | (v1 >> (_W - _R13))) ^ v0
    v0 = (v0 << _R32) | (v0 >> _R32)
    v2 += v3
    v3 = ((v3 << _R16) | (v3 >> (_W - _R16))) ^ v2
    v0 += v3
    v3 = ((v3 << _R21) | (v3 >> (_W - _R21))) ^ v0
    v2 += v1
    v1 = ((v1 << _R17) | (v1 >> (_W - _R17))) ^ v2
    v2 = (v2 << _R32) | (v2 >> _R32)
    return v0, v1, v2, v3


@compiled
def sip_start(k0: np.uint64, k1: np.uint64) -> State:
    """The state before the first block, from the two little-endian halves of the key."""
    return k0 ^ _C0, k1 ^ _C1, k0 ^ _C2, k1 ^ _C3


@compiled
def sip_block(v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64, block: np.uint64) -> State:
    """Takes in eight bytes (SipHash-1)."""
    v0, v1, v2, v3 = sip_round(v0, v1, v2, v3 ^ block)
    return v0 ^ block, v1, v2, v3


@compiled
def sip_end(v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64, block: np.uint64) -> np.uint64:
    """Takes in the last block and gives the hash (SipHash-1-3)."""
    v0, v1, v2, v3 = sip_block(v0, v1, v2, v3, block)
    v2 ^= _FINAL
    v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@compiled
def load_block(data: NDArray[np.uint8], at: int) -> np.uint64:
    """Eight bytes, little-endian whatever the machine."""
    block = np.uint64(data[at])
    for place in range(1, 8):
        block |= np.uint64(data[at + place]) << (_EIGHT * np.uint64(place))
    return block


@compiled
def load_tail(data: NDArray[np.uint8], at: int, end: int, length: int) -> np.uint64:
    """The last block of a string: what is left of it, and its length in the top byte."""
    block = (np.uint64(length) & _BYTE) << _TOP
    for place in range(end - at):
        block |= np.uint64(data[at + place]) << (_EIGHT * np.uint64(place))
    return block


@compiled
def sip_slice(data: NDArray[np.uint8], start: int, end: int, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """SipHash-1-3 of `data[start:end]`. About 10 ns for 16 bytes."""
    v0, v1, v2, v3 = sip_start(k0, k1)
    at = start
    while at + 8 <= end:
        v0, v1, v2, v3 = sip_block(v0, v1, v2, v3, load_block(data, at))
        at += 8
    return sip_end(v0, v1, v2, v3, load_tail(data, at, end, end - start))


@compiled
def sip_word(word: np.uint64, tag: np.uint64, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """SipHash-1-3 of one word; `tag` (1-255) keeps kinds of words apart."""
    v0, v1, v2, v3 = sip_start(k0, k1)
    v0, v1, v2, v3 = sip_block(v0, v1, v2, v3, word)
    return sip_end(v0, v1, v2, v3, (_EIGHT << _TOP) | tag)


@compiled
def sip_words(first: np.uint64, second: np.uint64, tag: np.uint64, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """SipHash-1-3 of two words, tagged."""
    v0, v1, v2, v3 = sip_start(k0, k1)
    v0, v1, v2, v3 = sip_block(v0, v1, v2, v3, first)
    v0, v1, v2, v3 = sip_block(v0, v1, v2, v3, second)
    return sip_end(v0, v1, v2, v3, (np.uint64(16) << _TOP) | tag)


@compiled
def mix_word(x: np.uint64) -> np.uint64:
    """SplitMix64's finalizer: a bijection of 64 bits in which every input bit moves every output bit."""
    x += _GOLDEN
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@compiled
def _mix_all(x: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    for i in range(x.size):
        out[i] = mix_word(x[i])


@compiled
def _hash_slices(data: NDArray[np.uint8], ends: NDArray[np.int64], k0: np.uint64, k1: np.uint64, out: NDArray[np.uint64]) -> None:
    start = 0
    for i in range(ends.size):
        out[i] = sip_slice(data, start, ends[i], k0, k1)
        start = ends[i]


@compiled
def _hash_positions(partition: np.uint64, offsets: NDArray[np.int64], k0: np.uint64, k1: np.uint64, out: NDArray[np.uint64]) -> None:
    for i in range(offsets.size):
        out[i] = sip_words(partition, np.uint64(offsets[i]), TAG_POSITION, k0, k1)


def key_words(key: bytes) -> tuple[np.uint64, np.uint64]:
    """The two halves of a 16-byte key. Raises ValueError for another length."""
    if len(key) != 16:
        raise ValueError(f"a hash key is 16 bytes, got {len(key)}: use DEFAULT_KEY, or 16 bytes of your own")
    return np.uint64(int.from_bytes(key[:8], "little")), np.uint64(int.from_bytes(key[8:], "little"))


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`mix_word` of each element, in an array of the same shape. About 1 ns each."""
    flat = np.ascontiguousarray(x, dtype=np.uint64).reshape(-1)
    out = np.empty(flat.size, dtype=np.uint64)
    _mix_all(flat, out)
    return out.reshape(np.shape(x))


def hash_bytes(key: bytes, data: bytes) -> int:
    """SipHash-1-3 of `data`, as decoders hash the UTF-8 bytes of a string. For single values: some microseconds a call."""
    return int(hash_all([data], key)[0])


def hash_all(values: Sequence[bytes], key: bytes = DEFAULT_KEY) -> NDArray[np.uint64]:
    """SipHash-1-3 of each of `values` (n,), e.g. the Kafka keys of a batch. About 10 ns for each 16 bytes, and 50 ns a value."""
    ends = np.cumsum(np.fromiter(map(len, values), dtype=np.int64, count=len(values)), dtype=np.int64)
    out = np.empty(len(values), dtype=np.uint64)
    _hash_slices(np.frombuffer(b"".join(values), dtype=np.uint8), ends, *key_words(key), out)
    return out


def salt(path: str) -> np.uint64:
    """What a field's hashes are mixed with in the hash of a whole record, and what decides which fields a cap keeps."""
    return np.uint64(salts([path])[0])


def salts(paths: Sequence[str]) -> NDArray[np.uint64]:
    """The `salt` of each path (n,)."""
    return hash_all([PRIVATE_SALT + path.encode("utf-8", "surrogatepass") for path in paths])


def hash_positions(partition: int, offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The priority (n,) of the records at `offsets` of a partition in coordinated samples: uniform, and the same for everybody."""
    out = np.empty(len(offsets), dtype=np.uint64)
    number = np.uint64(partition & 0xFFFF_FFFF_FFFF_FFFF)
    _hash_positions(number, np.ascontiguousarray(offsets, dtype=np.int64), *key_words(DEFAULT_KEY), out)
    return out
