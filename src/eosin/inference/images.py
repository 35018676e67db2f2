"""Predictions for image files, folders and zips; a bad file is a row with its reason."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eosin.data.archives import Files, read_file
from eosin.data.decode import MAX_PIXELS
from eosin.data.fit import FITS, Picture, PictureRule
from eosin.data.members import is_image_name
from eosin.data.nested import open_files
from eosin.errors import ImageError, SourceError, UserError
from eosin.inference.predictor import Predictor
from eosin.records.decision import Decision

_BATCH_PIXELS = 256 * 50 * 50


class ImageFile(NamedTuple):
    """An image file, by its name, and how to read its bytes."""

    name: str
    #: Raises ImageError where they cannot be read.
    read: Callable[[], bytes]


@dataclass(frozen=True)
class ImagePrediction:
    """What a model predicts for one image file, or why it does not."""

    file: str
    #: Class -> probability; empty where there is an error.
    probabilities: dict[str, float]
    #: A class, "refer", "out of scope", or "" where there is an error.
    decision: str
    #: (height_px, width_px) of the file.
    size: tuple[int, int] | None = None
    #: How the file was brought to the model's patch size: "", "padded" or "resized".
    change: str = ""
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
            "resized": self.change == "resized",
            "padded": self.change == "padded",
            "error": self.error or None,
        }


def picture_rule(
    predictor: Predictor, *, fit: str | None = None, max_pixels: int = MAX_PIXELS
) -> PictureRule:
    """How image files become patches of a model: as they did when its training data were packed.

    fit: another way to bring other sizes to the patch size (``eosin.data.fit``).
    Raises UserError for an unknown one.
    """
    chosen = fit or predictor.facts.fit
    if chosen not in FITS:
        raise UserError(f"fit {chosen!r}: choose {', '.join(FITS)}")
    return PictureRule(predictor.patch_size, chosen, max_pixels)


def predict_images(
    predictor: Predictor,
    paths: Sequence[Path],
    *,
    rule: PictureRule | None = None,
    decision: Decision | None = None,
) -> Iterator[ImagePrediction]:
    """One prediction an image file, in order.

    paths: image files, folders (all images below them) and zips. rule: how files become patches,
    by default ``picture_rule``; the network then sees the pixels that packing the files would have
    given it. decision: the rule that decides, by default the model's own. A file that cannot be
    read, or whose size the rule refuses, gives a row with an error.
    Raises SourceError for a folder or zip without images.
    """
    rule = rule or picture_rule(predictor)
    height, width = rule.size
    step = max(1, min(1024, _BATCH_PIXELS // (height * width)))
    with image_files(paths) as files:
        for start in range(0, len(files), step):
            for _, prediction in classify(predictor, files[start : start + step], rule, decision):
                yield prediction


def classify(
    predictor: Predictor,
    files: Sequence[ImageFile],
    rule: PictureRule,
    decision: Decision | None = None,
) -> list[tuple[Picture | None, ImagePrediction]]:
    """What the model sees of each file, None where that is an error, and its prediction."""
    pictures: list[Picture | ImageError] = []
    for file in files:
        try:
            pictures.append(rule.read(file.read()))
        except ImageError as error:
            pictures.append(error)
    patches = [picture.pixels for picture in pictures if isinstance(picture, Picture)]
    decision = decision or predictor.facts.decision()
    rows: list[tuple[Picture | None, ImagePrediction]] = []
    answers: Iterator[tuple[list[float], str, float | None]] = iter(())
    if patches:
        probabilities, distances = predictor.examine(np.stack(patches))
        decided = decision.names(decision.decide(probabilities, distances))
        apart = [None] * len(patches) if distances is None else distances.tolist()
        answers = zip(probabilities.tolist(), decided, apart, strict=True)
    for file, picture in zip(files, pictures, strict=True):
        if isinstance(picture, ImageError):
            rows.append((None, ImagePrediction(file.name, {}, "", error=str(picture))))
            continue
        values, answer, distance = next(answers)
        named = dict(zip(predictor.classes, values, strict=True))
        row = ImagePrediction(
            file.name, named, answer, picture.size, picture.change, distance=distance
        )
        rows.append((picture, row))
    return rows


@contextmanager
def image_files(paths: Sequence[Path]) -> Iterator[list[ImageFile]]:
    """All images of files, folders and zips, open for reading.

    Raises SourceError for a folder or zip without images.
    """
    with ExitStack() as opened:
        files: list[ImageFile] = []
        for path in paths:
            if path.is_dir() or (path.is_file() and zipfile.is_zipfile(path)):
                members = open_files(path)
                opened.callback(members.close)
                files += _members(path, members)
            else:
                files.append(ImageFile(str(path), partial(read_file, path)))
        yield files


def _members(path: Path, files: Files) -> list[ImageFile]:
    members = [
        ImageFile(f"{path}/{name}", partial(files.read, number))
        for number, name in enumerate(files.names)
        if is_image_name(name)
    ]
    members += [ImageFile(f"{path}/{name}", partial(_refuse, why)) for name, why in files.refused]
    if not members:
        raise SourceError(f"{path} contains no image files")
    return members


def _refuse(reason: str) -> bytes:
    raise ImageError(reason)
