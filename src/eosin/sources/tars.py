"""Images in tar files, read in place, and the records of WebDataset's shards.

Nothing is extracted under a path of the tar. A packed tar (.tar.gz and the like) has no places to
read from; it is unpacked into one temporary tar for as long as it is read.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from eosin.disks import writing
from eosin.errors import ImageError, SourceError, first_line
from eosin.folders import scratch_file
from eosin.sources.archives import MAX_BYTES, Files
from eosin.sources.layouts import plainly
from eosin.sources.members import is_image_name, is_unsafe
from eosin.sources.nested import Joined
from eosin.sources.tables import Table, present, table_of
from eosin.texts import from_json

_PACKED: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open,
}  # fmt: skip

#: The most bytes of a record (a label or some JSON) of one sample.
_RECORD_BYTES = 1 << 20


def is_tar_name(name: str) -> bool:
    """Whether a file is a tar by its name.

    >>> is_tar_name("a.TAR"), is_tar_name("a.tar.gz"), is_tar_name("a.gz")
    (True, True, False)
    """
    return name.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


class TarFiles(Files):
    """The regular files of a tar, read with one ``pread`` each; links and devices are refused.

    scratch: the folder for the temporary tar of a packed one. Raises SourceError where it is
    damaged or does not fit on the disk.
    """

    def __init__(
        self, path: Path, *, scratch: Path | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        super().__init__(path, max_bytes=max_bytes)
        self._offsets = array("Q")
        self._stack = contextlib.ExitStack()
        try:
            file = self._stack.enter_context(open(self._plain(scratch), "rb"))  # noqa: SIM115
            self._fd = file.fileno()
            self._total = os.fstat(self._fd).st_size
            self._list(file)
        except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError, ValueError,
                RecursionError, OverflowError) as error:  # fmt: skip
            self.close()
            why = plainly(first_line(error))
            raise SourceError(
                f"{path} is not a complete tar: {why}; an unfinished download may have truncated "
                "it, fetch or copy it again"
            ) from None
        except BaseException:
            self.close()
            raise

    def _plain(self, scratch: Path | None) -> Path:
        """The tar itself, or a temporary one that a packed tar is unpacked to."""
        unpack = _PACKED.get(self.path.suffix.lower())
        if unpack is None:
            return self.path
        folder = (
            scratch if scratch is not None and scratch.is_dir() else Path(tempfile.gettempdir())
        )
        plain = self._stack.enter_context(scratch_file(folder / self.path.name))
        left = shutil.disk_usage(folder).free // 2
        with open(plain, "wb") as target, unpack(self.path) as packed:
            while block := packed.read(1 << 20):
                left -= len(block)
                if left < 0:
                    raise SourceError(
                        f"{self.path} needs more than half of the free disk space of {folder} when "
                        "it is unpacked; free some, or unpack it and pack the folder"
                    )
                with writing(plain, plain):
                    target.write(block)
                    target.flush()
        return plain

    def _list(self, file: IO[bytes]) -> None:
        seen: set[str] = set()
        last = -1
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                # The list of members would be in memory twice; a loop of places would never end.
                archive.members = []  # type: ignore[attr-defined]
                if member.size < 0 or member.offset_data <= last:
                    raise tarfile.ReadError("a member is before the one that comes first")
                last = member.offset_data
                name = member.name.replace("\\", "/").removeprefix("./")
                if member.isdir() or not name:
                    continue
                if not member.isreg() or member.issparse():
                    kind = "link" if member.issym() or member.islnk() else "not a file"
                    self.refused.append((name, f"{kind}: only plain files of a tar are read"))
                elif name in seen:
                    self.refused.append((name, "duplicate name: the tar lists this path twice"))
                elif last + member.size > self._total:
                    raise tarfile.ReadError(f"it ends inside {name}")
                else:
                    seen.add(name)
                    self.names.append(name)
                    self.sizes.append(member.size)
                    self._offsets.append(last)
            # A cut tar ends without its mark, a block of zeros; after it only zeros may follow.
            end = os.pread(self._fd, 1 << 20, archive.offset)
        if len(end) < tarfile.BLOCKSIZE or any(end[: tarfile.BLOCKSIZE]):
            raise tarfile.ReadError(f"its end is missing, after {len(self.names)} files")
        if any(end):
            raise SourceError(
                f"{self.path} has more after its end, as tars joined by cat have; unpack it with "
                "tar --ignore-zeros and pack the folder"
            )

    def read(self, i: int) -> bytes:
        """The bytes of member i."""
        size = self.sizes[i]
        if size > self.max_bytes:
            raise ImageError(f"too many bytes: {size}, more than {self.max_bytes}")
        if size == 0:
            raise ImageError("empty: a file of 0 bytes")
        data = os.pread(self._fd, size, self._offsets[i])
        if len(data) < size:
            raise ImageError("truncated: the tar ends inside this member")
        return data

    def close(self) -> None:
        """Close the file and remove a temporary one."""
        self._stack.close()


def open_tars(
    path: Path, shards: Sequence[Path], *, scratch: Path | None = None, max_bytes: int = MAX_BYTES
) -> Files:
    """One tar, or the shards of a folder as one source."""
    if shards == [path]:
        return TarFiles(path, scratch=scratch, max_bytes=max_bytes)
    joined = Joined(path, max_bytes=max_bytes)
    try:
        for shard in shards:
            files = TarFiles(shard, scratch=scratch, max_bytes=max_bytes)
            joined.add(f"{shard.name}/", files, scratch=scratch, deep=0)
    except BaseException:
        joined.close()
        raise
    return joined


def records_of(files: Files) -> Table | None:
    """The samples of WebDataset's shards as a table; None for a tar of another kind.

    The files of one sample have one name up to the first dot. ``cls`` is a label; the keys of
    ``json`` are columns; ``txt`` is a label where there is no other, unless it is a description.
    """
    samples: dict[str, dict[str, int]] = {}
    for i, name in enumerate(files.names):
        folder, slash, last = name.rpartition("/")
        key, _, kind = last.partition(".")
        if key and not is_unsafe(name):
            samples.setdefault(folder + slash + key, {})[kind.lower()] = i
    kinds = {"cls", "json", "txt"}
    pairs = [
        (name, members)
        for name, members in samples.items()
        if any(is_image_name(f"a.{kind}") for kind in members)
    ]
    if 2 * sum(bool(members.keys() & kinds) for _, members in pairs) <= len(pairs):
        return None
    records: list[dict[str, Any]] = []
    for name, members in pairs:
        record: dict[str, Any] = {}
        for kind in ("json", "txt", "cls"):
            if kind in members:
                record |= _record(files, members[kind], kind)
        images = [kind for kind in members if is_image_name(f"a.{kind}")]
        if len(images) > 1:
            raise SourceError(
                f"{plainly(name)} in {files.path} has {len(images)} images ({', '.join(images)}); "
                f"eosin packs one a sample: make a tar with one of them"
            )
        records.append(record | {"member": files.names[members[images[0]]]})
    if any("cls" in record or "label" in record for record in records) or _long(records):
        for record in records:
            record.pop("txt", None)
    for record in records:
        if "txt" in record:
            record["label"] = record.pop("txt")
    return table_of(files.path.name, records, [name for name, _ in pairs])


def _record(files: Files, i: int, kind: str) -> dict[str, Any]:
    name = f"{plainly(files.names[i])} in {files.path}"
    if files.sizes[i] > _RECORD_BYTES:
        raise SourceError(f"{name} has {files.sizes[i]} bytes; a label has {_RECORD_BYTES} at most")
    try:
        text = files.read(i).decode() if files.sizes[i] else ""
        if kind != "json":
            return {kind: present(text)}
        value = from_json(text)
        return value if isinstance(value, dict) else {"cls": value}
    except (ValueError, ImageError) as error:
        raise SourceError(f"{name} cannot be read: {plainly(first_line(error))}") from None


def _long(records: Sequence[dict[str, Any]]) -> bool:
    """Whether the texts describe images instead of naming their classes."""
    texts = {record["txt"] for record in records if "txt" in record}
    return len(texts) > 1000 or any(len(text) > 100 for text in texts)
