"""The delta: what one profiler read of one pane since it last said so, and where that came from. What profilers send to the detector."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from stream_monitor.errors import FormatError
from stream_monitor.profiling import codec
from stream_monitor.profiling.profile import Profile

MAGIC, VERSION = b"SMDL", 1
CHUNK_MAGIC, CHUNK_VERSION = b"SMDC", 1
MAX_CHUNK_BYTES = 900_000
MAX_PENDING = 64
MAX_WAIT = 1000
"""Chunks of other deltas that may come between those of one."""
_CHUNK = struct.Struct("<4sHHH16sI")


@dataclass(frozen=True, slots=True)
class SourceRange:
    """What was read of one source partition."""

    partition: int
    start: int
    """First offset read."""
    end: int
    """One past the last; equal to `start` when nothing was read."""
    watermark_ms: int
    """Largest believed event timestamp so far; -1: none yet."""
    caught_up: bool
    """Whether everything there is was read."""
    idle_ms: int
    """How long nothing new has come; 0 unless caught up."""


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """A profile of part of a pane. Of the deltas of one drain only the last carries new watermarks: then all of it is here."""

    topic: str
    pane_start_ms: int
    window_ms: int
    profile: Profile
    sources: tuple[SourceRange, ...]
    """By partition."""
    partition_count: int
    """Partitions of the topic."""

    def to_bytes(self) -> bytes:
        """Versioned and canonical."""
        sources = [[s.partition, s.start, s.end, s.watermark_ms, s.caught_up, s.idle_ms] for s in self.sources]
        topic = self.topic.encode("utf-8", "surrogatepass")
        state = [topic, self.pane_start_ms, self.window_ms, self.partition_count, sources, self.profile.to_state()]
        return codec.seal(MAGIC, VERSION, state)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Delta:
        """Inverse of `to_bytes`; FormatError when corrupt or newer."""
        state = codec.unseal(MAGIC, VERSION, blob)
        try:
            return cls._from_state(state)
        except codec.MALFORMED_STATE as error:
            raise FormatError(f"expected the state of a delta, got another shape ({error!r}): the bytes are corrupt") from error

    @classmethod
    def _from_state(cls, state: list[Any]) -> Delta:
        topic, pane, window, count, sources, profile = state
        ranges = tuple(SourceRange(int(p), int(a), int(b), int(w), bool(c), int(i)) for p, a, b, w, c, i in sources)
        name = bytes(topic).decode("utf-8", "surrogatepass")
        return cls(name, int(pane), int(window), Profile.from_state(profile), ranges, int(count))

    def chunk(self, max_bytes: int = MAX_CHUNK_BYTES) -> list[bytes]:
        """The bytes in one or more messages of at most `max_bytes` (> 30), for `DeltaAssembler`."""
        blob = self.to_bytes()
        room = max_bytes - _CHUNK.size
        if room <= 0:
            raise ValueError(f"chunks need more than {_CHUNK.size} bytes, got {max_bytes}")
        pieces = [blob[start : start + room] for start in range(0, len(blob), room)]
        digest = hashlib.blake2b(blob, digest_size=16).digest()
        return [
            _CHUNK.pack(CHUNK_MAGIC, CHUNK_VERSION, place, len(pieces), digest, zlib.crc32(piece)) + piece
            for place, piece in enumerate(pieces)
        ]


class DeltaAssembler:
    """Puts deltas together from their chunks, in whatever order these come and however they are interleaved.

    Holds at most 64 incomplete deltas, none for longer than 1,000 chunks: then it is given up (`abandoned` counts them), as its sender died
    half way.
    """

    def __init__(self) -> None:
        self.abandoned = 0
        self._parts: OrderedDict[bytes, dict[int, bytes]] = OrderedDict()
        self._began: dict[bytes, int] = {}
        self._added = 0

    @property
    def pending(self) -> int:
        """Deltas of which some chunks are here and some are not."""
        return len(self._parts)

    def add(self, chunk: bytes) -> Delta | None:
        """The delta that `chunk` completes. Raises FormatError for bytes that are no chunk, corrupt, or newer."""
        place, count, digest, piece = _read_chunk(chunk)
        self._added += 1
        self._began.setdefault(digest, self._added)
        parts = self._parts.setdefault(digest, {})
        parts[place] = piece
        if len(parts) == count:
            self._forget(digest)
        self._give_up()
        if len(parts) < count:
            return None
        blob = b"".join(parts[index] for index in sorted(parts))
        if hashlib.blake2b(blob, digest_size=16).digest() != digest:
            raise FormatError(f"the {count} chunks of a delta do not add up to what was sent: read them again from the source")
        return Delta.from_bytes(blob)

    def _give_up(self) -> None:
        while self._parts:
            oldest = next(iter(self._parts))
            if len(self._parts) <= MAX_PENDING and self._added - self._began[oldest] <= MAX_WAIT:
                return
            self._forget(oldest)
            self.abandoned += 1

    def _forget(self, digest: bytes) -> None:
        del self._parts[digest], self._began[digest]


def _read_chunk(chunk: bytes) -> tuple[int, int, bytes, bytes]:
    if len(chunk) < _CHUNK.size:
        raise FormatError(f"expected a chunk of at least {_CHUNK.size} bytes, got {len(chunk)}: truncated")
    magic, version, place, count, digest, crc = _CHUNK.unpack_from(chunk)
    if magic != CHUNK_MAGIC:
        raise FormatError(f"expected a chunk that starts with {CHUNK_MAGIC!r}, got {magic!r}: something else writes to this topic")
    if version > CHUNK_VERSION:
        raise FormatError(f"chunk version {version} is newer than {CHUNK_VERSION}, the newest this program reads: upgrade it")
    piece = chunk[_CHUNK.size :]
    if not place < count or zlib.crc32(piece) != crc:
        raise FormatError(f"chunk {place} of {count} doesn't match its checksum: it is corrupt; read it again from the source")
    return place, count, digest, piece
