"""Predictor: patches in, probabilities out. Everything above uses only this.

``load`` opens whatever a model is kept in: a run folder is answered by torch, an exported file by
the runtime that it was made for. Nothing of torch is loaded where an exported file is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from eosin.errors import RunError, UserError, missing_extra

if TYPE_CHECKING:
    from eosin.runtime.exported import Exported

PRECISIONS = ("fp32", "bf16", "auto")
#: What an export writes, best first where a folder holds several.
_EXPORTS = ("model.onnx", "model.xml", "model.pt2")


class Predictor(Protocol):
    """What answers for a trained model, whatever runs it."""

    classes: tuple[str, ...]
    #: (height_px, width_px) that the model was trained on.
    patch_size: tuple[int, int]
    #: model.json: threshold, marks, mpp, digests and so on.
    facts: dict[str, Any]

    def predict(self, patches: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """patches: uint8 [N, H, W, 3]. Returns probabilities float32 [N, K]."""
        ...

    def examine(
        self, patches: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Probabilities float32 [N, K], and the distance from the training patches float32 [N].

        The distance is None where the model has no out-of-scope check.
        """
        ...


class FilePredictor(Predictor, Protocol):
    """A predictor of an exported file."""

    #: What the file says of itself.
    exported: Exported
    #: The library that answers, with its version.
    runtime: str


def load(path: str | os.PathLike[str], *, precision: str = "fp32") -> Predictor:
    """The predictor of a run folder, an exported file (.onnx, .xml, .pt2) or an export's folder.

    precision: "fp32" is exact; "bf16" is faster where the machine is good at it, "auto" decides by
    the machine. An .onnx file is computed as it is; for bf16 it is given to OpenVINO.
    Raises RunError where nothing is there, training has not finished, or a file is damaged or not
    eosin's; MissingExtraError where the part that answers is not installed; UserError for an
    unknown precision.
    """
    place = Path(path)
    if is_exported(place) or place.is_file():
        return load_file(place, precision=precision)
    _check_precision(precision)
    finished_run(place)
    try:
        from eosin.inference.torch_predictor import load_run

        return load_run(place, precision=precision)
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"answering with the run {place}") or error from None


def load_file(path: str | os.PathLike[str], *, precision: str = "fp32") -> FilePredictor:
    """The predictor of an exported file, or of an export's folder, as ``load`` gives it."""
    _check_precision(precision)
    place = Path(path)
    if place.is_dir():
        place = _within(place, precision)
    kind = place.suffix.lower()
    if kind == ".onnx" and precision != "bf16":
        from eosin.runtime.with_onnx import OnnxPredictor

        return OnnxPredictor(place)
    if kind in (".onnx", ".xml"):
        from eosin.runtime.with_openvino import OpenvinoPredictor

        return OpenvinoPredictor(place, precision=precision)
    if kind != ".pt2":
        raise RunError(
            f"{place} is neither a run folder nor an exported model (.onnx, .xml or .pt2)"
        )
    try:
        from eosin.inference.torch_program import ProgramPredictor

        return ProgramPredictor(place, precision=precision)
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"answering with {place}") or error from None


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision}: choose fp32, bf16 or auto")


def finished_run(folder: Path) -> Path:
    """The folder; raises RunError where it is missing or its training has not finished."""
    if not folder.is_dir():
        raise RunError(
            f"{folder}: no such run folder; make one with: eosin train STORE -o {folder}"
        )
    if not (folder / "model.json").exists() and (folder / "resume.pt").exists():
        raise RunError(
            f"{folder}: training has not finished; go on with: eosin train --resume {folder}"
        )
    return folder


def is_exported(path: str | os.PathLike[str]) -> bool:
    """Whether a path names an exported file, or the folder of an export, and not a run.

    >>> is_exported("model.onnx"), is_exported("run")
    (True, False)
    """
    place = Path(path)
    if place.is_dir():
        return not _is_run(place) and any((place / name).is_file() for name in _EXPORTS)
    return place.suffix.lower() in (".onnx", ".xml", ".pt2")


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("recipe.toml", "model.json", "resume.pt"))


def _within(folder: Path, precision: str) -> Path:
    """The model in an export's folder; the folder itself where there is none."""
    # OpenVINO's own file opens faster than the .onnx file, which it could read as well.
    names = ("model.xml", *_EXPORTS) if precision == "bf16" else _EXPORTS
    return next((folder / name for name in names if (folder / name).is_file()), folder)


def predict_rows(
    predictor: Predictor,
    patches: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    *,
    block: int = 2048,
) -> Iterator[npt.NDArray[np.float32]]:
    """Probabilities of rows of a memory-mapped array, block by block: float32 [<= block, K]."""
    for start in range(0, len(rows), block):
        yield predictor.predict(np.asarray(patches[rows[start : start + block]]))
