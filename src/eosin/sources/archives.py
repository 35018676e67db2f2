"""Encoded images in a zip, which is read in place, or in a folder. Nothing is ever extracted.

Both have ``names`` (paths with forward slashes) and ``read(i)``, which may be
called from several threads and raises ImageError for a member that cannot be read.
"""

from __future__ import annotations

import bz2
import os
import stat
import struct
import threading
import zlib
from array import array
from collections.abc import Iterator, MutableSequence, Sequence
from pathlib import Path
from typing import NamedTuple

from eosin.errors import ImageError, SourceError
from eosin.sources.inflate import crc32, deflate_exactly
from eosin.texts import is_special

#: The most bytes a member may have: an uncompressed RGBA image of the most pixels.
MAX_BYTES = 64 << 20

_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
#: Of an entry of the directory: mark, flags, method, checksum, packed and full size, the lengths of
#: name, extra field and comment, and where the member starts.
_ENTRY = struct.Struct("<4s4x2H4x3L3H8xL")
#: Of a member's local header: its mark, and the lengths of name and extra field.
_LOCAL = struct.Struct("<4s22x2H")

#: Neighbors are read together: so many bytes at most, and with gaps of so many at most.
_RUN_BYTES, _GAP_BYTES = 1 << 20, 4096


class Run(NamedTuple):
    """Several encoded images in one block of memory."""

    block: bytes | bytearray
    #: Which of the requested members, and where each starts and ends in the block.
    slots: list[int]
    starts: list[int]
    stops: list[int]


class Files:
    """Encoded images by number: files with names relative to a folder."""

    together = 1  #: How many neighbors one access reads anyway.

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.names: list[str] = []
        self.sizes: MutableSequence[int] = array("Q")
        #: Members that cannot be used: (name, reason).
        self.refused: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def read(self, i: int) -> bytes:
        """The bytes of member i."""
        return read_file(self.path / self.names[i], self.max_bytes)

    def runs(self, members: Sequence[int]) -> Iterator[Run]:
        """Those of the members that can be read together, checked as ``read`` checks them.

        A run is valid until the next one is asked for. ``read`` is the plain way for all others,
        and gives the reason where one is damaged.
        """
        yield from ()

    def same_bytes(self, i: int, j: int) -> bool:
        """Whether two members may have the same bytes, judged without reading them."""
        return self.sizes[i] == self.sizes[j]

    def close(self) -> None:
        """Close the source."""


class ZipFiles(Files):
    """The members of a zip, read with one ``pread`` each; no lock, any number of threads.

    Python's zipfile takes a lock and some 30 microseconds a member, as long as half a decode.
    ``runs`` takes 2: neighbors come with one call into memory that is used again.

    within: of a zip that is inside of another file: an open file, which is closed here as well, and
    where the zip starts and stops in it.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = MAX_BYTES,
        within: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__(path, max_bytes=max_bytes)
        self._packed = array("Q")
        self._offsets = array("Q")
        self._crcs = array("L")
        self._methods = array("H")
        self._flags = array("H")
        self._buffers = threading.local()
        try:
            flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
            self._fd = within[0] if within else os.open(path, flags)
        except OSError as error:
            raise SourceError(f"{path} cannot be opened: {error.strerror}") from None
        try:
            self._list(*(within[1:] if within else (0, os.fstat(self._fd).st_size)))
        except struct.error:
            self.close()
            raise SourceError(_damaged(path, "its directory ends early")) from None
        except BaseException:
            self.close()
            raise

    def _list(self, first: int, stop: int) -> None:
        start, size, count, shift = zip_directory(self._fd, self.path, first, stop)
        directory = os.pread(self._fd, size, start)
        if len(directory) != size:
            raise SourceError(_damaged(self.path, "its directory is cut off"))
        seen: set[str] = set()
        position = 0
        unpack = _ENTRY.unpack_from
        for _ in range(count):
            mark, flags, method, crc, packed, size, named, extra, comment, offset = unpack(
                directory, position
            )
            if mark != b"PK\x01\x02":
                raise SourceError(_damaged(self.path, "its directory is garbled"))
            name_end = position + 46 + named
            raw = directory[position + 46 : name_end]
            if len(raw) != named:
                raise SourceError(_damaged(self.path, "its directory ends early"))
            name = raw.decode("utf-8" if flags & 0x800 else "cp437", "replace")
            if b"\\" in raw:
                name = name.replace("\\", "/")
            if size == 0xFFFFFFFF or packed == 0xFFFFFFFF or offset == 0xFFFFFFFF:
                large = directory[name_end : name_end + extra]
                size, packed, offset = _large_fields(large, size, packed, offset)
            position = name_end + extra + comment
            if name.endswith("/"):
                continue
            if name in seen:
                self.refused.append((name, "duplicate name: the zip lists this path twice"))
                continue
            seen.add(name)
            self.names.append(name)
            self.sizes.append(size)
            self._packed.append(packed)
            self._offsets.append(offset + shift if 0 <= offset + shift < 1 << 63 else 1 << 62)
            self._crcs.append(crc)
            self._methods.append(method)
            self._flags.append(flags)

    def read(self, i: int) -> bytes:
        """The bytes of member i, checked against the directory's size and checksum."""
        size, packed = self.sizes[i], self._packed[i]
        if self._flags[i] & 1:
            raise ImageError("encrypted: the zip asks for a password")
        if size > self.max_bytes or packed > self.max_bytes:
            raise ImageError(f"too many bytes: {max(size, packed)}, more than {self.max_bytes}")
        if size == 0:
            raise ImageError("empty: a file of 0 bytes")
        offset = self._offsets[i]
        # Local extra fields are rarely longer than 64 bytes; a second read fetches the rest.
        guess = 30 + len(self.names[i]) + 64 + packed
        block = os.pread(self._fd, guess, offset)
        if len(block) < 30 or block[:4] != b"PK\x03\x04":
            raise ImageError("corrupt: no zip member where the directory lists it")
        start = 30 + int.from_bytes(block[26:28], "little") + int.from_bytes(block[28:30], "little")
        data = block[start : start + packed]
        if len(data) < packed:
            data = os.pread(self._fd, packed, offset + start)
            if len(data) < packed:
                raise ImageError("truncated: the zip ends inside this member")
        method = self._methods[i]
        if method != _STORED:
            data = _inflate(data, method, size)
        if len(data) != size:
            other = "larger" if len(data) > size else "smaller"
            raise ImageError(
                f"corrupt zip: the entry is {other} than its header says ({size} bytes)"
            )
        if crc32(data) != self._crcs[i]:
            raise ImageError("corrupt: wrong checksum in the zip")
        return data

    def runs(self, members: Sequence[int]) -> Iterator[Run]:
        """The members, neighbors with one call each; without those that ``read`` has to refuse."""
        starts = [self._offsets[i] for i in members]
        if not hasattr(self._buffers, "run"):
            self._buffers.run = bytearray(_RUN_BYTES)
        taken: list[int] = []
        first = end = 0
        for slot in sorted(range(len(members)), key=starts.__getitem__):
            # Local extra fields are rarely longer than 64 bytes.
            length = 94 + len(self.names[members[slot]]) + self._packed[members[slot]]
            start = starts[slot]
            if taken and (start > end + _GAP_BYTES or start + length > first + _RUN_BYTES):
                yield from self._run(members, taken, first, end)
                taken = []
            if not taken:
                first = start
            taken.append(slot)
            end = start + length
        if taken:
            yield from self._run(members, taken, first, end)

    def _run(self, members: Sequence[int], slots: list[int], first: int, end: int) -> Iterator[Run]:
        block: bytearray = self._buffers.run
        view = memoryview(block)
        length = os.preadv(self._fd, [view[: min(end - first, _RUN_BYTES)]], first)
        stored, inflated = Run(block, [], [], []), Run(b"", [], [], [])
        pieces: list[bytes] = []
        total = 0
        for slot in slots:
            i = members[slot]
            at, size, method = self._offsets[i] - first, self.sizes[i], self._methods[i]
            if at + 30 > length or self._flags[i] & 1 or not 0 < size <= self.max_bytes:
                continue
            mark, name, extra = _LOCAL.unpack_from(block, at)
            start = at + 30 + name + extra
            stop = start + self._packed[i]
            if mark != b"PK\x03\x04" or stop > length:
                continue
            if method == _STORED and stop - start == size:
                if crc32(view[start:stop]) == self._crcs[i]:
                    stored.slots.append(slot)
                    stored.starts.append(start)
                    stored.stops.append(stop)
            elif method == _DEFLATED:
                data = deflate_exactly(view[start:stop], size)
                if data is not None and crc32(data) == self._crcs[i]:
                    pieces.append(data)
                    inflated.slots.append(slot)
                    inflated.starts.append(total)
                    total += size
                    inflated.stops.append(total)
        if stored.slots:
            yield stored
        if pieces:
            yield inflated._replace(block=b"".join(pieces))

    def packed(self, i: int) -> tuple[int, int, int, int]:
        """Of member i: a descriptor to close, start and length of its packed bytes, and its method.

        Raises ImageError where they cannot be read.
        """
        head = os.pread(self._fd, _LOCAL.size, self._offsets[i])
        if self._flags[i] & 1:
            raise ImageError("encrypted: the zip asks for a password")
        if head[:4] != b"PK\x03\x04" or len(head) < _LOCAL.size:
            raise ImageError("corrupt: no zip member where the directory lists it")
        start = self._offsets[i] + _LOCAL.size + sum(_LOCAL.unpack(head)[1:])
        return os.dup(self._fd), start, self._packed[i], self._methods[i]

    def same_bytes(self, i: int, j: int) -> bool:
        """Whether size and checksum in the zip are equal."""
        return self.sizes[i] == self.sizes[j] and self._crcs[i] == self._crcs[j]

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def zip_directory(
    descriptor: int, path: Path, first: int = 0, stop: int | None = None
) -> tuple[int, int, int, int]:
    """(start, bytes, entries, shift of all offsets by what is before the zip) of its directory.

    first, stop: where the zip starts and stops in the file.
    """
    total = os.fstat(descriptor).st_size if stop is None else stop
    tail_start = max(first, total - 65_557)
    tail = os.pread(descriptor, total - tail_start, tail_start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise SourceError(_damaged(path, "the directory at its end is missing"))
    fields = _END.unpack_from(tail, at)
    disk, entries, size, offset = fields[1], fields[4], fields[5], fields[6]
    end = tail_start + at
    if disk not in (0, 0xFFFF):
        raise SourceError(f"{path} is one part of a zip in several parts; join them first")
    locator = os.pread(descriptor, 20, max(first, end - 20))
    if locator[:4] == b"PK\x06\x07":
        at = struct.unpack_from("<Q", locator, 8)[0] & (2**62 - 1)
        record = os.pread(descriptor, 56, first + at)
        if record[:4] != b"PK\x06\x06":
            # Something is before the zip: the record is just before its locator.
            record = os.pread(descriptor, 56, max(first, end - 76))
        large = _END64.unpack(record) if len(record) == 56 else None
        if large is None or large[0] != b"PK\x06\x06":
            raise SourceError(_damaged(path, "its large directory is missing"))
        entries, size, offset = large[7], large[8], large[9]
        end -= 76
    start = end - size
    if start < first or size < entries * 46:
        raise SourceError(_damaged(path, "its directory does not fit its size"))
    return start, size, entries, start - offset


def _damaged(path: Path, what: str) -> str:
    return (
        f"{path} is not a complete zip: {what}; an unfinished download may have truncated it, "
        "fetch or copy it again"
    )


def _large_fields(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The 64-bit values of a zip64 entry: its extra field has those that are needed."""
    position = 0
    values = [size, packed, offset]
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            at = position + 4
            for k, value in enumerate(values):
                if value == 0xFFFFFFFF and at + 8 <= position + 4 + length <= len(extra):
                    values[k] = struct.unpack_from("<Q", extra, at)[0] & (2**63 - 1)
                    at += 8
            break
        position += 4 + length
    return values[0], values[1], values[2]


def _inflate(data: bytes, method: int, size: int) -> bytes:
    """At most one byte more than declared, so that a bomb costs nothing."""
    try:
        if method == _DEFLATED:
            return zlib.decompressobj(-15).decompress(data, size + 1)
        if method == _BZIP2:
            return bz2.BZ2Decompressor().decompress(data, size + 1)
    except (zlib.error, OSError, EOFError) as error:
        raise ImageError(f"corrupt: the member does not inflate ({error})") from None
    raise ImageError(f"unsupported compression: zip method {method}; pack with deflate or store")


class FolderFiles(Files):
    """The files below a folder; links that leave it, devices and pipes are refused."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(path, max_bytes=max_bytes)
        root = os.path.realpath(path)

        def unreadable(error: OSError) -> None:
            shown = os.path.relpath(error.filename, path) if error.filename else str(path)
            self.refused.append((shown, f"unreadable: folder ({error.strerror})"))

        for folder, folders, files in os.walk(path, onerror=unreadable):
            folders.sort()
            below = os.path.relpath(folder, path).replace(os.sep, "/")
            prefix = "" if below == "." else below + "/"
            self.refused.extend(
                (prefix + name, "link: a link to a folder is not followed")
                for name in folders
                if os.path.islink(os.path.join(folder, name))
            )
            for name in sorted(files):
                self._add(root, os.path.join(folder, name), prefix + name)

    def _add(self, root: str, full: str, name: str) -> None:
        try:
            if os.path.islink(full):
                target = os.path.realpath(full)
                if os.path.commonpath([root, target]) != root:
                    self.refused.append((name, "link: its target is outside of the folder"))
                    return
            status = os.stat(full)
        except OSError as error:
            self.refused.append((name, f"unreadable: {error.strerror}"))
            return
        if not stat.S_ISREG(status.st_mode):
            self.refused.append((name, "not a file: a device, pipe or socket"))
            return
        self.names.append(name)
        self.sizes.append(status.st_size)


def read_file(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of one file; raises ImageError when it is missing, too large or cannot be read."""
    try:
        if is_special(path):
            raise ImageError("not a file: a device, pipe or socket")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise ImageError(f"too many bytes: {size}, more than {max_bytes}")
            return file.read(max_bytes)
    except FileNotFoundError:
        raise ImageError("missing: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise ImageError(f"unreadable: {getattr(error, 'strerror', None) or error}") from None
