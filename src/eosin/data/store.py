"""PatchStore: a folder with all patches of a data set as one memory-mapped array.

The folder contains

- ``patches.npy``     uint8 [N, H, W, 3], RGB, memory-mapped on opening;
- ``index.parquet``   one row a patch, in the same order (columns: ``INDEX_SCHEMA``);
- ``store.json``      format version, class names, patch size, mpp, counts, rejects, digest.

It is written under a temporary name and renamed when complete: it is there complete or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import ValidationError

from eosin.data.digests import pixel_digests, table_digest
from eosin.data.info import StoreInfo
from eosin.data.positive import By
from eosin.disks import writing
from eosin.errors import StoreError, first_line
from eosin.folders import whole_folder
from eosin.records.record import first_problem
from eosin.sources.files import read_npy, read_parquet
from eosin.texts import from_json, read_text

FORMAT = 1

#: The mark of every output on a store of synthetic patches.
MADE_UP = "made-up data: drawn by a program, no figure says anything about tissue"

#: One row a patch. ``x``, ``y`` are level-0 pixels of the patch's top-left corner (column, row),
#: null where unknown; ``width``, ``height`` are the image's size in pixels before padding or
#: resizing; ``case``, ``slide``, ``part`` (the source's own train/val/test) and ``subtype`` are ""
#: where unknown.
INDEX_SCHEMA: dict[str, pl.DataType] = {
    "label": pl.Int16(),
    "case": pl.String(),
    "slide": pl.String(),
    "x": pl.Int32(),
    "y": pl.Int32(),
    "width": pl.Int32(),
    "height": pl.Int32(),
    "part": pl.String(),
    "subtype": pl.String(),
    "source": pl.String(),
    "digest": pl.String(),
}

_HEADER_BYTES = 128

#: Every so many bytes the disk is asked to take what was written: little is left for the end.
_SYNC_BYTES = 48 << 20


class PatchStore:
    """A packed data set, opened for reading.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with StoreWriter(Path(folder) / "s", classes=["negative", "positive"],
    ...                      patch_size=(2, 2)) as writer:
    ...         writer.append(np.zeros((1, 2, 2, 3), np.uint8), [{"label": 1, "case": "A"}])
    ...     store = PatchStore.open(Path(folder) / "s")
    ...     len(store), store.classes, store.labels.tolist(), store.cases.tolist()
    (1, ('negative', 'positive'), [1], ['A'])
    """

    def __init__(
        self, path: Path, info: Mapping[str, Any], order: Mapping[int, int] | None = None
    ) -> None:
        self.path = path
        #: All of store.json.
        self.info = dict(info)
        #: Class number in index.parquet -> that in ``classes``, where they differ.
        self.order = order

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> PatchStore:
        """Open a store folder.

        Raises StoreError when the folder is missing, is not a store, has another format version,
        or its three files do not agree with each other.
        """
        folder = Path(path)
        if not folder.exists():
            raise StoreError(f"{folder}: no such store; make one with: eosin pack SOURCE {folder}")
        try:
            info = from_json(read_text(folder / "store.json"))
        except FileNotFoundError:
            raise StoreError(
                f"{folder} is not a patch store (it has no store.json); "
                f"make one with: eosin pack SOURCE STORE"
            ) from None
        except (OSError, ValueError) as error:
            raise StoreError(f"{folder}/store.json cannot be read ({error}); pack again") from None
        if not isinstance(info, dict) or info.get("format") != FORMAT:
            other = info.get("format") if isinstance(info, dict) else type(info).__name__
            raise StoreError(
                f"{folder}/store.json has format {other!r}, this version reads {FORMAT}; pack again"
            )
        try:
            store = cls(folder, StoreInfo.model_validate(info).to_json())
        except ValidationError as error:
            raise StoreError(
                f"{folder}/store.json is damaged ({first_problem(error)}); pack again"
            ) from None
        store._check()
        return store

    def _check(self) -> None:
        shape, rows = self.patches.shape, self.index.height
        expected = (int(self.info["count"]), *self.patch_size, 3)
        classes = self.classes
        if shape != expected or rows != expected[0]:
            raise StoreError(
                f"{self.path} is damaged: store.json has {expected}, patches.npy {shape}, "
                f"index.parquet {rows} rows; pack again"
            )
        if rows and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(classes):
            raise StoreError(
                f"{self.path} is damaged: labels {self.labels.min()} to {self.labels.max()} "
                f"for {len(classes)} classes; pack again"
            )

    def __len__(self) -> int:
        return int(self.info["count"])

    @cached_property
    def patches(self) -> npt.NDArray[np.uint8]:
        """uint8 [N, H, W, 3], memory-mapped, RGB."""
        path = self.path / "patches.npy"
        try:
            array = read_npy(path, mapped=True)
        except (OSError, ValueError) as error:
            # An array of no rows cannot be mapped.
            with contextlib.suppress(OSError, ValueError):
                array = read_npy(path)
                if array.shape[:1] == (0,):
                    return np.asarray(array, dtype=np.uint8)
            raise StoreError(f"{path} cannot be read ({error}); pack again") from None
        if array.dtype != np.uint8 or array.ndim != 4:
            raise StoreError(f"{path} contains {array.dtype} {array.shape}, not uint8 [N, H, W, 3]")
        return np.asanyarray(array)

    @cached_property
    def index(self) -> pl.DataFrame:
        """One row a patch, in the order of ``patches``; columns as in INDEX_SCHEMA."""
        path = self.path / "index.parquet"
        try:
            table = read_parquet(path)
            if self.order is not None:
                table = table.with_columns(pl.col("label").replace_strict(self.order))
            return table.select([pl.col(name).cast(kind) for name, kind in INDEX_SCHEMA.items()])
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise StoreError(f"{path} cannot be read ({first_line(error)}); pack again") from None

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 [N], indices into ``classes``."""
        return self.index["label"].to_numpy().astype(np.int64)

    @cached_property
    def cases(self) -> npt.NDArray[np.str_]:
        """str [N]; "" where the source does not give the case."""
        return np.asarray(self.index["case"].to_list(), dtype=np.str_)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""
        return tuple(str(name) for name in self.info["classes"])

    @property
    def positive_by(self) -> By:
        """How the second of two classes became the positive one; "" where not recorded."""
        by: By = self.info.get("positive_by") or ""
        return by

    @property
    def patch_size(self) -> tuple[int, int]:
        """(height_px, width_px)."""
        height, width = self.info["patch_size"]
        return int(height), int(width)

    @property
    def fit(self) -> str:
        """How images of another size were brought to the patch size: pad, resize or reject."""
        return str(self.info.get("fit", "pad"))

    @property
    def mpp(self) -> float | None:
        """Micrometers a pixel, or None where unknown."""
        value = self.info.get("mpp")
        return None if value is None else float(value)

    @property
    def digest(self) -> str:
        """The identity of the store: pixels, labels, cases and positions in order."""
        return str(self.info["digest"])

    @property
    def cases_known(self) -> bool:
        """Whether every patch has its case; without it no split can guarantee disjoint cases."""
        return bool(self.info["cases_known"])

    @property
    def made_up(self) -> bool:
        """Whether the patches are synthetic; every output is then marked."""
        return bool(self.info.get("made_up", False))


class StoreWriter:
    """Writes a store under a temporary name; ``close`` renames it, an error removes it.

    path: the store to make; replace: one that is there may be replaced, of which files that eosin
    did not make are kept. patch_size: (height_px, width_px) of every patch.
    info: further keys for store.json (layout, rejects, made_up, ...); may be filled until closing.
    Raises UserError when a store may not be made at this path, DiskError where the disk refuses it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        classes: Sequence[str],
        patch_size: tuple[int, int],
        mpp: float | None = None,
        info: Mapping[str, Any] | None = None,
        replace: bool = False,
    ) -> None:
        self.path = Path(path)
        self.classes = list(classes)
        self.patch_size = patch_size
        self.mpp = mpp
        self.info: dict[str, Any] = dict(info or {})
        self.count = 0
        self._tables: list[pl.DataFrame] = []
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._waits: list[Future[None]] = []
        self._unsynchronized = 0
        # Forgotten, or stopped by Ctrl-C between any two lines, the stack removes the folder.
        with writing(self.path), contextlib.ExitStack() as stack:
            writer = whole_folder(self.path, "store", force=replace)
            self._folder = stack.enter_context(writer)
            self._file = stack.enter_context(open(self._folder / "patches.npy", "wb"))
            self._file.write(b"\0" * _HEADER_BYTES)
            self._stack = stack.pop_all()

    def append(
        self,
        patches: npt.NDArray[np.uint8],
        rows: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Add patches: uint8 [n, H, W, 3], and their index as n rows or as columns of length n.

        Missing columns get defaults: the store's patch size, digests of the pixels, the case as
        the slide, "" or null. rows: None where ``describe`` adds them later.
        Raises DiskError where the disk refuses them.
        """
        if patches.dtype != np.uint8 or patches.shape[1:] != (*self.patch_size, 3):
            raise ValueError(f"patches are {patches.dtype} {patches.shape}, not {self.patch_size}")
        table = None if rows is None else self._columns(patches, rows)
        if table is not None and table.height != len(patches):
            raise ValueError(f"{len(patches)} patches but {table.height} rows")
        with writing(self.path, self._folder):
            self._file.write(np.ascontiguousarray(patches).data)
        if table is not None:
            self._tables.append(table)
        self.count += len(patches)
        self._unsynchronized += patches.nbytes
        if self._unsynchronized > _SYNC_BYTES and all(wait.done() for wait in self._waits):
            self._unsynchronized = 0
            self._waits.append(self._disk.submit(os.fsync, self._file.fileno()))

    def describe(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """The index of all patches that were added without one, ``digest`` included, in order."""
        self._tables.append(self._columns(None, columns))

    def _columns(
        self,
        patches: npt.NDArray[np.uint8] | None,
        rows: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]],
    ) -> pl.DataFrame:
        height, width = self.patch_size
        if isinstance(rows, Mapping):
            columns: dict[str, Sequence[Any]] = dict(rows)
            count = len(columns["label"])
        else:
            count = len(rows)
            defaults: dict[str, Any] = {"width": width, "height": height, "x": None, "y": None}
            names = {name for row in rows for name in row}
            columns = {
                name: [row.get(name, defaults.get(name, "")) for row in rows] for name in names
            }
        if "digest" not in columns and patches is not None:
            columns["digest"] = pixel_digests(patches)
        full: dict[str, Any] = {
            "case": [""] * count, "x": [None] * count, "y": [None] * count, "part": [""] * count,
            "width": [width] * count, "height": [height] * count, "subtype": [""] * count,
            "source": [""] * count, "slide": [""] * count, **columns,
        }  # fmt: skip
        table = pl.DataFrame(full, schema=INDEX_SCHEMA)
        return table.with_columns(
            pl.when(pl.col("slide") == "").then("case").otherwise("slide").alias("slide")
        )

    def table(self) -> pl.DataFrame:
        """The index so far."""
        return pl.concat([pl.DataFrame(schema=INDEX_SCHEMA), *self._tables])

    def close(self) -> PatchStore:
        """Finish the files, put the folder in its place and open it."""
        shape = (self.count, *self.patch_size, 3)
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little"))
        self._file.write(header.ljust(_HEADER_BYTES - 11) + b"\n")
        self._file.flush()
        # The disk is waited for while the index is made.
        self._waits.append(self._disk.submit(os.fsync, self._file.fileno()))
        self._describe(self.table())
        for wait in self._waits:
            wait.result()
        self._disk.shutdown()
        self._stack.close()
        return PatchStore.open(self.path)

    def _describe(self, table: pl.DataFrame) -> None:
        """Write index.parquet and store.json."""
        table.write_parquet(self._folder / "index.parquet")
        labels = table["label"].to_numpy()
        cases = table["case"]
        info = {
            "format": FORMAT,
            "classes": self.classes,
            "positive": self.classes[1] if len(self.classes) == 2 else None,
            "positive_by": "",
            "patch_size": list(self.patch_size),
            "mpp": self.mpp,
            "count": self.count,
            "counts": {name: int((labels == k).sum()) for k, name in enumerate(self.classes)},
            "cases": cases.filter(cases != "").n_unique(),
            "cases_known": bool(self.count) and bool((cases != "").all()),
            "digest": table_digest(table, self.classes),
            **self.info,
        }
        (self._folder / "store.json").write_text(
            json.dumps(info, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )

    def abort(self, error: BaseException | None = None) -> None:
        """Remove what was written."""
        self._disk.shutdown(wait=True, cancel_futures=True)
        error = error or StoreError(f"writing {self.path} was stopped")
        # A full disk also fails the last flush.
        with contextlib.suppress(OSError, type(error)):
            self._stack.__exit__(type(error), error, error.__traceback__)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.abort(error)
            return
        try:
            with writing(self.path, self._folder):
                self.close()
        except BaseException as failed:
            self.abort(failed)
            raise
