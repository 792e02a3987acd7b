from __future__ import annotations

import pytest

from stream_monitor.errors import FormatError
from stream_monitor.streaming.chunks import ChunkAssembler, split


def test_a_small_value_is_one_chunk_under_the_key_itself() -> None:
    [(key, chunk)] = split("orders", b"value")
    assert key == "orders"
    assert ChunkAssembler().add(key, chunk) == ("orders", b"value")


def test_an_empty_value_survives() -> None:
    [(key, chunk)] = split("orders", b"")
    assert ChunkAssembler().add(key, chunk) == ("orders", b"")


def test_a_large_value_comes_back_whatever_the_order_of_its_chunks() -> None:
    value = bytes(range(256)) * 20
    messages = split("orders", value, max_bytes=1000)
    assert len({key for key, _ in messages}) == len(messages) > 3
    assert all(len(chunk) <= 1000 for _, chunk in messages)
    for order in (messages, messages[::-1]):
        assembler = ChunkAssembler()
        results = [assembler.add(key, chunk) for key, chunk in order]
        assert results[:-1] == [None] * (len(order) - 1)
        assert results[-1] == ("orders", value)


def test_what_compaction_leaves_of_a_longer_value_before_is_passed_over() -> None:
    old, new = split("orders", b"a" * 3000, max_bytes=1000), split("orders", b"b" * 1500, max_bytes=1000)
    kept = dict(old) | dict(new)  # the last message of each key
    assembler = ChunkAssembler()
    whole = [found for key, chunk in kept.items() if (found := assembler.add(key, chunk))]
    assert whole == [("orders", b"b" * 1500)]


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xc5\x09" + b"\0" * 14, b"\xc5\x01\x00\x05\x00\x02" + b"\0" * 10])
def test_bytes_that_are_no_chunk_are_a_format_error(raw: bytes) -> None:
    with pytest.raises(FormatError):
        ChunkAssembler().add("orders", raw)
