"""The metadata of an exported file, read and checked; nothing in it is trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from eosin.errors import RunError
from eosin.records.export import EXPORT_FORMAT, FileFacts
from eosin.records.model import ModelFacts
from eosin.records.record import first_problem
from eosin.texts import from_json

#: The key of the metadata in a file.
KEY = "eosin"

INPUT = "patches"
PROBABILITIES = "probabilities"
DISTANCE = "distance"

#: Patches computed at once, and their pixels at most: 64 are up to a tenth slower (measured in
#: processor time), more or larger ones would take much memory for nothing.
BATCH = 256
_MOST_PIXELS = 256 * 64 * 64

_MAKE = "make one with: eosin export RUN --onnx -o FOLDER"
OUTSIDE = "refers to a file outside its own folder, which is refused: no export of eosin does so"


@dataclass(frozen=True)
class Port:
    """An input or output of a model: "uint8" or "float32", and sizes, None where any will do."""

    kind: str
    sizes: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.sizes)
        return f"{self.kind} [{sizes}]"


@dataclass(frozen=True)
class Exported:
    """An exported file by its metadata, checked against what it can compute."""

    path: Path
    #: The model, and what was fitted for it.
    facts: ModelFacts
    #: All of the metadata.
    info: FileFacts
    #: Whether the file computes the distance of the out-of-scope check.
    has_distance: bool


def read_exported(
    path: Path, text: str | None, inputs: Mapping[str, Port], outputs: Mapping[str, Port]
) -> Exported:
    """The metadata of an exported file; files of earlier versions are read too.

    text: its metadata, a JSON object, or None where it has none; inputs, outputs: by name.
    Raises RunError, one sentence, for a file that eosin did not export, or a newer version did.

    >>> read_exported(Path("a.onnx"), None, {}, {})
    Traceback (most recent call last):
        ...
    eosin.errors.RunError: a.onnx was not exported by eosin (it has no metadata on classes and \
thresholds); make one with: eosin export RUN --onnx -o FOLDER
    """
    if text is None:
        raise RunError(
            f"{path} was not exported by eosin (it has no metadata on classes and thresholds); "
            f"{_MAKE}"
        )
    try:
        data = from_json(text)
    except ValueError as error:
        raise RunError(f"{path}: its metadata are damaged ({error}); export it again") from None
    version = data.get("format") if isinstance(data, dict) else None
    if isinstance(version, int) and version > EXPORT_FORMAT:
        raise RunError(
            f"{path} was exported by a newer eosin (format {version}, this version reads 1 to "
            f"{EXPORT_FORMAT}); update eosin, or export again with this version"
        )
    try:
        info = FileFacts.model_validate(data)
    except ValidationError as error:
        raise RunError(
            f"{path}: its metadata are damaged ({first_problem(error)}); export it again"
        ) from None
    _check_ports(path, len(info.classes), inputs, outputs)
    # The file's own classes decide; those of model.json must not contradict them.
    own = {"format": info.format} | info.facts
    own |= {"classes": info.classes, "patch_size": info.patch_size}
    facts = ModelFacts.read(own, own.pop("fitted", None), file=str(path))
    return Exported(path, facts, info, DISTANCE in outputs)


def _check_ports(
    path: Path, classes: int, inputs: Mapping[str, Port], outputs: Mapping[str, Port]
) -> None:
    """Whether the file takes patches of any size and gives a probability of each class."""
    needed = Port("uint8", (None, None, None, 3))
    if set(inputs) != {INPUT} or inputs[INPUT] != needed:
        ports = ", ".join(f"{name}: {port}" for name, port in inputs.items()) or "nothing"
        raise RunError(f"{path} takes {ports}, not {INPUT}: {needed}; export it again")
    answer = outputs.get(PROBABILITIES)
    if answer is None or answer.kind != "float32" or answer.sizes not in (
        (None, classes), (None, None),
    ):  # fmt: skip
        port = "nothing of that name" if answer is None else str(answer)
        raise RunError(
            f"{path} should give {PROBABILITIES} float32 [any, {classes}], but gives {port}; "
            "export it again"
        )
    distance = outputs.get(DISTANCE)
    if distance is not None and (distance.kind != "float32" or len(distance.sizes) != 1):
        raise RunError(
            f"{path} should give {DISTANCE} float32 [any], but gives {distance}; export it again"
        )


def existing(path: Path) -> Path:
    """The path; raises RunError where no file is there, or it is empty."""
    if path.is_dir():
        raise RunError(f"{path} is a folder, not an exported model; {_MAKE}")
    try:
        size = path.stat().st_size
    except OSError:
        raise RunError(f"{path} does not exist; {_MAKE}") from None
    if not size:
        raise RunError(f"{path} is empty; export it again")
    return path


def check_patches(patches: npt.NDArray[Any]) -> None:
    """Raise ValueError for what is not uint8 [N, H, W, 3]."""
    if patches.dtype != np.uint8 or patches.ndim != 4 or patches.shape[3] != 3:
        raise ValueError(f"patches are {patches.dtype} {patches.shape}, not uint8 [N, H, W, 3]")


def blocks(patches: npt.NDArray[np.uint8], size: tuple[int, int], batch: int) -> Iterator[slice]:
    """Slices of at most ``batch`` patches, and of fewer where they are large.

    patches: uint8 [N, H, W, 3]; size: (height_px, width_px) that the model resizes them to.

    >>> list(blocks(np.zeros((3, 20, 20, 3), np.uint8), (10, 10), 2))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    pixels = max(1, patches.shape[1] * patches.shape[2], size[0] * size[1])
    step = max(1, min(batch, _MOST_PIXELS // pixels))
    for start in range(0, len(patches), step):
        yield slice(start, min(len(patches), start + step))


def line_of(error: Exception, place: int = 0) -> str:
    """One line of an error's message: the first, or -1 for the last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[place] if lines else type(error).__name__
