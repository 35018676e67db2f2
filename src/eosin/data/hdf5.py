"""PatchCamelyon: pairs of HDF5 files, images in ``x``, labels in ``y``, slides in a CSV."""

from __future__ import annotations

import contextlib
import csv
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.data.arrays import (
    Part,
    Reader,
    array_files,
    check_labels,
    check_shape,
    labels_beside,
)
from eosin.data.layouts import plainly
from eosin.errors import SourceError, first_line, needing
from eosin.folders import scratch_file


def pcam_parts(source: Path, scratch: Path | None) -> list[Part]:
    """The arrays of a folder of ``*_x.h5[.gz]`` (or one such file) with the ``_y`` of each.

    scratch: where a gzipped file is unpacked for as long as it is read (HDF5 needs to seek).
    Raises MissingExtraError without h5py, SourceError for files that are damaged or do not match.
    """
    with needing("hdf5", "reading HDF5 files"):
        import h5py  # noqa: F401
    paths = array_files(source, r"_x\.h5(\.gz)?$")
    if not paths or not all("_x.h5" in path.name for path in paths):
        raise SourceError(f"{source} contains no images named *_x.h5 (PatchCamelyon's names)")
    folder = scratch if scratch is not None and scratch.is_dir() else None
    parts = []
    for path in paths:
        with _dataset(path, "x", folder) as images:
            shape, dtype = tuple(int(side) for side in images.shape), images.dtype
        check_shape(path.name, shape, dtype)
        stem = path.name.removesuffix(".gz")
        labels_path = labels_beside(path, stem.replace("_x.h5", "_y.h5"))
        with _dataset(labels_path, "y", folder) as values:
            if values.size != shape[0]:
                raise SourceError(
                    f"{labels_path} contains {values.size} labels for {shape[0]} images"
                )
            labels = check_labels(labels_path.name, np.asarray(values[...]), shape[0])
        if labels.max() > 1:
            raise SourceError(f"{labels_path} contains labels up to {labels.max()}; use 0 and 1")
        meta = _read_meta(path.parent / stem.replace("_x.h5", "_meta.csv"), shape[0])
        opened = partial(_images, path, shape[0], folder)
        parts.append(Part(path.name, shape, dtype, labels, opened, meta))
    return parts


@contextlib.contextmanager
def _images(path: Path, count: int, scratch: Path | None) -> Iterator[Reader]:
    with _dataset(path, "x", scratch) as images:
        if int(images.shape[0]) != count:
            raise SourceError(f"{path} changed while it was read")
        done = 0

        def read(n: int) -> npt.NDArray[Any]:
            nonlocal done
            done += n
            return np.asarray(images[done - n : done])

        yield read


@contextlib.contextmanager
def _dataset(path: Path, name: str, scratch: Path | None) -> Iterator[Any]:
    """A data set of an HDF5 file, unpacked into a temporary file first where it is gzipped."""
    import h5py

    with contextlib.ExitStack() as stack:
        plain = path
        try:
            if path.suffix == ".gz":
                folder = Path(scratch or tempfile.gettempdir())
                plain = stack.enter_context(scratch_file(folder / path.name))
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
                raise SourceError(f"{path} keeps its data in other files, which are not read")
            yield values
        except (OSError, EOFError, zlib.error, KeyError, ValueError, RuntimeError) as error:
            why = plainly(first_line(error))
            raise SourceError(f"{path} cannot be read as HDF5: {why}") from None


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
