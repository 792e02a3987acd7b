"""SipHash in plain Python, for any number of rounds: what the compiled one is checked against, and readable beside the paper."""

from __future__ import annotations

_WORD = (1 << 64) - 1


def _rotate(x: int, bits: int) -> int:
    return ((x << bits) | (x >> (64 - bits))) & _WORD


def _round(v: list[int]) -> None:
    v[0] = (v[0] + v[1]) & _WORD
    v[2] = (v[2] + v[3]) & _WORD
    v[1] = _rotate(v[1], 13) ^ v[0]
    v[3] = _rotate(v[3], 16) ^ v[2]
    v[0] = _rotate(v[0], 32)
    v[2] = (v[2] + v[1]) & _WORD
    v[0] = (v[0] + v[3]) & _WORD
    v[1] = _rotate(v[1], 17) ^ v[2]
    v[3] = _rotate(v[3], 21) ^ v[0]
    v[2] = _rotate(v[2], 32)


def siphash(key: bytes, data: bytes, *, compressions: int = 1, finalizations: int = 3, tag: int = 0) -> int:
    """SipHash-c-d of `data` under a 16-byte key; `tag` goes in the last block, for data of a multiple of 8 bytes only."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    whole = len(data) // 8 * 8
    last = int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56 | tag
    blocks = [int.from_bytes(data[at : at + 8], "little") for at in range(0, whole, 8)]
    for block in [*blocks, last]:
        v[3] ^= block
        for _ in range(compressions):
            _round(v)
        v[0] ^= block
    v[2] ^= 0xFF
    for _ in range(finalizations):
        _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
