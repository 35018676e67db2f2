"""Data sets that come as arrays: IDX (MNIST), npz (MedMNIST) and HDF5 (PatchCamelyon).

Each is streamed in blocks, in order; no array is ever completely in memory.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eosin.errors import SourceError, first_line
from eosin.sources.files import BAD_HEADER
from eosin.sources.layouts import LAYOUTS, PARTS, Layout, natural_key, plainly
from eosin.sources.pairs import paired, words_of

#: Bytes of an array that are read at a time.
BLOCK_BYTES = 4 << 20

#: The most labels of an array file.
_MAX_LABELS = 100_000_000

_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass
class Block:
    """Some consecutive images of an array and their index columns."""

    #: uint8, uint16 or floating point, [n, H, W] or [n, H, W, C].
    images: npt.NDArray[Any]
    columns: dict[str, list[Any]]
    #: Images that could not be read, with the reason.
    rejects: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class ArrayPlan:
    """Arrays of images to pack, in order."""

    layout: Layout
    classes: list[str]
    #: (height_px, width_px)
    size: tuple[int, int]
    count: int
    blocks: Callable[[], Generator[Block]]
    made_up: bool = False
    notes: list[str] = field(default_factory=list)
    #: What was found unusable before any image was read, with the reason.
    rejects: list[tuple[str, str]] = field(default_factory=list)
    #: How the source was read, where the layout alone does not tell.
    reading: dict[str, Any] | None = None

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Each block closes what it opened."""


Opener = Callable[[], contextlib.AbstractContextManager[IO[bytes]]]
#: Reads the next n images of an array: uint8, uint16 or floating point, [n, H, W (, C)].
Reader = Callable[[int], npt.NDArray[Any]]


class Part(NamedTuple):
    """One array of images with its labels."""

    name: str
    #: (n, H, W) or (n, H, W, C)
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    labels: npt.NDArray[np.int64]
    #: Opens the images for reading in order.
    open: Callable[[], contextlib.AbstractContextManager[Reader]]
    #: Index columns that the source has besides the labels, one value an image.
    columns: Mapping[str, list[Any]] = MappingProxyType({})


def part_of(name: str) -> str:
    """The part of the data set that is in a file name, or "".

    >>> part_of("t10k-images-idx3-ubyte.gz"), part_of("train_images"), part_of("images")
    ('test', 'train', '')
    """
    for word in words_of(name):
        if word in PARTS or word == "t10k":
            return PARTS.get(word, "test")
    return ""


def in_order(names: Iterable[str]) -> list[str]:
    """Names of arrays, those of the training part first.

    >>> in_order(["test_10", "test_9", "val", "train"])
    ['train', 'val', 'test_9', 'test_10']
    """
    order = {"train": 0, "val": 1, "test": 2}
    return sorted(names, key=lambda name: (order.get(part_of(name), 3), natural_key(name)))


def array_files(source: Path, pattern: str) -> list[Path]:
    """The files of a folder whose names fit, plain ones before gzipped ones; or the file itself."""
    if not source.is_dir():
        return [source]
    files: dict[str, Path] = {}
    for path in sorted(source.iterdir(), key=lambda p: (p.suffix.lower() == ".gz", p.name)):
        if re.search(pattern, path.name, re.I):
            files.setdefault(path.name.lower().removesuffix(".gz"), path)
    return [files[name] for name in in_order(files)]


def labels_beside(path: Path, name: str) -> Path:
    """The file of labels that belongs to a file of images; SourceError where it is missing."""
    for ending in ("", ".gz"):
        if (labels := path.parent / (name + ending)).exists():
            return labels
    raise SourceError(f"{path} has no labels next to it: {name} or {name}.gz is missing")


def check_shape(name: str, shape: Sequence[int], dtype: np.dtype[Any]) -> tuple[int, int]:
    """(height_px, width_px) of an array of images; SourceError for any other array."""
    images = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 2, 3, 4))
    number = dtype.kind == "f" or (dtype.kind == "u" and dtype.itemsize <= 2)
    if not images or not number:
        raise SourceError(
            f"{name} contains {dtype} {list(shape)}; images are uint8, uint16 or floating point, "
            "[n, height, width] or [n, height, width, 1 to 4]"
        )
    if min(shape) < 1 or shape[1] * shape[2] > 16_777_216:
        raise SourceError(f"{name} declares images of {shape[2]}x{shape[1]} px, {shape[0]} of them")
    return int(shape[1]), int(shape[2])


def check_labels(name: str, labels: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """int64 [n] from an array of labels of any shape with n values; SourceError otherwise."""
    if labels.dtype.kind not in "uib" or labels.size != labels.shape[0]:
        raise SourceError(
            f"{name} contains {labels.dtype} {list(labels.shape)}; labels are one integer an "
            "image (a set with several labels an image cannot be packed)"
        )
    flat = labels.reshape(-1).astype(np.int64)
    if len(flat) != count:
        raise SourceError(f"{name} contains {len(flat)} labels for {count} images")
    if count and (flat.min() < 0 or flat.max() > 999):
        raise SourceError(f"{name} contains labels {flat.min()} to {flat.max()}; use 0 to 999")
    return flat


def open_arrays(source: Path, layout: Layout, *, scratch: Path | None) -> ArrayPlan:
    """The plan of an array data set; raises SourceError when it is damaged or of another kind."""
    notes: list[str] = []
    if layout.name in ("hdf5", "pcam"):
        from eosin.sources.hdf5 import hdf5_parts, looks_like_pcam

        parts = hdf5_parts(source, scratch)
        if layout.name == "hdf5" and looks_like_pcam(source, parts):
            layout = LAYOUTS["pcam"]
    else:
        parts = _npz_parts(source, notes) if layout.name == "medmnist" else _idx_parts(source)
    sizes = {check_shape(part.name, part.shape, part.dtype) for part in parts}
    present = np.unique(np.concatenate([np.unique(part.labels) for part in parts]))
    classes = list(layout.classes or map(str, present))
    if layout.classes is None:
        # Labels 1 and 2 are two classes, and no empty third one.
        parts = [
            part._replace(labels=np.searchsorted(present, part.labels).astype(np.int64))
            for part in parts
        ]
    elif present[-1] >= len(classes):
        raise SourceError(
            f"{source} contains labels up to {present[-1]}; layout {layout.name} has "
            f"{len(classes)} classes; leave out --layout"
        )

    def blocks() -> Generator[Block]:
        for part in parts:
            yield from _blocks(source, part)

    count = sum(part.shape[0] for part in parts)
    return ArrayPlan(layout, classes, max(sizes), count, blocks, notes=notes)


def _blocks(source: Path, part: Part) -> Iterator[Block]:
    count = part.shape[0]
    step = max(1, min(1024, BLOCK_BYTES // (math.prod(part.shape[1:]) * part.dtype.itemsize)))
    try:
        with part.open() as read:
            for start in range(0, count, step):
                stop = min(start + step, count)
                columns = {name: values[start:stop] for name, values in part.columns.items()}
                columns |= {
                    "label": part.labels[start:stop].tolist(),
                    "part": [part_of(part.name)] * (stop - start),
                    "source": [f"{part.name}#{k}" for k in range(start, stop)],
                }
                yield Block(read(stop - start), columns)
    except _BROKEN as error:
        raise SourceError(
            f"{source} cannot be read: {part.name} is damaged ({plainly(error)})"
        ) from None


@contextlib.contextmanager
def _raw_images(
    source: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], skip: Opener
) -> Iterator[Reader]:
    """Images that are stored in C order in a stream; skip opens it where they start."""
    item = math.prod(shape[1:]) * dtype.itemsize
    done = 0

    def read(n: int) -> npt.NDArray[Any]:
        nonlocal done
        data = stream.read(n * item)
        done += len(data) // item
        if len(data) < n * item:
            raise SourceError(
                f"{source} is truncated: {name} declares {shape[0]} images and ends in image "
                f"{done}; fetch or copy it again"
            )
        return np.frombuffer(data, dtype).reshape(n, *shape[1:])

    with skip() as stream:
        yield read
        if stream.read(1):
            raise SourceError(f"{name} in {source} contains more than it declares")


# IDX: two zero bytes, a type code (8: uint8), the number of axes, their lengths, the values.


def looks_like_idx(path: Path) -> bool:
    """Whether a file is IDX, raw or gzipped, by its first bytes."""
    try:
        with _open_plain(path) as file:
            start = file.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(start) == 4 and start[:3] == b"\0\0\x08" and start[3] in (1, 3, 4)


def _open_plain(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb")  # type: ignore[return-value]


def kind_of_folder(folder: Path) -> str:
    """The array layout of a folder, judged by its file names, or ""."""
    try:
        names = [path.name.lower() for path in folder.iterdir()]
    except OSError as error:
        raise SourceError(f"{folder} cannot be listed: {error.strerror}") from None
    if any(re.search(r"images[-.]idx[34]-ubyte(\.gz)?$", name) for name in names):
        return "idx"
    arrays = [name for name in names if re.search(r"\.(h5|hdf5)(\.gz)?$", name)]
    # Beside images such a file may be anything, the weights of a network for example.
    alone = all(name in arrays or name.endswith((".csv", ".txt", ".md")) for name in names)
    if arrays and (alone or any(name.endswith(("_x.h5", "_x.h5.gz")) for name in arrays)):
        return "hdf5"
    return "hdf5" if any(paired(arrays).values()) else ""


def _idx_parts(source: Path) -> list[Part]:
    paths = array_files(source, r"images[-.]idx[34]")
    if not paths:
        raise SourceError(f"{source} contains no IDX images (such as train-images-idx3-ubyte.gz)")
    parts = []
    for path in paths:
        if "images" not in path.name:
            raise SourceError(f"{path} has no 'images' in its name; pack the folder or that file")
        shape = _idx_shape(path)
        stem = path.name.removesuffix(".gz").replace("images", "labels")
        pair = labels_beside(path, re.sub(r"idx[34]", "idx1", stem))
        with _reading(pair) as file:
            count = _idx_shape(pair)
            file.read(8)
            values = file.read(count[0] + 1) if len(count) == 1 else b""
        if len(values) != count[0]:
            raise SourceError(
                f"{pair} declares {list(count)} labels and contains {len(values)} or more"
            )
        labels = check_labels(pair.name, np.frombuffer(values, np.uint8), shape[0])
        kind, skip = np.dtype(np.uint8), partial(_skipped, path, 4 + 4 * len(shape))
        images = partial(_raw_images, source, path.name, shape, kind, skip)
        parts.append(Part(path.name, shape, kind, labels, images))
    return parts


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    try:
        with _open_plain(path) as file:
            yield file
    except _BROKEN as error:
        raise SourceError(f"{path} cannot be read: {plainly(error)}") from None


@contextlib.contextmanager
def _skipped(path: Path, skip: int) -> Iterator[IO[bytes]]:
    with _open_plain(path) as file:
        file.read(skip)
        yield file


def _idx_shape(path: Path) -> tuple[int, ...]:
    with _reading(path) as file:
        start = file.read(4)
        axes = start[3] if len(start) == 4 else 0
        lengths = file.read(4 * axes)
    if start[:3] != b"\0\0\x08" or axes not in (1, 3, 4) or len(lengths) < 4 * axes:
        raise SourceError(f"{path} is not an IDX file of bytes: it begins with {start!r}")
    shape = tuple(int.from_bytes(lengths[4 * k : 4 * k + 4], "big") for k in range(axes))
    if not 0 < shape[0] <= _MAX_LABELS:
        raise SourceError(f"{path} declares {shape[0]} images or labels")
    return shape


def _npz_parts(source: Path, notes: list[str]) -> list[Part]:
    try:
        with zipfile.ZipFile(source) as archive:
            names = {info.filename: info for info in archive.infolist()}
            parts = []
            pairs = paired(names)
            if any(name != plainly(name) for name in pairs):
                raise SourceError(f"{source} has unreadable member names")
            if others := names.keys() - pairs.keys() - set(pairs.values()):
                notes.append(
                    f"arrays that are not used: {plainly(', '.join(sorted(others)))}; cases "
                    "(patients) are read from tables"
                )
            for name in in_order(pairs):
                pair = pairs[name]
                if not pair:
                    raise SourceError(f"{source} has {name} but no labels for it")
                with archive.open(name) as stream:
                    shape, dtype = _npy_header(name, stream)
                with archive.open(pair) as stream:
                    label_shape, label_dtype = _npy_header(pair, stream)
                    size = math.prod(label_shape) * label_dtype.itemsize
                    if size > 8 * _MAX_LABELS or size > names[pair].file_size:
                        raise SourceError(f"{pair} in {source} declares {list(label_shape)} labels")
                    data = stream.read(size)
                    if len(data) < size:
                        raise SourceError(f"{pair} in {source} is truncated")
                values = np.frombuffer(data, label_dtype).reshape(label_shape)
                check_shape(name, shape, dtype)
                labels = check_labels(pair, values, shape[0])
                shown, skip = name.removesuffix(".npy"), partial(_member, source, name)
                images = partial(_raw_images, source, shown, shape, dtype, skip)
                parts.append(Part(shown, shape, dtype, labels, images))
    except _BROKEN as error:
        raise SourceError(f"{source} cannot be read as npz: {plainly(error)}") from None
    if not parts:
        shown = plainly(", ".join(list(names)[:5]))
        raise SourceError(
            f"{source} has no images and labels in pairs, such as train_images and train_labels; "
            f"it has {shown}"
        )
    return parts


def _npy_header(name: str, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of a .npy; arrays of objects, which would need pickle, are refused."""
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
        else:
            raise SourceError(f"{name} has npy version {version}; 1.0 and 2.0 are read")
    except BAD_HEADER as error:
        why = plainly(first_line(error))
        raise SourceError(f"{name} is not a complete npy array ({why})") from None
    if dtype.hasobject or dtype.kind not in "uibf" or fortran or not shape or min(shape) < 1:
        order = ", column by column" if fortran else ""
        raise SourceError(
            f"{name} contains {dtype} {list(shape)}{order}; "
            "images and labels are arrays of numbers in C order"
        )
    return tuple(int(n) for n in shape), dtype


@contextlib.contextmanager
def _member(source: Path, name: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(source) as archive, archive.open(name) as stream:
        _npy_header(name, stream)
        yield stream
