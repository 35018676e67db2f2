"""A source with the zips inside of it: their members are members of the source.

A stored zip is read in place. A deflated one is inflated once into a temporary file without a name.
Nothing is ever extracted by its own path.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from eosin.errors import ImageError, SourceError
from eosin.sources.archives import MAX_BYTES, Files, FolderFiles, Run, ZipFiles
from eosin.sources.members import is_image_name, is_left_behind

#: Zips may be inside of zips so deep, so many, and grow so many times when they are inflated.
_MOST_DEEP, _MOST_ZIPS, _MOST_GROWTH = 3, 1000, 100
#: Images that may lie loose beside zips: a preview, a figure of the README.
_FEW_IMAGES = 10
_BLOCK = 1 << 20


def open_files(path: Path, *, max_bytes: int = MAX_BYTES, scratch: Path | None = None) -> Files:
    """The members of a zip or folder, and those of the zips inside of it.

    Where a source has images of its own, the zips beside them are not read, and a note lists them:
    they are most often the same images, packed. scratch: a folder for the inflated zips.
    Raises SourceError for a zip that is damaged or encrypted, wherever it is.
    """
    files = FolderFiles(path, max_bytes=max_bytes) if path.is_dir() else ZipFiles(
        path, max_bytes=max_bytes
    )  # fmt: skip
    joined = Joined(path, max_bytes=max_bytes)
    try:
        joined.add("", files, scratch=scratch, deep=0)
    except BaseException:
        joined.close()
        raise
    return joined if len(joined.sources) > 1 else files


class Joined(Files):
    """Several sources as one; the names of each begin with the path of its zip."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(path, max_bytes=max_bytes)
        self.sources: list[Files] = []
        self._starts: list[int] = []
        self._temporary: list[IO[bytes]] = []

    def add(self, prefix: str, files: Files, *, scratch: Path | None, deep: int) -> None:
        """Add a source and the zips inside of it."""
        self.sources.append(files)
        self._starts.append(len(self.names))
        zips = [
            i for i, name in enumerate(files.names)
            if name[-4:].lower() == ".zip" and not is_left_behind(name)
        ]  # fmt: skip
        images = [name for name in files.names if is_image_name(name)] if zips else []
        if zips and (len(images) > _FEW_IMAGES or any("/" in name for name in images)):
            shown = ", ".join(files.names[i] for i in zips[:3])
            files.notes.append(
                f"not read: {len(zips)} zip(s) inside ({shown}), because images are beside them; "
                "pack such a zip by itself"
            )
            zips = []
        for name in files.names:
            self.names.append(prefix + name)
        self.sizes.extend(files.sizes)
        self.refused += [(prefix + name, reason) for name, reason in files.refused]
        self.notes += files.notes
        for i in zips:
            where = f"{self.path}/{prefix}{files.names[i]}"
            if deep == _MOST_DEEP or len(self.sources) > _MOST_ZIPS:
                raise SourceError(
                    f"{where} is a zip inside of {deep} zips or one of more than {_MOST_ZIPS}; "
                    "unpack the outer ones"
                )
            inner = self._open(files, i, Path(where), scratch)
            self.add(f"{prefix}{files.names[i]}/", inner, scratch=scratch, deep=deep + 1)

    def _open(self, files: Files, i: int, where: Path, scratch: Path | None) -> ZipFiles:
        if not isinstance(files, ZipFiles):
            return ZipFiles(where, max_bytes=self.max_bytes)
        try:
            descriptor, start, packed, method = files.packed(i)
        except ImageError as error:
            raise SourceError(f"{where}, a zip in the source, cannot be read: {error}") from None
        if method == 0:
            return ZipFiles(
                where, max_bytes=self.max_bytes, within=(descriptor, start, start + packed)
            )
        size = files.sizes[i]
        try:
            if method != 8:
                raise ImageError(f"unsupported compression: zip method {method}")
            if size > _MOST_GROWTH * packed + _BLOCK:
                raise ImageError(f"it declares {size:,} bytes of {packed:,} packed ones")
            file = self._inflated(descriptor, start, packed, size, scratch)
        except ImageError as error:
            raise SourceError(f"{where}, a zip in the source, cannot be read: {error}") from None
        finally:
            os.close(descriptor)
        self._temporary.append(file)
        return ZipFiles(where, max_bytes=self.max_bytes, within=(os.dup(file.fileno()), 0, size))

    def _inflated(
        self, descriptor: int, start: int, packed: int, size: int, scratch: Path | None
    ) -> IO[bytes]:
        """A temporary file without a name, with the inflated bytes."""
        folder = Path(
            scratch if scratch is not None and scratch.is_dir() else tempfile.gettempdir()
        )
        free = _free_bytes(folder)
        if size > free:
            raise ImageError(
                f"inflated it has {size:,} bytes, {folder} has {free:,} free; unpack it elsewhere"
            )
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        inflate = zlib.decompressobj(-15)
        written, position = 0, start
        try:
            while position < start + packed and not inflate.eof and written <= size:
                block = os.pread(descriptor, min(_BLOCK, start + packed - position), position)
                if not block:
                    break
                position += len(block)
                while block and written <= size:
                    piece = inflate.decompress(block, _BLOCK)
                    written += file.write(piece)
                    block = inflate.unconsumed_tail
            file.flush()
        except (zlib.error, OSError) as error:
            file.close()
            raise ImageError(f"corrupt: it does not inflate ({error})") from None
        if written != size:
            file.close()
            raise ImageError(f"corrupt: inflated it has not the {size:,} bytes that it declares")
        return file

    def _at(self, i: int) -> tuple[Files, int]:
        source = bisect_right(self._starts, i) - 1
        return self.sources[source], i - self._starts[source]

    def read(self, i: int) -> bytes:
        """The bytes of member i."""
        files, number = self._at(i)
        return files.read(number)

    def runs(self, members: Sequence[int]) -> Iterator[Run]:
        """The members of each source that can be read together."""
        by_source: dict[int, list[int]] = {}
        for slot, i in enumerate(members):
            by_source.setdefault(bisect_right(self._starts, i) - 1, []).append(slot)
        for source, slots in by_source.items():
            start = self._starts[source]
            for run in self.sources[source].runs([members[slot] - start for slot in slots]):
                yield run._replace(slots=[slots[k] for k in run.slots])

    def same_bytes(self, i: int, j: int) -> bool:
        """Whether two members may have the same bytes, judged without reading them."""
        first, second = self._at(i), self._at(j)
        if first[0] is second[0]:
            return first[0].same_bytes(first[1], second[1])
        return self.sizes[i] == self.sizes[j]

    def close(self) -> None:
        """Close all sources; temporary files are gone then."""
        for files in self.sources:
            files.close()
        for file in self._temporary:
            file.close()


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
