"""How good the network is on the validation part, in the middle of training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from eosin.evaluation.ranking import auroc, average_precision, macro_auroc
from eosin.models.classifier import Classifier
from eosin.training.batches import take
from eosin.training.machine import Machine
from eosin.training.parallel import Team

_BATCH = 512


@torch.no_grad()
def classify(model: Classifier, patches: Tensor, machine: Machine) -> Tensor:
    """Logits float32 [N, K] on the processor. patches: uint8 [N, H, W, 3]."""
    with machine.autocast():
        logits: Tensor = model(patches.to(machine.device))
    return logits.float().cpu()


def answers(
    model: Classifier,
    patches: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    machine: Machine,
    team: Team,
) -> Tensor:
    """Logits float32 [n, K] of rows of a store, the same in all processes, which share the work.

    patches: uint8 [N, H, W, 3]; rows: int64 [n]. The model is left in training mode.
    """
    model.eval()
    logits = torch.zeros(len(rows), len(model.classes))
    size = min(_BATCH, -(-len(rows) // team.count))
    for number, start in enumerate(range(0, len(rows), max(size, 1))):
        if number % team.count == team.rank:
            block = rows[start : start + size]
            logits[start : start + len(block)] = classify(model, take(patches, block), machine)
    model.train()
    return team.total(logits)


def validation_figures(
    logits: Tensor, labels: npt.NDArray[np.int64]
) -> tuple[dict[str, float], npt.NDArray[np.float64]]:
    """Loss, AUROC (macro over classes where there are more than two) and accuracy at argmax.

    logits: float32 [N, K]; labels: int64 [N]. Also returns the probabilities, float64 [N, K].

    >>> figures, _ = validation_figures(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), np.array([0, 1]))
    >>> figures["val_auroc"], figures["val_accuracy"]
    (1.0, 1.0)
    """
    probabilities = torch.softmax(logits.double(), dim=1).numpy()
    figures = {
        "val_loss": float(functional.cross_entropy(logits, torch.from_numpy(labels))),
        "val_accuracy": float((probabilities.argmax(1) == labels).mean()),
    }
    if logits.shape[1] == 2:
        figures["val_auroc"] = auroc(labels, probabilities[:, 1])
        figures["val_average_precision"] = average_precision(labels, probabilities[:, 1])
    else:
        figures["val_auroc"] = macro_auroc(labels, probabilities)
    return figures, probabilities
