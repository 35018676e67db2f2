"""A folder of embeddings: a memory-mapped array, and which blocks of it are done.

A block counts as done when its bytes are on the disk and its checksum is in embeddings.json, in
this order, so that a process may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.disks import amount, writing
from eosin.errors import BusyError, DiskError, FailureError
from eosin.folders import whole_file
from eosin.locks import Lock
from eosin.sources.files import read_npy
from eosin.texts import from_json, read_text

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

FORMAT = 1
#: Rows a block: what a killed process loses at most, and the unit of checksums.
BLOCK = 256


@dataclass
class Cache:
    """The embeddings of one encoder and one store in a folder of its own.

    facts: what decides the values; a cache with other facts is not used. shape: (rows, width);
    dtype: "float32" or "float16".
    """

    folder: Path
    facts: Mapping[str, Any]
    shape: tuple[int, int]
    dtype: str
    checksums: list[str | None] = field(default_factory=list)

    @property
    def array_path(self) -> Path:
        """embeddings.npy: float [N, D], row for row the patches of the store."""
        return self.folder / "embeddings.npy"

    @property
    def facts_path(self) -> Path:
        """embeddings.json: facts, shape, rows done, a checksum a block."""
        return self.folder / "embeddings.json"

    def values(self) -> npt.NDArray[np.floating[Any]]:
        """The memory-mapped array, float [N, D]; rows of blocks not done are empty."""
        return read_npy(self.array_path, mapped=True)

    def rows(self, rows: Rows) -> Floats:
        """Embeddings of some rows in their order: float32 [n, D]."""
        return np.asarray(self.values()[rows], dtype=np.float32)

    def extent(self, block: int) -> slice:
        """The rows of a block."""
        return slice(block * BLOCK, min((block + 1) * BLOCK, self.shape[0]))

    def done(self) -> int:
        """How many rows are there."""
        extents = [self.extent(block) for block, known in enumerate(self.checksums) if known]
        return sum(extent.stop - extent.start for extent in extents)

    def problem(self) -> str:
        """The problem with the folder itself, "" where there is none; reads its checksums."""
        try:
            result = from_json(read_text(self.facts_path))
            facts, sums = dict(result["facts"]), list(result["checksums"])
            recorded = (int(result["format"]), tuple(result["shape"]), str(result["dtype"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"embeddings.json cannot be read ({type(error).__name__}: {error})"
        if facts != dict(self.facts):
            other = sorted(k for k in {*facts, *self.facts} if facts.get(k) != self.facts.get(k))
            return f"they were made with another {', '.join(other)}"
        blocks = -(-self.shape[0] // BLOCK)
        if recorded != (FORMAT, self.shape, self.dtype) or len(sums) != blocks:
            return f"embeddings.json has {recorded}, not {(FORMAT, self.shape, self.dtype)}"
        if not all(known is None or isinstance(known, str) for known in sums):
            return "the checksums in embeddings.json are not valid"
        try:
            values = self.values()
        except (OSError, ValueError) as error:
            return f"embeddings.npy cannot be read ({str(error).partition(chr(10))[0]})"
        if values.shape != self.shape or values.dtype != np.dtype(self.dtype):
            return f"embeddings.npy has {values.dtype} {values.shape}, not {self.shape}"
        self.checksums = sums
        return ""

    def create(self) -> None:
        """An empty cache in place of an earlier one, with all of its space reserved.

        Raises DiskError where the disk has no room for it or refuses it.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.checksums = [None] * -(-self.shape[0] // BLOCK)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            np.lib.format.open_memmap(self.array_path, "w+", self.dtype, self.shape)
            if hasattr(os, "posix_fallocate"):
                # A full disk is noticed now and not after hours, and no page is missing later.
                with open(self.array_path, "r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            self._mark()
        except (OSError, DiskError) as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.parent.rmdir()
            size = self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize
            why = error.what if isinstance(error, DiskError) else error.strerror or error
            raise DiskError(
                f"{self.folder} cannot be made ({why}): it needs {amount(size)}; make room, or "
                "keep embeddings elsewhere with --embeddings FOLDER"
            ) from None

    def damaged(self, blocks: list[int]) -> list[int]:
        """Those of the blocks whose bytes are not those that were written."""
        values = self.values()
        return [
            block
            for block in blocks
            if self.checksums[block] not in (None, _checksum(values[self.extent(block)]))
        ]

    def write(self, block: int, embeddings: Floats) -> None:
        """Put a block's embeddings, float32 [n, D], on the disk, then mark it done.

        Raises FailureError where they are not finite or too large, DiskError where the disk
        refuses them; the blocks before are kept.
        """
        with np.errstate(over="ignore"):
            values = embeddings.astype(self.dtype)
        if not np.isfinite(values).all():
            why = (
                "values too large for float16; use --precision fp32"
                if np.isfinite(embeddings).all()
                else "values that are not numbers: the weights are damaged or the precision is too "
                "low; try --precision fp32"
            )
            raise FailureError(f"the encoder gives {why}")
        width = self.shape[1] * values.itemsize
        with writing(self.folder):
            with open(self.array_path, "r+b") as file:
                start = os.fstat(file.fileno()).st_size - self.shape[0] * width
                file.seek(start + self.extent(block).start * width)
                file.write(values.tobytes())
                file.flush()
                os.fsync(file.fileno())
            self.checksums[block] = _checksum(values)
            self._mark()

    def _mark(self) -> None:
        result = {
            "format": FORMAT,
            "facts": dict(self.facts),
            "shape": list(self.shape),
            "dtype": self.dtype,
            "rows": self.shape[0],
            "done": self.done(),
            "block_rows": BLOCK,
            "checksums": self.checksums,
        }
        with whole_file(self.facts_path, durable=True) as temporary:
            temporary.write_text(json.dumps(result) + "\n", "utf-8")


def _checksum(values: npt.NDArray[np.floating[Any]]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=12).hexdigest()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only process that writes this cache; the lock of a killed process is free.

    Raises BusyError where another process writes it.
    """
    path = folder.with_name(f".{folder.name}.lock")
    try:
        lock = Lock.take(path)
    except OSError as error:
        raise DiskError(
            f"{path.parent} cannot be written ({error.strerror or error}); keep embeddings "
            "elsewhere with --embeddings FOLDER"
        ) from None
    if lock is None:
        raise BusyError(
            f"another process computes {folder}; wait for it, then run the same command again"
        )
    try:
        yield
    finally:
        lock.release()
