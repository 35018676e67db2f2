"""Predictor: patches in, probabilities out. Everything above uses only this.

``load_file`` opens what answers without torch; ``eosin.inference.predictor.load`` opens run folders
and torch programs as well. A predictor may be used from several threads at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from eosin.errors import RunError, UserError
from eosin.memory import LargestBatch
from eosin.records.export import Shown
from eosin.records.model import ModelFacts
from eosin.runtime.exported import (
    BATCH,
    DISTANCE,
    PROBABILITIES,
    Port,
    blocks,
    check_patches,
    existing,
    read_exported,
)
from eosin.runtime.proof import prove, show

Patches = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
#: What a runtime tells of a file: its own name, the metadata's text or None, inputs and outputs.
Opened = tuple[str, str | None, dict[str, Port], dict[str, Port]]

PRECISIONS = ("fp32", "bf16", "auto")
#: Patches asked at once, so that progress can be shown.
_BLOCK = 1024
#: What an export writes, best first where a folder contains several.
_EXPORTS = ("model.onnx", "model.xml", "model.pt2")


class Predictor(Protocol):
    """What answers for a trained model, whatever runs it."""

    classes: tuple[str, ...]
    #: (height_px, width_px) that the model was trained on.
    patch_size: tuple[int, int]
    #: What is known of the model: ``facts.decision()`` is the rule that decides.
    facts: ModelFacts

    def predict(self, patches: Patches) -> Floats:
        """patches: uint8 [N, H, W, 3]. Returns probabilities float32 [N, K]."""
        ...

    def examine(self, patches: Patches) -> tuple[Floats, Floats | None]:
        """Probabilities float32 [N, K], and the distance from the training patches float32 [N].

        The distance is None where the model has no out-of-scope check.
        """
        ...

    def apart(self, patches: Patches) -> Floats | None:
        """The distance of ``examine`` alone."""
        ...


class FilePredictor:
    """A predictor over an exported file; a runtime gives ``_open`` and ``_answers``.

    path: a file that ``eosin export`` has written. Raises RunError where it is missing, damaged,
    not eosin's or of a newer format; MissingExtraError where the runtime is not installed.
    """

    #: "fp32", "bf16" or "auto": what a runtime computes in that is not int8.
    precision = "fp32"

    def __init__(self, path: str | os.PathLike[str], *, batch_size: int = BATCH) -> None:
        self.path = existing(Path(path))
        self.batch_size = batch_size
        #: The library that answers, with its version.
        self.runtime, text, inputs, outputs = self._open()
        #: The file's metadata.
        self.exported = read_exported(self.path, text, inputs, outputs)
        self.facts = self.exported.facts
        self.classes = self.facts.classes
        self.patch_size = self.facts.patch_size

    def predict(self, patches: Patches) -> Floats:
        """patches: uint8 [N, H, W, 3], any N, H and W. Returns probabilities float32 [N, K].

        Raises ValueError for another dtype or shape.
        """
        return self._joined(patches, (PROBABILITIES,))[0]

    def examine(self, patches: Patches) -> tuple[Floats, Floats | None]:
        """Probabilities float32 [N, K], and the distance from the training patches float32 [N].

        patches: uint8 [N, H, W, 3]. The distance is None where the file has no such check.
        """
        if not self.exported.has_distance:
            return self.predict(patches), None
        probabilities, distances = self._joined(patches, (PROBABILITIES, DISTANCE))
        return probabilities, distances

    def apart(self, patches: Patches) -> Floats | None:
        """The distance of ``examine`` alone."""
        return self._joined(patches, (DISTANCE,))[0] if self.exported.has_distance else None

    def shown(self) -> Shown | None:
        """Its answers for the drawn patches beside torch's; None where the file carries none."""
        proof = self.exported.info.proof
        if proof is None:
            return None
        return show(
            # Only once: the file is not opened again without the texture, as for many patches.
            lambda patches: self._joined(patches, (PROBABILITIES,))[0],
            self.facts, proof, runtime=self.runtime, precision=self.precision,
        )  # fmt: skip

    def proven(self) -> Self:
        """Itself, if it answers here as torch did (``eosin.runtime.proof``); else a RunError."""
        prove(self.shown, self.files, self.exported.info, self.runtime, self.precision)
        return self

    @property
    def files(self) -> list[Path]:
        """All parts of the exported model."""
        more = [self.path.with_suffix(".bin")] if self.path.suffix.lower() == ".xml" else []
        return [self.path, *more]

    def _joined(self, patches: Patches, names: tuple[str, ...]) -> list[Floats]:
        check_patches(patches)
        parts = []
        for block in blocks(patches, self.patch_size, self.batch_size):
            whole = np.ascontiguousarray(patches[block])
            # Where memory runs out: fewer at once.
            batch = LargestBatch(len(whole))
            parts += [answers for _, answers in batch.parts(len(whole), self._asked(whole, names))]
        shapes = {PROBABILITIES: (0, len(self.classes)), DISTANCE: (0,)}
        empty = [np.empty(shapes[name], np.float32) for name in names]
        return [np.concatenate(each) for each in zip(empty, *parts, strict=True)]

    def _asked(
        self, patches: Patches, names: tuple[str, ...]
    ) -> Callable[[slice], Sequence[Floats]]:
        return lambda part: self._answers(patches[part], names)

    def _open(self) -> Opened:
        """Open the file; the runtime with its version, the metadata's text, inputs and outputs."""
        raise NotImplementedError

    def _answers(self, patches: Patches, names: tuple[str, ...]) -> Sequence[Floats]:
        """The named outputs for one block of patches."""
        raise NotImplementedError


def load_file(
    path: str | os.PathLike[str], *, precision: str = "fp32", check: bool = True
) -> FilePredictor:
    """The predictor of an exported .onnx or .xml file, or of an export's folder.

    precision: "fp32" is exact; "bf16" is faster where the machine is good at it, "auto" decides by
    the machine. An .onnx file is computed as it is; for bf16 it is given to OpenVINO. check: ask it
    once on this machine for the drawn patches that it carries torch's answers for.
    Raises RunError for any other file, a missing or damaged one, one that eosin did not export, or
    one that answers otherwise here; MissingExtraError where the part that answers is not
    installed; UserError for an unknown precision.
    """
    check_precision(precision)
    place = file_of(Path(path), precision)
    kind = place.suffix.lower()
    made: FilePredictor | None = None
    if kind == ".onnx" and precision != "bf16":
        from eosin.runtime.with_onnx import OnnxPredictor

        made = OnnxPredictor(place)
    elif kind in (".onnx", ".xml"):
        from eosin.runtime.with_openvino import OpenvinoPredictor

        made = OpenvinoPredictor(place, precision=precision)
    if made is not None:
        return made.proven() if check else made
    if kind == ".pt2":
        raise RunError(
            f"{place} is a torch program, which does not answer without torch; use an .onnx file"
        )
    raise RunError(f"{place} is neither a run folder nor an exported model (.onnx, .xml or .pt2)")


def check_precision(precision: str) -> None:
    """Raise UserError for an unknown precision."""
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision}: choose fp32, bf16 or auto")


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


def file_of(path: Path, precision: str) -> Path:
    """The model in an export's folder; the path itself where it is a file or has none."""
    # OpenVINO's own file opens faster than the .onnx file, which it could read as well.
    names = ("model.xml", *_EXPORTS) if precision == "bf16" else _EXPORTS
    return next((path / name for name in names if (path / name).is_file()), path)


def examine_rows(
    predictor: Predictor,
    patches: Patches,
    rows: npt.NDArray[np.int64],
    stepped: Callable[[int], None] = lambda patches: None,
) -> tuple[Floats, Floats | None]:
    """What ``examine`` gives for rows of a memory-mapped array, block by block.

    stepped: called with how many patches were read just now.
    """
    answers = []
    for start in range(0, len(rows), _BLOCK):
        chosen = rows[start : start + _BLOCK]
        answers.append(predictor.examine(np.asarray(patches[chosen])))
        stepped(len(chosen))
    empty = np.empty((0, len(predictor.classes)), np.float32)
    distances = [apart for _, apart in answers if apart is not None]
    return (
        np.concatenate([empty, *(probabilities for probabilities, _ in answers)]),
        np.concatenate(distances) if distances else None,
    )


def predict_rows(
    predictor: Predictor, patches: Patches, rows: npt.NDArray[np.int64], *, block: int = 2048
) -> Iterator[Floats]:
    """Probabilities of rows of a memory-mapped array, block by block: float32 [<= block, K]."""
    for start in range(0, len(rows), block):
        yield predictor.predict(np.asarray(patches[rows[start : start + block]]))
