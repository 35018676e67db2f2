"""Predictions for image files, folders and zips; a bad file is a row with its reason."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.data.archives import FolderFiles, ZipFiles, read_file
from eosin.data.decode import IMAGE_SUFFIXES, decode
from eosin.errors import ImageError, SourceError
from eosin.inference.predictor import Predictor
from eosin.inference.subject import facts_of
from eosin.records.decision import Decision

_BATCH_PIXELS = 256 * 50 * 50


@dataclass(frozen=True)
class ImagePrediction:
    """What a model says of one image file, or why it says nothing."""

    file: str
    #: Class -> probability; empty where there is an error.
    probabilities: dict[str, float]
    #: A class, "refer", "out of scope", or "" where there is an error.
    decision: str
    #: (height_px, width_px) of the file, and whether it was resized to the model's patch size.
    size: tuple[int, int] | None
    resized: bool = False
    error: str = ""
    #: From the training patches; about 1 for those. None where the model has no such check.
    distance: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON and CSV."""
        return {
            "file": self.file,
            **{f"p_{name}": value for name, value in self.probabilities.items()},
            "distance": self.distance,
            "decision": self.decision or None,
            "height": self.size[0] if self.size else None,
            "width": self.size[1] if self.size else None,
            "resized": self.resized,
            "error": self.error or None,
        }


def predict_images(
    predictor: Predictor,
    paths: Sequence[Path],
    *,
    decision: Decision | None = None,
    strict: bool = False,
) -> Iterator[ImagePrediction]:
    """One prediction an image file, in order.

    decision: the rule that decides, by default the model's own; paths: image files, folders (all
    images below them) and zips. An image of another size than the model's patches is resized to it
    (bilinear, antialiased), which changes its scale and, where it is not of the same shape, its
    proportions; with ``strict`` it is refused instead. A file that cannot be read gives a row with
    an error.
    """
    decision = decision or facts_of(predictor).decision()
    batch: list[tuple[str, npt.NDArray[np.uint8] | None, str]] = []
    pixels = 0
    for name, read in _files(paths):
        image, error = None, ""
        try:
            image = decode(read())
            if strict and image.shape[:2] != predictor.patch_size:
                height, width = predictor.patch_size
                error = (
                    f"{image.shape[1]}x{image.shape[0]} pixels, the model takes {width}x{height} "
                    "(without --strict it is resized)"
                )
                image = None
        except ImageError as problem:
            error = str(problem)
        batch.append((name, image, error))
        pixels += 0 if image is None else image.shape[0] * image.shape[1]
        if pixels >= _BATCH_PIXELS or len(batch) >= 1024:
            yield from _answer(predictor, batch, decision)
            batch, pixels = [], 0
    yield from _answer(predictor, batch, decision)


def _answer(
    predictor: Predictor,
    batch: list[tuple[str, npt.NDArray[np.uint8] | None, str]],
    decision: Decision,
) -> Iterator[ImagePrediction]:
    by_size: dict[tuple[int, ...], list[int]] = {}
    for k, (_, image, _) in enumerate(batch):
        if image is not None:
            by_size.setdefault(image.shape, []).append(k)
    rows: dict[int, tuple[npt.NDArray[np.float32], float | None, str]] = {}
    for members in by_size.values():
        stacked = np.stack([image for k in members if (image := batch[k][1]) is not None])
        found, distances = predictor.examine(stacked)
        apart = [None] * len(members) if distances is None else distances.tolist()
        decided = decision.names(decision.decide(found, distances))
        rows |= dict(zip(members, zip(found, apart, decided, strict=True), strict=True))
    for k, (name, image, error) in enumerate(batch):
        if image is None:
            yield ImagePrediction(name, {}, "", None, error=error)
            continue
        height, width = image.shape[:2]
        probabilities, distance, answer = rows[k]
        yield ImagePrediction(
            name,
            dict(zip(predictor.classes, probabilities.tolist(), strict=True)),
            answer,
            (height, width),
            resized=(height, width) != predictor.patch_size,
            distance=distance,
        )


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Every image, by name, and how to read it; an empty folder is said before the first answer."""
    with ExitStack() as opened:
        found: list[tuple[str, Callable[[], bytes]]] = []
        for path in paths:
            if path.is_dir():
                found += _members(path, FolderFiles(path))
            elif path.is_file() and zipfile.is_zipfile(path):
                files = ZipFiles(path)
                opened.callback(files.close)
                found += _members(path, files)
            else:
                found.append((str(path), partial(read_file, path)))
        yield from found


def _members(path: Path, files: ZipFiles | FolderFiles) -> list[tuple[str, Callable[[], bytes]]]:
    found: list[tuple[str, Callable[[], bytes]]] = [
        (f"{path}/{name}", partial(files.read, number))
        for number, name in enumerate(files.names)
        if Path(name).suffix.lower() in IMAGE_SUFFIXES
    ]
    found += [(f"{path}/{name}", partial(_refuse, reason)) for name, reason in files.refused]
    if not found:
        raise SourceError(f"{path} holds no image files")
    return found


def _refuse(reason: str) -> bytes:
    raise ImageError(reason)
