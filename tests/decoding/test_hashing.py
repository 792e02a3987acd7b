"""Hashes are SipHash, keyed, portable between processes, and the compiled code agrees with the plain one."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.decoding.hashing import (
    DEFAULT_KEY,
    PRIVATE_SALT,
    TAG_POSITION,
    hash_all,
    hash_bytes,
    hash_positions,
    mix,
    salt,
)
from stream_monitor.decoding.siphash_reference import siphash

PAPER_KEY = bytes(range(16))


def test_the_plain_code_gives_the_vectors_of_the_siphash_paper() -> None:
    assert siphash(PAPER_KEY, bytes(range(15)), compressions=2, finalizations=4) == 0xA129CA6149BE45E5
    assert siphash(PAPER_KEY, b"", compressions=2, finalizations=4) == 0x726FDB47DD0E0E31


def test_siphash_1_3_is_the_one_that_cpython_hashes_bytes_with() -> None:
    if sys.hash_info.algorithm != "siphash13":
        pytest.skip(f"this Python hashes with {sys.hash_info.algorithm}")
    texts = ["a", "stream", "a string longer than two blocks", "\x00" * 64]
    code = f"print(*(hash(t.encode()) for t in {texts!r}))"
    printed = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert [int(word) % 2**64 for word in printed.split()] == [siphash(bytes(16), text.encode()) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.binary(min_size=16, max_size=16))
def test_compiled_hashes_equal_the_plain_ones(values: list[bytes], key: bytes) -> None:
    assert hash_all(values, key).tolist() == [siphash(key, value) for value in values]


def test_every_length_up_to_three_blocks_agrees() -> None:
    values = [bytes(range(length)) for length in range(25)]
    assert hash_all(values, PAPER_KEY).tolist() == [siphash(PAPER_KEY, value) for value in values]


def test_a_key_of_another_length_is_refused_and_says_what_to_use() -> None:
    with pytest.raises(ValueError, match="16 bytes, got 3"):
        hash_bytes(b"abc", b"data")


def test_salts_and_positions_are_tagged_siphash() -> None:
    assert int(salt("geo.lat")) == siphash(DEFAULT_KEY, PRIVATE_SALT + b"geo.lat")
    data = (3).to_bytes(8, "little") + (1234).to_bytes(8, "little")
    expected = siphash(DEFAULT_KEY, data, tag=int(TAG_POSITION))
    assert hash_positions(3, np.array([1234, 1235], dtype=np.int64))[0] == expected


def test_positions_differ_by_partition_and_spread_evenly() -> None:
    offsets = np.arange(20_000, dtype=np.int64)
    one, other = hash_positions(0, offsets), hash_positions(1, offsets)
    assert len(np.unique(np.concatenate([one, other]))) == 40_000
    assert abs(float((one < np.uint64(2**63)).mean()) - 0.5) < 0.02


def test_mix_is_splitmix64_and_keeps_the_shape() -> None:
    mixed = mix(np.zeros((2, 3), dtype=np.uint64))
    assert mixed.shape == (2, 3)
    assert int(mixed[0, 0]) == 0xE220A8397B1DCDAF  # the first output of SplitMix64 seeded with 0


def test_empty_inputs_give_empty_hashes() -> None:
    assert len(hash_all([])) == len(mix(np.empty(0, dtype=np.uint64))) == len(hash_positions(0, np.empty(0, dtype=np.int64))) == 0
