"""What the detector remembers over a restart: one Faust table, with its changelog topic.

Keys and values are bytes. `p` is the partition of the profiles topic, which is the partition of the changelog too:

    p|@              partition record: the profiles offset to read again from, and what was acknowledged
    p|topic|m        manifest of a topic: its named sections, each a list of digests of pieces
    p|topic|c|digest one piece of a section, below the message limit

A piece is named by the digest of its bytes. So a save is atomic although it is many messages: new pieces first, then, when the broker has
them, the manifest and the partition record, and only then the deletion of pieces that nothing names any more. A worker that dies in
between leaves the old manifest with all its pieces. What did not change is not written again.

Cost of a save: the pieces that changed, one round trip for them and one for the manifest.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import faust
import msgpack
from faust.types import TP

from stream_monitor.errors import BrokerError, FormatError

PIECE_BYTES = 256 * 1024
"""Small enough that a change in a large section rewrites little of it; far below the 900 kB limit of a message."""

_VERSION = 1


class StateTable(faust.Table[bytes, bytes]):
    """A table whose keys say their partition, and that can wait for the broker to have what was written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, key_type=bytes, value_type=bytes, **kwargs)
        self._sent: list[Any] = []

    def partition_for_key(self, key: bytes) -> int:
        """The partition that the key starts with: not the one of the event in hand, which may be about another topic."""
        return int(key.split(b"|", 1)[0])

    def send_changelog(self, *args: Any, **kwargs: Any) -> Any:
        """Sends a change, and remembers its acknowledgement."""
        future = super().send_changelog(*args, **kwargs)
        self._sent.append(future)
        return future

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0) -> None:
        """Forgets partitions that went away or come in: what another worker deleted meanwhile must not survive here."""
        changelog = self.changelog_topic_name
        heads = tuple(f"{tp.partition}|".encode() for tp in revoked | newly_assigned if tp.topic == changelog)
        for key in [key for key in self.data if key.startswith(heads)] if heads else []:
            del self.data[key]
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def acknowledged(self, within_s: float) -> None:
        """Waits until the changelog has all that was written. Raises `BrokerError` when that takes longer, or the broker refused."""
        sent, self._sent = self._sent, []
        if not sent:
            return
        done, waiting = await asyncio.wait(sent, timeout=within_s)
        if waiting:
            raise BrokerError(f"{self.changelog_topic_name} did not acknowledge {len(waiting)} of {len(sent)} changes in {within_s:g} s")
        for future in done:
            if (error := future.exception()) is not None:
                raise BrokerError(f"{self.changelog_topic_name} refused a state change: {error}") from error


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """What is saved of one monitored topic when one of its panes closes."""

    resume_offset: int
    """Profiles offsets below this one were seen when the state was saved…"""
    open_from_ms: int
    """…and those of panes that start before this time are merged in it. Later panes were open: they are not in it."""
    command_offset: int
    """Commands up to this offset were carried out."""
    history_offset: int | None
    """First message of a cold start that had not ended, which is not in the state; None if there was none."""
    sections: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class PartitionRecord:
    """What is saved of one partition of the profiles topic."""

    needed_offset: int
    """The first delta of the oldest open pane of any topic in the partition: reading starts here again."""
    config_offset: int
    """Sensitivity documents up to this offset were acknowledged, for topics of this partition."""


class StateStore:
    """Reads and writes records in a `StateTable`; writes only inside a stream iteration."""

    def __init__(self, table: StateTable, timeout: float = 30.0) -> None:
        self._table = table
        self._timeout = timeout

    def topics(self, partition: int) -> list[str]:
        """Monitored topics with saved state in a partition, sorted."""
        head = f"{partition}|".encode()
        return sorted(key.split(b"|")[1].decode() for key in self._table if key.startswith(head) and key.endswith(b"|m"))

    def partition(self, partition: int) -> PartitionRecord | None:
        """The record of a partition, None if no pane has closed there yet."""
        raw = self._table.get(_partition_key(partition))
        if raw is None:
            return None
        fields = _unpack(raw, f"partition record {partition}")
        return PartitionRecord(int(fields["needed"]), int(fields["config"]))

    def load(self, partition: int, topic: str) -> TopicRecord | None:
        """The record of a topic; None if it has none. Raises `FormatError` if it is of a newer version or a piece is missing."""
        raw = self._table.get(_manifest_key(partition, topic))
        if raw is None:
            return None
        fields = _unpack(raw, f"state of {topic}")
        sections = {name: b"".join(self._piece(partition, topic, digest) for digest in digests) for name, digests in fields["sections"]}
        return TopicRecord(int(fields["resume"]), int(fields["open_from"]), int(fields["command"]), fields["history"], sections)

    async def save(self, partition: int, topics: Mapping[str, TopicRecord], record: PartitionRecord) -> None:
        """Makes records durable, or raises `BrokerError`; the earlier ones are in force until then. The order is the guarantee:

        1. new pieces, and wait for their acknowledgement;
        2. manifests, then the partition record, and wait;
        3. delete the pieces that are named no more.
        """
        surplus: list[bytes] = []
        manifests: dict[bytes, bytes] = {}
        for topic, state in topics.items():
            before = self._digests(partition, topic)
            listing = {name: self._write_pieces(partition, topic, data) for name, data in sorted(state.sections.items())}
            manifests[_manifest_key(partition, topic)] = _pack(
                {
                    "resume": state.resume_offset,
                    "open_from": state.open_from_ms,
                    "command": state.command_offset,
                    "history": state.history_offset,
                    "sections": list(listing.items()),
                }
            )
            surplus += [_piece_key(partition, topic, digest) for digest in sorted(before.difference(*listing.values()))]
        await self._table.acknowledged(self._timeout)
        self._table.update(manifests)
        self._table[_partition_key(partition)] = _pack({"needed": record.needed_offset, "config": record.config_offset})
        await self._table.acknowledged(self._timeout)
        self._delete(surplus)

    def _write_pieces(self, partition: int, topic: str, data: bytes) -> list[bytes]:
        digests = []
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            digest = hashlib.blake2b(piece, digest_size=16).hexdigest().encode()
            key = _piece_key(partition, topic, digest)
            if key not in self._table:
                self._table[key] = piece
            digests.append(digest)
        return digests

    def _digests(self, partition: int, topic: str) -> set[bytes]:
        """Digests of all pieces of a topic in the table, those that a crash left behind too."""
        head = _piece_key(partition, topic, b"")
        return {key[len(head) :] for key in self._table if key.startswith(head)}

    def _piece(self, partition: int, topic: str, digest: bytes) -> bytes:
        piece = self._table.get(_piece_key(partition, topic, digest))
        if piece is None or hashlib.blake2b(piece, digest_size=16).hexdigest().encode() != digest:
            changelog = self._table.changelog_topic_name
            raise FormatError(f"state of {topic}: expected piece {digest.decode()} in {changelog}, it is missing or damaged; reset it")
        return piece

    def _delete(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            del self._table[key]


def _partition_key(partition: int) -> bytes:
    return f"{partition}|@".encode()


def _manifest_key(partition: int, topic: str) -> bytes:
    return f"{partition}|{topic}|m".encode()


def _piece_key(partition: int, topic: str, digest: bytes) -> bytes:
    return f"{partition}|{topic}|c|".encode() + digest


def _pack(fields: Mapping[str, Any]) -> bytes:
    packed: bytes = msgpack.packb({"v": _VERSION, **fields})
    return packed


def _unpack(raw: bytes, what: str) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = msgpack.unpackb(raw)
        version = fields["v"]
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise FormatError(f"{what}: expected msgpack written by stream_monitor, got {raw[:32]!r}") from error
    if version != _VERSION:
        raise FormatError(f"{what}: format {version} is newer than {_VERSION}: upgrade stream_monitor")
    return fields
