"""PatchCamelyon: pairs of HDF5 files, images in ``x``, labels in ``y``, slides in a CSV."""

from __future__ import annotations

import contextlib
import csv
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eosin.data.arrays import (
    BLOCK_BYTES,
    ArrayPlan,
    Block,
    array_columns,
    check_labels,
    check_shape,
    part_of,
)
from eosin.data.layouts import Layout, plainly
from eosin.errors import MissingExtraError, SourceError
from eosin.folders import scratch_file

_SUFFIXES = ("", ".gz")


class _Pair(NamedTuple):
    images: Path
    labels: npt.NDArray[np.int64]
    meta: dict[str, list[Any]]
    n: int


def open_pcam(source: Path, layout: Layout, *, scratch: Path | None) -> ArrayPlan:
    """The plan of a folder of ``*_x.h5[.gz]`` (or of one such file) with the ``_y`` beside each.

    scratch: where a gzipped file is unpacked for as long as it is read (HDF5 needs to seek).
    Raises MissingExtraError without h5py, SourceError for files that are broken or do not fit.
    """
    try:
        import h5py  # noqa: F401
    except ImportError:
        raise MissingExtraError("hdf5", "reading HDF5 files") from None
    if source.is_dir():
        found: dict[str, Path] = {}
        for path in sorted(source.iterdir(), key=lambda p: (p.suffix == ".gz", p.name)):
            if path.name.removesuffix(".gz").endswith("_x.h5"):
                found.setdefault(path.name.removesuffix(".gz"), path)
        order = {"train": 0, "val": 1, "test": 2}
        files = sorted(found.values(), key=lambda p: (order.get(part_of(p.name), 3), p.name))
    else:
        files = [source]
    if not files or not all("_x.h5" in path.name for path in files):
        raise SourceError(f"{source} holds no images named *_x.h5 (PatchCamelyon's names)")
    folder = scratch if scratch is not None and scratch.is_dir() else None
    pairs: list[_Pair] = []
    size = (0, 0)
    for path in files:
        with _dataset(path, "x", folder) as images:
            size = check_shape(path.name, images.shape, images.dtype)
            count = int(images.shape[0])
        stem = path.name.removesuffix(".gz")
        beside = [path.parent / (stem.replace("_x.h5", "_y.h5") + s) for s in _SUFFIXES]
        labels_path = next((p for p in beside if p.exists()), None)
        if labels_path is None:
            raise SourceError(f"{path} has no labels beside it: {beside[0].name} is missing")
        with _dataset(labels_path, "y", folder) as values:
            if values.size != count:
                raise SourceError(f"{labels_path} holds {values.size} labels for {count} images")
            labels = check_labels(labels_path.name, np.asarray(values[...]), count)
        if labels.max() > 1:
            raise SourceError(f"{labels_path} holds labels up to {labels.max()}; 0 and 1 are known")
        meta = _read_meta(path.parent / stem.replace("_x.h5", "_meta.csv"), count)
        pairs.append(_Pair(path, labels, meta, count))

    def blocks() -> Generator[Block]:
        for pair in pairs:
            part = part_of(pair.images.name)
            with _dataset(pair.images, "x", folder) as images:
                if int(images.shape[0]) != pair.n:
                    raise SourceError(f"{pair.images} changed while it was read")
                bytes_each = max(1, int(np.prod(images.shape[1:])) * images.dtype.itemsize)
                step = max(1, min(1024, BLOCK_BYTES // bytes_each))
                for start in range(0, pair.n, step):
                    n = min(step, pair.n - start)
                    columns = array_columns(pair.images.name, part, pair.labels, start, n)
                    columns |= {k: values[start : start + n] for k, values in pair.meta.items()}
                    yield Block(np.asarray(images[start : start + n]), columns)

    return ArrayPlan(
        layout, list(layout.classes or ()), size, sum(pair.n for pair in pairs), blocks
    )


@contextlib.contextmanager
def _dataset(path: Path, name: str, scratch: Path | None) -> Iterator[Any]:
    """A data set of an HDF5 file, unpacked into a temporary file first where it is gzipped."""
    import h5py

    with contextlib.ExitStack() as stack:
        plain = path
        try:
            if path.suffix == ".gz":
                beside = Path(scratch or tempfile.gettempdir()) / path.name
                plain = stack.enter_context(scratch_file(beside))
                with open(plain, "wb") as target, gzip.open(path, "rb") as packed:
                    shutil.copyfileobj(packed, target, 1 << 20)
            # It is only read, and an unpacked one is locked by this process.
            file = stack.enter_context(h5py.File(plain, "r", locking=False))
            # A link could lead into another file of this machine.
            link = file.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
                raise SourceError(
                    f"{path} has no data set {name!r}; it has {plainly(list(file)[:5])}"
                )
            values = file[name]
            if values.external or values.is_virtual:
                raise SourceError(f"{path} keeps its data in other files; that is not read")
            yield values
        except (OSError, EOFError, zlib.error, KeyError, ValueError, RuntimeError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SourceError(f"{path} cannot be read as HDF5: {plainly(first)}") from None


def _read_meta(path: Path, count: int) -> dict[str, list[Any]]:
    """case (the slide, column ``wsi``), x and y of each patch, where the CSV is there."""
    if not path.exists():
        return {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        meta: dict[str, list[Any]] = {"case": [row["wsi"] or "" for row in rows]}
        if rows and {"coord_x", "coord_y"} <= rows[0].keys():
            for axis in ("x", "y"):
                values = [int(row[f"coord_{axis}"]) for row in rows]
                if values and not -(2**31) <= min(values) <= max(values) < 2**31:
                    raise ValueError(f"coord_{axis} out of range")
                meta[axis] = values
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise SourceError(
            f"{path} cannot be read as a CSV with wsi, coord_x, coord_y: {error}"
        ) from None
    if len(rows) != count:
        raise SourceError(f"{path} has {len(rows)} rows for {count} images")
    return meta
