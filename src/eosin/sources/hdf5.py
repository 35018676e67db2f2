"""HDF5: images and labels in pairs of files or of data sets, as PatchCamelyon has them.

PatchCamelyon has images in ``x``, labels in ``y``, and slides in a CSV; mirrors have other names.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.disks import writing
from eosin.errors import SourceError, first_line, needing
from eosin.folders import scratch_file
from eosin.sources.arrays import (
    Part,
    Reader,
    array_files,
    check_labels,
    check_shape,
    in_order,
    labels_beside,
)
from eosin.sources.layouts import plainly
from eosin.sources.pairs import paired, role_of

#: How the names of HDF5 files end.
ENDING = r"\.(h5|hdf5)(\.gz)?$"


def hdf5_parts(source: Path, scratch: Path | None) -> list[Part]:
    """The arrays of HDF5 files with their labels: pairs of files, or pairs of data sets in a file.

    source: a folder or a file; names decide what belongs together (``eosin.sources.pairs``).
    scratch: where a gzipped file is unpacked for as long as it is read (HDF5 needs to seek).
    Raises MissingExtraError without h5py, SourceError for files that are damaged or do not match.
    """
    with needing("hdf5", "reading HDF5 files"):
        import h5py  # noqa: F401
    folder = scratch if scratch is not None and scratch.is_dir() else None
    parts: list[Part] = []
    for path in array_files(source, ENDING):
        role, _ = role_of(path.name)
        if role == "images":
            labels_path = _beside(path)
            parts.append(_part(path.name, path, "", labels_path, "", folder))
            continue
        with _opened(path, folder) as file:
            inside = paired(file)
        if role != "labels":
            for images in in_order(inside):
                labels = inside[images]
                if not labels:
                    raise SourceError(f"{path} has {plainly(images)} but no labels for it")
                name = f"{path.name}/{images}"
                parts.append(_part(name, path, images, path, labels, folder))
    if not parts:
        raise SourceError(
            f"{source} contains no HDF5 images: neither files in pairs such as train_x.h5 and "
            "train_y.h5, nor data sets in pairs such as images and labels"
        )
    return parts


def looks_like_pcam(source: Path, parts: list[Part]) -> bool:
    """Whether arrays are PatchCamelyon's: by their size or their names, with labels 0 and 1."""
    named = re.search("camelyon|pcam", f"{source.name} {parts[0].name}", re.I) is not None
    return all(
        (named or part.shape[1:] == (96, 96, 3)) and part.labels.max() <= 1 for part in parts
    )


def _beside(path: Path) -> Path:
    """The file of labels that belongs to a file of images."""
    with contextlib.suppress(OSError):
        names = [p.name for p in path.parent.iterdir() if re.search(ENDING, p.name, re.I)]
        if pair := paired([path.name, *(name for name in names if name != path.name)])[path.name]:
            return path.parent / pair
    stem = path.name.removesuffix(".gz")
    return labels_beside(path, stem.replace("_x.h5", "_y.h5"))


def _part(
    name: str, path: Path, images: str, labels_path: Path, labels: str, folder: Path | None
) -> Part:
    with _dataset(path, images or "x", folder) as values:
        shape, dtype = tuple(int(side) for side in values.shape), values.dtype
    check_shape(name, shape, dtype)
    with _dataset(labels_path, labels or "y", folder) as values:
        if values.size != shape[0]:
            raise SourceError(f"{labels_path} contains {values.size} labels for {shape[0]} images")
        numbers = check_labels(labels_path.name, np.asarray(values[...]), shape[0])
    stem = path.name.removesuffix(".gz")
    meta = {}
    if stem.endswith("_x.h5"):
        meta = _read_meta(path.parent / stem.replace("_x.h5", "_meta.csv"), shape[0])
    opened = partial(_images, path, images or "x", shape[0], folder)
    return Part(name, shape, dtype, numbers, opened, meta)


@contextlib.contextmanager
def _images(path: Path, name: str, count: int, scratch: Path | None) -> Iterator[Reader]:
    with _dataset(path, name, scratch) as images:
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
    """A data set of an HDF5 file; where it does not have this one, its only one."""
    import h5py

    with _opened(path, scratch) as file:
        names = list(file)
        if name not in names and len(names) == 1:
            name = names[0]
        # A link could lead into another file of this machine.
        link = file.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
            other = ", but a group or a link of this name" if name in names else ""
            raise SourceError(
                f"{path} has no data set {name!r}{other}; it has {plainly(names[:5])}"
            )
        values = file[name]
        if values.external or values.is_virtual:
            raise SourceError(f"{path} keeps its data in other files, which are not read")
        yield values


@contextlib.contextmanager
def _opened(path: Path, scratch: Path | None) -> Iterator[Any]:
    """An HDF5 file, unpacked into a temporary file first where it is gzipped."""
    import h5py

    with contextlib.ExitStack() as stack:
        plain = path
        try:
            if path.suffix == ".gz":
                folder = Path(scratch or tempfile.gettempdir())
                plain = stack.enter_context(scratch_file(folder / path.name))
                with open(plain, "wb") as target, gzip.open(path, "rb") as packed:
                    while block := packed.read(1 << 20):
                        with writing(plain, plain):
                            target.write(block)
                            target.flush()
            # It is only read, and an unpacked one is locked by this process.
            yield stack.enter_context(h5py.File(plain, "r", locking=False))
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
