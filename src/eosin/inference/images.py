"""Predictions for image files, folders and zips; a bad file is a row with its reason."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eosin.data.decode import MAX_PIXELS, image_size, read_pixels
from eosin.data.depth import FULL, deep_of, is_deep, white_of
from eosin.data.fit import FITS, Picture, PictureRule
from eosin.errors import ImageError, SourceError, UserError
from eosin.inference.predictor import Predictor
from eosin.records.decision import Decision
from eosin.records.model import ModelFacts
from eosin.sources.archives import Files, read_file
from eosin.sources.members import is_image_name, is_slide, own_folders
from eosin.sources.nested import open_files

#: A file whose sides are more than so many times those of a patch is none.
MANY = 4
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
    #: How the file was brought to the model's patch size: "", "padded", "resized", "resampled".
    change: str = ""
    error: str = ""
    #: The value that was taken as white; None where the file has 8 bits.
    white: float | None = None
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
            "resampled": self.change == "resampled",
            "white": self.white,
            "error": self.error or None,
        }


def picture_rule(
    predictor: Predictor,
    *,
    fit: str | None = None,
    max_pixels: int = MAX_PIXELS,
    scale: float = 1.0,
) -> PictureRule:
    """How image files become patches of a model: as they did when its training data were packed.

    fit: another way to bring other sizes to the patch size (``eosin.data.fit``); scale: pixels of
    a patch for each pixel of a file. Files many times as large as training images are refused.
    Raises UserError for an unknown fit.
    """
    facts = predictor.facts
    chosen = fit or facts.fit
    if chosen not in FITS:
        raise UserError(f"fit {chosen!r}: choose {', '.join(FITS)}")
    seen = facts.largest or (0, 0)
    tall, wide = (
        int(MANY * max(side, known) / scale)
        for side, known in zip(predictor.patch_size, seen, strict=True)
    )
    return PictureRule(
        predictor.patch_size, chosen, max_pixels, facts.white, scale, largest=(tall, wide)
    )


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
    Raises SourceError for a folder or zip without images, UserError for a path of a slide or of a
    picture many times as large as a patch.
    """
    rule = rule or picture_rule(predictor)
    height, width = rule.size
    step = max(1, min(1024, _BATCH_PIXELS // (height * width)))
    with image_files(paths, predictor.facts, rule) as (files, rule):
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
            file.name,
            named,
            answer,
            picture.size,
            picture.change,
            white=rule.white or FULL if picture.deep else None,
            distance=distance,
        )
        rows.append((picture, row))
    return rows


@contextmanager
def image_files(
    paths: Sequence[Path], facts: ModelFacts, rule: PictureRule
) -> Iterator[tuple[list[ImageFile], PictureRule]]:
    """All images of files, folders and zips, open for reading, and the rule that reads them.

    Where the model has learned from images of 8 bits only, a sample of these decides what is white
    in deeper ones. Raises SourceError for a folder or zip without images, UserError for the path
    of a slide or of a picture many times as large as a patch.
    """
    with ExitStack() as opened:
        files: list[ImageFile] = []
        for path in paths:
            if path.is_dir() or (path.is_file() and zipfile.is_zipfile(path)):
                members = open_files(path)
                opened.callback(members.close)
                files += _members(path, members)
            else:
                _check_patch(path, facts, rule)
                files.append(ImageFile(str(path), partial(read_file, path)))
        yield files, rule if rule.white else rule._replace(white=_white(files, rule))


def _check_patch(path: Path, facts: ModelFacts, rule: PictureRule) -> None:
    """Raise UserError for a slide or a large picture; what else is wrong with a file is a row."""
    height, width = rule.size
    tiles = f"tiles of {width}x{height} px"
    if facts.mpp:
        tiles += f" at {facts.mpp:g} micrometers a pixel"
    advice = f"Whole slides are for: eosin scan MODEL SLIDE -o OUT; patches of them are {tiles}"
    if is_slide(path.name):
        raise UserError(f"{path} is a whole slide, and patches are classified. {advice}")
    try:
        rule.check_size(*image_size(read_file(path), rule.max_pixels))
    except ImageError as error:
        if str(error).startswith("no patch"):
            raise UserError(f"{path}: {error}. {advice}") from None


def _white(files: Sequence[ImageFile], rule: PictureRule) -> float | None:
    """What is white in the images of more than 8 bits among 200 spread over all; None: no such."""
    deep = []
    for k in sorted({k * len(files) // 200 for k in range(200)}) if files else ():
        with suppress(ImageError):
            data = files[k].read()
            # Most files have 8 bits, which their first bytes tell.
            if data[24:25] == b"\x10" if data[:4] == b"\x89PNG" else data[:1] in (b"I", b"M", b"P"):
                pixels = read_pixels(data, max_pixels=rule.max_pixels)
                deep += [deep_of(pixels)] if is_deep(pixels) else []
    return white_of(deep)


def _members(path: Path, files: Files) -> list[ImageFile]:
    own = own_folders(files.names)
    members = [
        ImageFile(f"{path}/{name}", partial(files.read, number))
        for number, name in enumerate(files.names)
        if is_image_name(name) and not (own and name.startswith(own))
    ]
    slides = [(name, "a whole slide: use eosin scan") for name in files.names if is_slide(name)]
    members += [
        ImageFile(f"{path}/{name}", partial(_refuse, why)) for name, why in files.refused + slides
    ]
    if not members:
        is_store = (path / "store.json").is_file()
        hint = "; of a store use eosin evaluate RUN --store STORE" if is_store else ""
        raise SourceError(f"{path} contains no image files{hint}")
    return members


def _refuse(reason: str) -> bytes:
    raise ImageError(reason)
