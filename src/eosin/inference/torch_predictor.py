"""A run folder, answered by torch: the reference for every other predictor."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from eosin.inference.predictor import finished_run
from eosin.memory import LargestBatch, forget_pages
from eosin.models.classifier import Classifier, load_classifier
from eosin.records.model import ModelFacts
from eosin.runtime.exported import check_patches
from eosin.training.machine import Machine, choose_machine
from eosin.training.validate import logits_of


class TorchPredictor:
    """A run folder, answered by torch.

    precision: "fp32" is the reference; "bf16" is faster where the machine is good at it.
    """

    def __init__(
        self,
        model: Classifier,
        facts: ModelFacts,
        *,
        precision: str = "fp32",
    ) -> None:
        self.machine: Machine = choose_machine(precision)
        self.model = model.eval().to(self.machine.device)
        self.facts = facts
        self.classes = model.classes
        self.patch_size = model.patch_size
        #: Patches through the network at once.
        self.batch = LargestBatch(self.machine.batch)

    @torch.inference_mode()
    def predict(self, patches: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """patches: uint8 [N, H, W, 3], any H and W. Returns probabilities float32 [N, K]."""
        check_patches(patches)
        # Without the texture of the out-of-scope check, which takes half of the time in bf16.
        rows = np.arange(len(patches))
        logits = logits_of(self.model, patches, rows, self.machine, batch=self.batch)
        return torch.softmax(logits, 1).numpy()

    def examine(
        self, patches: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Probabilities float32 [N, K], and the distance from the training patches float32 [N].

        patches: uint8 [N, H, W, 3]. The distance is None where the model has no such check.
        """
        check_patches(patches)
        logits, texture = self.read(patches, np.arange(len(patches)))
        return (
            torch.softmax(torch.from_numpy(logits), 1).numpy(),
            None if self.model.scope_mean is None else self.distances(texture),
        )

    def apart(self, patches: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
        """The distance of ``examine`` alone, which takes a small part of its time."""
        check_patches(patches)
        if self.model.scope_mean is None:
            return None
        return self.distances(self.texture(patches, np.arange(len(patches))))

    def read(
        self,
        patches: npt.NDArray[np.uint8],
        rows: npt.NDArray[np.int64],
        *,
        progress: Callable[[int], None] = lambda patches: None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Logits float32 [n, K] and texture float32 [n, F] of some rows of an array.

        patches: uint8 [N, H, W, 3], may be memory-mapped; rows: int64 [n]; progress is called
        with how many were read just now.
        """
        logits, texture = self._joined(self.model.examine, patches, rows, progress)
        return logits, texture

    def texture(
        self, patches: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """The texture of ``read`` alone: float32 [n, F]."""
        return self._joined(lambda block: (self.model.texture(block),), patches, rows)[0]

    @torch.inference_mode()
    def _joined(
        self,
        ask: Callable[[torch.Tensor], tuple[torch.Tensor, ...]],
        patches: npt.NDArray[np.uint8],
        rows: npt.NDArray[np.int64],
        progress: Callable[[int], None] = lambda patches: None,
    ) -> list[npt.NDArray[np.float32]]:
        """What the model is asked of blocks of rows, float32 [n, ...] each."""

        def answer(block: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
            with self.machine.autocast():
                answers = ask(torch.from_numpy(block).to(self.machine.device))
            return [each.float().cpu().numpy() for each in answers]

        if not len(rows):
            blank = np.zeros((1, *self.patch_size, 3), np.uint8)
            return [each[:0] for each in answer(blank)]
        answers = []
        for part, block in self.batch.parts(
            len(rows), lambda part: answer(np.array(patches[rows[part]]))
        ):
            answers.append(block)
            forget_pages(patches)
            progress(part.stop - part.start)
        return [np.concatenate(each) for each in zip(*answers, strict=True)]

    @torch.inference_mode()
    def distances(self, texture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """How far patches are from the training patches, float32 [N]; about 1 for those.

        texture: float32 [N, F] from ``read``. Raises ValueError where the model has no such check.
        """
        if not len(texture):
            return np.empty(0, np.float32)
        distances = self.model.distance(torch.from_numpy(texture).to(self.machine.device))
        if distances is None:
            raise ValueError("the model has no out-of-scope check")
        return np.asarray(distances.cpu().numpy(), np.float32)


def load_run(path: str | os.PathLike[str], *, precision: str = "fp32") -> TorchPredictor:
    """The predictor of a run folder, as ``predictor.load`` gives it.

    Raises RunError where the folder is missing, training has not finished, or a file is damaged.
    """
    model, facts = load_classifier(finished_run(Path(path)))
    return TorchPredictor(model, facts, precision=precision)
