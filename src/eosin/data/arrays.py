"""Data sets that come as arrays: IDX (MNIST), npz (MedMNIST) and HDF5 (PatchCamelyon).

Each is streamed in blocks, in order; none is ever held whole.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eosin.data.layouts import PARTS, Layout, natural_key, plainly
from eosin.errors import SourceError

#: Bytes of an array that are read at a time.
BLOCK_BYTES = 4 << 20

#: The most labels an array file may hold.
_MAX_LABELS = 100_000_000

_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass
class Block:
    """Some consecutive images of an array and their index columns."""

    #: uint8 or uint16 [n, H, W] or [n, H, W, C].
    images: npt.NDArray[Any]
    columns: dict[str, list[Any]]


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

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Each block closes what it opened."""


class Part(NamedTuple):
    """One array of images, its labels, and what it is called."""

    name: str
    part: str
    #: (n, H, W) or (n, H, W, C)
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    labels: npt.NDArray[np.int64]
    #: Opens the raw images for streaming, in C order.
    open: Callable[[], contextlib.AbstractContextManager[IO[bytes]]]


def part_of(name: str) -> str:
    """The part that a file name speaks of, or "".

    >>> part_of("t10k-images-idx3-ubyte.gz"), part_of("train_images"), part_of("images")
    ('test', 'train', '')
    """
    for word in re.split(r"[^a-z0-9]+", name.lower()):
        if word in PARTS or word == "t10k":
            return PARTS.get(word, "test")
    return ""


def check_shape(name: str, shape: Sequence[int], dtype: np.dtype[Any]) -> tuple[int, int]:
    """(height_px, width_px) of an array of images; SourceError when it is none."""
    whole = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 2, 3, 4))
    if not whole or dtype.kind != "u" or dtype.itemsize > 2:
        raise SourceError(
            f"{name} holds {dtype} {list(shape)}; images are uint8 or uint16 [n, height, width] "
            "or [n, height, width, 1 to 4]"
        )
    if min(shape) < 1 or shape[1] * shape[2] > 16_777_216:
        raise SourceError(f"{name} declares images of {shape[2]}x{shape[1]} px, {shape[0]} of them")
    return int(shape[1]), int(shape[2])


def check_labels(name: str, labels: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """int64 [n] from an array of labels of any shape with n values; SourceError otherwise."""
    if labels.dtype.kind not in "uib" or labels.size != labels.shape[0]:
        raise SourceError(
            f"{name} holds {labels.dtype} {list(labels.shape)}; labels are one whole number an "
            "image (a set with several labels an image cannot be packed)"
        )
    flat = labels.reshape(-1).astype(np.int64)
    if len(flat) != count:
        raise SourceError(f"{name} holds {len(flat)} labels for {count} images")
    if count and (flat.min() < 0 or flat.max() > 999):
        raise SourceError(f"{name} holds labels {flat.min()} to {flat.max()}; 0 to 999 are read")
    return flat


def open_arrays(source: Path, layout: Layout, *, scratch: Path | None) -> ArrayPlan:
    """The plan of an array data set; raises SourceError when it is broken or none."""
    if layout.name == "pcam":
        from eosin.data.hdf5 import open_pcam

        return open_pcam(source, layout, scratch=scratch)
    parts = _npz_parts(source) if layout.name == "medmnist" else _idx_parts(source)
    sizes = {check_shape(part.name, part.shape, part.dtype) for part in parts}
    classes = [str(k) for k in range(1 + max(int(part.labels.max()) for part in parts))]

    def blocks() -> Generator[Block]:
        for part in parts:
            yield from _stream(source, part)

    return ArrayPlan(
        layout, classes, sorted(sizes)[-1], sum(part.shape[0] for part in parts), blocks
    )


def _stream(source: Path, part: Part) -> Iterator[Block]:
    count, item = part.shape[0], part.shape[1:]
    item_bytes = math.prod(item) * part.dtype.itemsize
    step = max(1, min(1024, BLOCK_BYTES // item_bytes))
    try:
        with part.open() as stream:
            for start in range(0, count, step):
                n = min(step, count - start)
                data = stream.read(n * item_bytes)
                if len(data) < n * item_bytes:
                    raise SourceError(
                        f"{source} is truncated: {part.name} declares {count} images and ends "
                        f"in image {start + len(data) // item_bytes}; fetch or copy it again"
                    )
                yield Block(
                    np.frombuffer(data, part.dtype).reshape(n, *item),
                    array_columns(part.name, part.part, part.labels, start, n),
                )
            if stream.read(1):
                raise SourceError(f"{part.name} in {source} holds more than it declares")
    except _BROKEN as error:
        raise SourceError(
            f"{source} cannot be read: {part.name} is damaged ({plainly(error)})"
        ) from None


def array_columns(
    name: str, part: str, labels: npt.NDArray[np.int64], start: int, n: int
) -> dict[str, list[Any]]:
    """The index columns of images ``start`` to ``start + n`` of an array."""
    return {
        "label": labels[start : start + n].tolist(),
        "part": [part] * n,
        "source": [f"{name}#{k}" for k in range(start, start + n)],
    }


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
    return "pcam" if any(re.search(r"_x\.h5(\.gz)?$", name) for name in names) else ""


def _idx_parts(source: Path) -> list[Part]:
    if source.is_dir():
        found = [p for p in source.iterdir() if re.search(r"images[-.]idx[34]", p.name, re.I)]
        # Raw before gzipped, if both are there.
        images: dict[str, Path] = {}
        for path in sorted(found, key=lambda p: (p.suffix.lower() == ".gz", p.name)):
            images.setdefault(path.name.lower().removesuffix(".gz"), path)
        chosen = sorted(images.values(), key=lambda p: (part_of(p.name) != "train", p.name))
    else:
        chosen = [source]
    if not chosen:
        raise SourceError(f"{source} holds no IDX images (such as train-images-idx3-ubyte.gz)")
    parts = []
    for path in chosen:
        if "images" not in path.name:
            raise SourceError(f"{path} has no 'images' in its name; name the folder or that file")
        shape = _idx_shape(path)
        stem = path.name.removesuffix(".gz").replace("images", "labels")
        stem = re.sub(r"idx[34]", "idx1", stem)
        pair = next((p for s in ("", ".gz") if (p := path.parent / (stem + s)).exists()), None)
        if pair is None:
            raise SourceError(f"{path} has no labels beside it: {stem} or {stem}.gz is missing")
        with _reading(pair) as file:
            count = _idx_shape(pair)
            file.read(8)
            values = file.read(count[0] + 1) if len(count) == 1 else b""
        if len(values) != count[0]:
            raise SourceError(
                f"{pair} declares {list(count)} labels and holds {len(values)} or more"
            )
        labels = check_labels(pair.name, np.frombuffer(values, np.uint8), shape[0])
        parts.append(
            Part(path.name, part_of(path.name), shape, np.dtype(np.uint8), labels,
                 partial(_skipped, path, 4 + 4 * len(shape)))
        )  # fmt: skip
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


def _npz_parts(source: Path) -> list[Part]:
    try:
        with zipfile.ZipFile(source) as archive:
            names = {info.filename: info for info in archive.infolist()}
            parts = []
            order = {"train": 0, "val": 1, "test": 2}
            wanted = [n for n in names if n.endswith(("_images.npy", "/images.npy"))]
            wanted += [n for n in names if n == "images.npy"]
            if any(name != plainly(name) for name in wanted):
                raise SourceError(f"{source} has unreadable member names")
            for name in sorted(wanted, key=lambda n: (order.get(part_of(n), 3), natural_key(n))):
                pair = name.replace("images.npy", "labels.npy")
                if pair not in names:
                    raise SourceError(f"{source} has {name} but no {pair}")
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
                parts.append(
                    Part(name.removesuffix(".npy"), part_of(name), shape, dtype, labels,
                         partial(_member, source, name))
                )  # fmt: skip
    except _BROKEN as error:
        raise SourceError(f"{source} cannot be read as npz: {plainly(error)}") from None
    if not parts:
        shown = plainly(", ".join(list(names)[:5]))
        raise SourceError(f"{source} has no train_images, test_images or images; it has {shown}")
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
    except (ValueError, TypeError, SyntaxError, KeyError, OverflowError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceError(f"{name} is not a whole npy array ({plainly(first)})") from None
    if dtype.hasobject or dtype.kind not in "uib" or fortran or not shape or min(shape) < 1:
        order = ", column by column" if fortran else ""
        raise SourceError(f"{name} holds {dtype} {list(shape)}{order}; it cannot be packed")
    return tuple(int(n) for n in shape), dtype


@contextlib.contextmanager
def _member(source: Path, name: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(source) as archive, archive.open(name) as stream:
        _npy_header(name, stream)
        yield stream
