"""What an exported file says of itself, read and checked; nothing in it is taken on trust."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.errors import RunError

#: Version of the metadata that this code reads, and the key that they stand under.
FORMAT = 1
KEY = "eosin"

INPUT = "patches"
PROBABILITIES = "probabilities"
DISTANCE = "distance"

#: Patches computed at once, and their pixels at most: 64 are up to a tenth slower (measured in
#: processor time), more or larger ones would take much memory for nothing.
BATCH = 256
_MOST_PIXELS = 256 * 64 * 64

_MAKE = "make one with: eosin export RUN --onnx -o FOLDER"


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
    """The facts that a file carries, checked against what it can compute."""

    path: Path
    #: "fp32" or "int8".
    kind: str
    classes: tuple[str, ...]
    #: (height_px, width_px) that the model was trained on.
    patch_size: tuple[int, int]
    #: model.json of the run as it was exported.
    facts: dict[str, Any]
    #: Part of the run's split ("train", "val") -> its cases.
    seen_cases: Mapping[str, tuple[str, ...]]
    #: Whether the file computes the distance of the out-of-scope check.
    has_distance: bool
    #: All of the metadata.
    info: Mapping[str, Any]


def read_exported(
    path: Path, text: str | None, inputs: Mapping[str, Port], outputs: Mapping[str, Port]
) -> Exported:
    """The facts of an exported file.

    text: its metadata, a JSON object, or None where it has none; inputs, outputs: by name.
    Raises RunError, one sentence, for what no eosin export has written, or a newer one has.

    >>> read_exported(Path("a.onnx"), None, {}, {})
    Traceback (most recent call last):
        ...
    eosin.errors.RunError: a.onnx was not exported by eosin (it holds no facts on classes and \
thresholds); make one with: eosin export RUN --onnx -o FOLDER
    """
    if text is None:
        raise RunError(
            f"{path} was not exported by eosin (it holds no facts on classes and thresholds); "
            f"{_MAKE}"
        )
    try:
        info = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: its facts are damaged ({error}); export it again") from None
    if not isinstance(info, dict):
        raise RunError(f"{path}: its facts are no JSON object; export it again")
    _check_format(path, info.get("format"))
    try:
        classes = tuple(_text(name) for name in _list(info["classes"]))
        height, width = (_size(side) for side in _list(info["patch_size"]))
        facts = dict(_mapping(info["facts"]))
        kind = _text(info["kind"])
        seen = {
            part: tuple(_text(case) for case in _list(cases))
            for part, cases in _mapping(info.get("seen_cases") or {}).items()
        }
    except KeyError as error:
        raise RunError(f"{path}: its facts lack {error}; export it again") from None
    except (TypeError, ValueError) as error:
        raise RunError(f"{path}: its facts are damaged ({error}); export it again") from None
    if len(classes) < 2:
        raise RunError(f"{path} names {len(classes)} classes; a classifier has two or more")
    _check_ports(path, len(classes), inputs, outputs)
    # The file's own list decides; that of model.json must not contradict it.
    facts |= {"classes": list(classes), "patch_size": [height, width]}
    has_distance = DISTANCE in outputs
    return Exported(path, kind, classes, (height, width), facts, seen, has_distance, info)


def _check_format(path: Path, found: Any) -> None:
    if isinstance(found, int) and found > FORMAT:
        raise RunError(
            f"{path} was exported by a newer eosin (format {found}, this version reads {FORMAT}); "
            "update eosin, or export again with this version"
        )
    if found != FORMAT:
        raise RunError(f"{path} has format {found!r}, this version reads {FORMAT}; export it again")


def _check_ports(
    path: Path, classes: int, inputs: Mapping[str, Port], outputs: Mapping[str, Port]
) -> None:
    """Whether the file takes patches of any size and gives a probability of each class."""
    wanted = Port("uint8", (None, None, None, 3))
    given = inputs.get(INPUT)
    if set(inputs) != {INPUT} or given != wanted:
        found = ", ".join(f"{name}: {port}" for name, port in inputs.items()) or "nothing"
        raise RunError(f"{path} takes {found}, not {INPUT}: {wanted}; export it again")
    answer = outputs.get(PROBABILITIES)
    if answer is None or answer.kind != "float32" or answer.sizes not in (
        (None, classes), (None, None),
    ):  # fmt: skip
        found = "nothing of that name" if answer is None else str(answer)
        raise RunError(
            f"{path} should give {PROBABILITIES} float32 [any, {classes}], but gives {found}; "
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
        raise RunError(f"{path}: no such file; {_MAKE}") from None
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


def joined(found: Sequence[npt.NDArray[np.float32]], empty: tuple[int, ...]) -> Any:
    """Answers of several blocks as one float32 array; of ``empty`` shape where there are none."""
    if not found:
        return np.empty(empty, np.float32)
    return found[0] if len(found) == 1 else np.concatenate(found)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value


def _size(value: Any) -> int:
    if not isinstance(value, int) or not 0 < value < 1 << 15:
        raise ValueError(f"{value!r} is no number of pixels")
    return value
