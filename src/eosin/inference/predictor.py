"""Predictor: patches in, probabilities out. Everything above uses only this."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from eosin.errors import RunError
from eosin.models.classifier import Classifier, load_classifier
from eosin.training.machine import Machine, choose_machine, keep_freed_memory


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


class TorchPredictor:
    """A run folder, answered by torch.

    precision: "fp32" is the reference; "bf16" is faster where the machine is good at it.
    """

    def __init__(
        self,
        model: Classifier,
        facts: dict[str, Any],
        *,
        precision: str = "fp32",
        batch_size: int = 256,
    ) -> None:
        self.machine: Machine = choose_machine(precision)
        self.model = model.eval().to(self.machine.device)
        self.facts = facts
        self.classes = model.classes
        self.patch_size = model.patch_size
        self.batch_size = batch_size
        keep_freed_memory()

    @torch.inference_mode()
    def predict(self, patches: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """patches: uint8 [N, H, W, 3], any H and W. Returns probabilities float32 [N, K]."""
        if patches.dtype != np.uint8 or patches.ndim != 4 or patches.shape[3] != 3:
            raise ValueError(f"patches are {patches.dtype} {patches.shape}, not uint8 [N, H, W, 3]")
        result = np.empty((len(patches), len(self.classes)), dtype=np.float32)
        for start in range(0, len(patches), self.batch_size):
            block = np.array(patches[start : start + self.batch_size])
            with self.machine.autocast():
                logits = self.model(torch.from_numpy(block).to(self.machine.device))
            result[start : start + len(block)] = torch.softmax(logits.float(), 1).cpu().numpy()
        return result


def load(path: str | os.PathLike[str], *, precision: str = "fp32") -> Predictor:
    """The predictor of a run folder.

    Raises RunError where the folder is missing, training has not finished, or a file is damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunError(
            f"{folder}: no such run folder; make one with: eosin train STORE -o {folder}"
        )
    if not (folder / "model.json").exists() and (folder / "resume.pt").exists():
        raise RunError(
            f"{folder}: training has not finished; go on with: eosin train --resume {folder}"
        )
    model, facts = load_classifier(folder)
    return TorchPredictor(model, facts, precision=precision)


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


def decide(
    probabilities: npt.NDArray[np.floating], classes: Sequence[str], threshold: float | None
) -> list[str]:
    """The class that a threshold on the last of two classes gives, or the most probable one.

    probabilities: float [N, K].

    >>> decide(np.array([[0.7, 0.3], [0.4, 0.6]]), ["negative", "positive"], 0.25)
    ['positive', 'positive']
    """
    if len(classes) == 2 and threshold is not None:
        chosen = (probabilities[:, 1] >= threshold).astype(int)
    else:
        chosen = probabilities.argmax(1)
    return [classes[k] for k in chosen]
