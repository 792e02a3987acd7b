"""Values larger than a message, on a compacted topic.

Compaction keeps the last message of each *key*, so the chunks of one value need a key each: chunk 0 has the key itself, chunk i has
`key#i` (`#` can't occur in a topic's name). Every chunk starts with a 16-byte header:

    magic 0xC5 | version 1 | chunk index (u16) | chunk count (u16) | reserved (u16) | digest of the whole value (8 bytes)

Chunks of one value carry the same digest; what an older, longer value left behind has another one and is passed over. Write them in one
transaction, or a reader that starts in the middle of a crash sees no value instead of the earlier one.
"""

from __future__ import annotations

import hashlib
import struct

from stream_monitor.errors import FormatError

MAX_CHUNK_BYTES = 900_000
"""Below the usual broker limit of 1 MB with room for headers."""

_MAGIC = 0xC5
_VERSION = 1
_HEADER = struct.Struct(">BBHHH8s")
_SEPARATOR = "#"


def split(key: str, value: bytes, max_bytes: int = MAX_CHUNK_BYTES) -> list[tuple[str, bytes]]:
    """The messages (key, bytes) that carry `value`, in the order to produce them: chunk 0 last, so that a reader has all when it comes."""
    room = max_bytes - _HEADER.size
    pieces = [value[start : start + room] for start in range(0, len(value), room)] or [b""]
    digest = _digest(value)
    messages = [
        (_chunk_key(key, index), _HEADER.pack(_MAGIC, _VERSION, index, len(pieces), 0, digest) + piece)
        for index, piece in enumerate(pieces)
    ]
    return messages[::-1]


def base_key(key: str) -> str:
    """The key that a chunk's key belongs to."""
    return key.split(_SEPARATOR, 1)[0]


class ChunkAssembler:
    """Puts values together again. Holds at most the chunks of two values a key: the one coming and the one before it."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[int, tuple[bytes, int, bytes]]] = {}

    def add(self, key: str, chunk: bytes) -> tuple[str, bytes] | None:
        """Takes one chunk; (base key, value) if it completes a value, else None. Raises `FormatError` for bytes that are no chunk."""
        index, count, digest, piece = _parse(chunk)
        base = base_key(key)
        if key != _chunk_key(base, index):
            raise FormatError(f"chunk {index} of {base} came under the key {key}; expected {_chunk_key(base, index)}")
        parts = self._parts.setdefault(base, {})
        parts[index] = (digest, count, piece)
        mine = [parts[i] for i in range(count) if i in parts and parts[i][0] == digest]
        if len(mine) < count:
            return None
        value = b"".join(part[2] for part in mine)
        if _digest(value) != digest:
            raise FormatError(f"the {count} chunks of {base} do not add up to the value that was written; produce it again")
        del self._parts[base]
        return base, value

    def drop(self, key: str) -> None:
        """Forgets the chunks of a key (it was deleted)."""
        self._parts.pop(base_key(key), None)


def _parse(chunk: bytes) -> tuple[int, int, bytes, bytes]:
    if len(chunk) < _HEADER.size:
        raise FormatError(f"expected a chunk of at least {_HEADER.size} bytes, got {len(chunk)}")
    magic, version, index, count, _, digest = _HEADER.unpack_from(chunk)
    if magic != _MAGIC:
        raise FormatError(f"expected a chunk that starts with 0x{_MAGIC:02X}, got 0x{magic:02X}; something else writes to this topic")
    if version != _VERSION:
        raise FormatError(f"chunk format {version} is newer than {_VERSION}: upgrade stream_monitor")
    if index >= count:
        raise FormatError(f"chunk {index} of {count} can't be")
    return index, count, digest, chunk[_HEADER.size :]


def _chunk_key(key: str, index: int) -> str:
    return key if index == 0 else f"{key}{_SEPARATOR}{index}"


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=8).digest()
