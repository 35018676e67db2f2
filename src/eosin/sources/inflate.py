"""Inflating and checksums at the speed of libdeflate, where it is installed.

The fast way only accepts a stream that has exactly the expected bytes. Where it refuses, or is not
installed, the caller uses zlib, which is the reference and gives the reason. So the library
decides neither what is refused nor the words.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any


def _installed() -> ModuleType | None:
    try:
        return importlib.import_module("deflate")
    except ImportError:  # zlib serves
        return None


_LIBRARY: Any = _installed()

#: Deflate gives at most 1,032 bytes for one (RFC 1951: 258 bytes for two bits).
_MOST_RATIO = 1032

_crc32: Callable[..., int] = zlib.crc32 if _LIBRARY is None else _LIBRARY.crc32


def crc32(data: bytes | memoryview, value: int = 0) -> int:
    """The CRC-32 of bytes, as ``zlib.crc32`` gives it.

    >>> crc32(b"abc") == zlib.crc32(b"abc")
    True
    """
    return _crc32(data, value)


def zlib_exactly(packed: bytes | memoryview, size: int) -> bytes | None:
    """The ``size`` bytes of a zlib stream; None where it is damaged or has more or fewer.

    None has no reason: use zlib for it. Never more than ``size`` bytes are allocated.

    >>> zlib_exactly(zlib.compress(b"abc"), 2) is None
    True
    """
    return _exactly(_LIBRARY.zlib_decompress, packed, size) if _LIBRARY is not None else None


def deflate_exactly(packed: bytes | memoryview, size: int) -> bytes | None:
    """The same for a stream without head and checksum, as a zip has it."""
    return _exactly(_LIBRARY.deflate_decompress, packed, size) if _LIBRARY is not None else None


def _exactly(
    function: Callable[[Any, int], bytes], packed: bytes | memoryview, size: int
) -> bytes | None:
    # An impossible size is refused before anything is allocated for it.
    if not 0 < size <= _MOST_RATIO * len(packed):
        return None
    try:
        data = function(packed, size)
    except _LIBRARY.DeflateError:
        return None
    return data if len(data) == size else None


def stored(data: bytes) -> bytes:
    """A zlib stream of uncompressed data, for a reader that needs one.

    >>> zlib.decompress(stored(b"abc"))
    b'abc'
    """
    if _LIBRARY is None:
        return zlib.compress(data, 0)
    packed: bytes = _LIBRARY.zlib_compress(data, 0)
    return packed
