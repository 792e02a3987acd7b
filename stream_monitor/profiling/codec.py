"""The envelope of everything binary here: magic, version, CRC-32, then msgpack in zstd.

Equal states give equal bytes: arrays are written little-endian, mappings in sorted order by whoever makes the state, and big
integers as two's complement. No pickle, nothing that depends on the hash seed or on the machine.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, TypeVar

import msgpack
import numpy as np
import zstandard
from numpy.typing import NDArray

from stream_monitor.errors import FormatError

LEVEL = 3
MAX_BYTES = 1 << 30
"""The largest state that is unpacked; a frame that claims more is refused, not allocated."""

_HEADER = struct.Struct("<4sHI")
S = TypeVar("S", bound=np.generic)


def seal(magic: bytes, version: int, state: object) -> bytes:
    """`state` (what msgpack can write) as bytes. About 3 ms a MB, most of it zstd."""
    payload = zstandard.ZstdCompressor(level=LEVEL).compress(msgpack.packb(state))
    return _HEADER.pack(magic, version, zlib.crc32(payload)) + payload


def unseal(magic: bytes, version: int, blob: bytes) -> Any:
    """The state in `blob`. Raises FormatError when it is of another kind, newer than `version`, truncated or corrupt."""
    name = magic.decode()
    if len(blob) < _HEADER.size:
        raise FormatError(f"expected {name} bytes, got {len(blob)} bytes, shorter than a header: the data is truncated")
    found, written, crc = _HEADER.unpack_from(blob)
    if found != magic:
        raise FormatError(f"expected bytes that start with {magic!r}, got {found!r}: this is not a {name}")
    if written > version:
        raise FormatError(f"{name} version {written} is newer than {version}, the newest this program reads: upgrade it")
    payload = blob[_HEADER.size :]
    if zlib.crc32(payload) != crc:
        raise FormatError(f"{name} bytes don't match their checksum: they are corrupt or truncated; read them again from the source")
    return _unpack(name, payload)


def _unpack(name: str, payload: bytes) -> Any:
    try:
        if zstandard.frame_content_size(payload) > MAX_BYTES:
            raise FormatError(f"{name} claims more than {MAX_BYTES} bytes: refused")
        return msgpack.unpackb(zstandard.ZstdDecompressor().decompress(payload), strict_map_key=False)
    except (ValueError, zstandard.ZstdError, msgpack.UnpackException) as error:
        raise FormatError(f"{name} bytes can't be unpacked ({error}): they are corrupt") from error


MALFORMED_STATE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading a state of the wrong shape raises; readers turn these into FormatError."""


def array_bytes(array: NDArray[Any]) -> bytes:
    """The elements of `array`, little-endian."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def read_array(data: bytes, dtype: type[S], size: int | None = None) -> NDArray[S]:
    """A copy of the elements in `data`; FormatError if there are not `size` of them."""
    array = np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<")).astype(dtype)
    if size is not None and array.size != size:
        raise FormatError(f"expected {size} elements of {np.dtype(dtype).name}, got {array.size}: the state is corrupt")
    return array


def int_bytes(value: int) -> bytes:
    """Any integer, two's complement, shortest."""
    return value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)


def read_int(data: bytes) -> int:
    """Inverse of `int_bytes`."""
    return int.from_bytes(data, "little", signed=True)
