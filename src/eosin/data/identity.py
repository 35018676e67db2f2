"""What a source is, so that the store packed from it earlier is recognized, and no other."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eosin.data.store import PatchStore
from eosin.errors import SourceError, StoreError
from eosin.folders import kind_of
from eosin.kinds import ENDING
from eosin.sources.archives import zip_directory
from eosin.sources.detect import MADE_UP
from eosin.sources.listings import SUFFIXES, is_table, listing_of_file
from eosin.sources.members import is_image_name
from eosin.texts import is_special

#: What packing a folder may read besides images; a split that is written there changes nothing.
_READ = (
    ".h5", ".hdf5", ".gz", ".zip", "ubyte", ".npz", ".parquet", ".tar", ".tgz", MADE_UP.lower(),
)  # fmt: skip


def origin_of(source: Path, files: Iterable[Path] | None = None) -> dict[str, Any]:
    """Place, size and time of a source, and a digest of what it lists.

    Of a zip its central directory is digested (names, sizes and checksums of all entries), of a
    folder the names, sizes and times of its files, without the folders that eosin made there; of a
    manifest those of the files that it lists, of arrays in pairs those of the other files. files:
    those of any other source. Raises SourceError for what cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.png").write_bytes(b"one")
    ...     before = origin_of(Path(folder))
    ...     _ = (Path(folder) / "a.png").write_bytes(b"other")
    ...     origin_of(Path(folder)) == before
    False
    """
    place = source.resolve()
    try:
        state = place.stat()
    except OSError as error:
        raise SourceError(f"{source} cannot be read: {error.strerror}") from None
    listing = hashlib.blake2b(digest_size=16)
    if files is None and not place.is_dir() and (directory := _directory(place)):
        listing.update(directory)
    else:
        for path in _files(place) if files is None else files:
            size = modified_ns = -1
            with contextlib.suppress(OSError, ValueError):  # ValueError: a path with a null byte
                entry = path.stat()
                size, modified_ns = entry.st_size, entry.st_mtime_ns
            listing.update(f"{path}\0{size}\0{modified_ns}\n".encode("utf-8", "surrogateescape"))
    return {
        "place": str(place),
        "bytes": None if place.is_dir() else state.st_size,
        "modified_ns": None if place.is_dir() else state.st_mtime_ns,
        "listing": listing.hexdigest(),
    }


def packed_before(source: Path, first: Path) -> tuple[Path, PatchStore | None]:
    """The store that was packed from this source as it is now, or the name for a new one and None.

    first: the name that is tried first; then the same with -2, -3 and so on, until one is free.
    """
    origin, number, path = origin_of(source), 1, first
    while path.exists() or path.is_symlink():
        try:
            store = PatchStore.open(path)
        except StoreError:
            store = None
        if store is not None and store.info.get("origin") == origin:
            return path, store
        number += 1
        path = first.with_name(f"{first.stem}-{number}{first.suffix}")
    return path, None


def _directory(path: Path) -> bytes:
    """The central directory of a zip; empty for any other file."""
    if is_special(path):
        raise SourceError(f"{path} is a pipe or a device; save its content as a file first")
    try:
        with open(path, "rb") as file:
            if file.read(2) != b"PK":
                return b""
            start, size, _, _ = zip_directory(file.fileno(), path)
            file.seek(start)
            return file.read(size)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None


def _files(place: Path) -> Iterator[Path]:
    """The files that packing this source reads, in a fixed order."""
    if not place.is_dir():
        yield place
        yield from _companions(place)
        return
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(
            name
            for name in folders
            if not (name.startswith(".") and name.endswith(ENDING))
            and not kind_of(Path(folder) / name)
        )
        for name in sorted(names):
            if is_image_name(name) or is_table(name) or name.lower().endswith(_READ):
                yield Path(folder) / name


def _companions(path: Path) -> Iterator[Path]:
    name = path.name.lower()
    if name.endswith(SUFFIXES):
        # A table that asks a question is told apart by itself alone.
        with contextlib.suppress(SourceError):
            listing = listing_of_file(path, {})
            yield from (path.parent / listing.files.names[row.member] for row in listing.rows)
    stem = path.name.removesuffix(".gz")
    labels = re.sub(r"idx[34]", "idx1", stem.replace("images", "labels"))
    for other in (labels, stem.replace("_x.h5", "_y.h5"), stem.replace("_x.h5", "_meta.csv")):
        if other != stem:
            yield from (path.with_name(other + ending) for ending in ("", ".gz"))
