"""How good the network is on the validation part, during training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from eosin.data.store import PatchStore
from eosin.evaluation.ranking import auroc, average_precision, macro_auroc
from eosin.memory import LargestBatch
from eosin.models.classifier import Classifier
from eosin.records.scored import Floats, Ints
from eosin.training.batches import take
from eosin.training.machine import Machine
from eosin.training.parallel import Team

#: Patches at once in validation, where no gradients take memory.
BATCH = 512


@torch.no_grad()
def logits_of(
    model: Classifier,
    patches: npt.NDArray[np.uint8],
    rows: Ints,
    machine: Machine,
    *,
    batch: LargestBatch,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Logits float32 [n, K] on the processor, for rows of an array.

    patches: uint8 [N, H, W, 3], may be memory-mapped; rows: int64 [n]. The model is in evaluation
    mode on the machine's device. Raises torch's error where memory cannot take even one patch.
    """
    logits = torch.zeros(len(rows), len(model.classes))

    def classify(part: slice) -> Tensor:
        block = take(patches, rows[part]).to(machine.device)
        with machine.autocast():
            block_logits: Tensor = model(block)
        return block_logits.float().cpu()

    for part, block in batch.parts(len(rows), classify):
        logits[part] = block
        progress(part.stop, len(rows))
    return logits


def answers(
    model: Classifier,
    patches: npt.NDArray[np.uint8],
    rows: Ints,
    machine: Machine,
    team: Team,
    batch: LargestBatch,
) -> Tensor:
    """Logits float32 [n, K] of rows of a store, the same in all processes, which share the work.

    patches: uint8 [N, H, W, 3]; rows: int64 [n]. The model is left in training mode.
    """
    share = team.share(len(rows))
    logits = torch.zeros(len(rows), len(model.classes))
    try:
        logits[share] = logits_of(model.eval(), patches, rows[share], machine, batch=batch)
    finally:
        model.train()
    return team.total(logits)


def validation_row(logits: Tensor, store: PatchStore, rows: Ints) -> tuple[dict[str, Any], Floats]:
    """What metrics.jsonl has of a validation, and the probabilities float64 [n, K].

    logits: float32 [n, K] of the store's ``rows``, int64 [n]. "watched" is the tutorial's habit of
    watching one image: the first of the last class.
    """
    labels = store.labels[rows]
    figures, probabilities = validation_figures(logits, labels)
    watched = int(np.flatnonzero(labels == labels.max())[0])
    row = {
        **figures,
        "watched": str(store.index["source"][int(rows[watched])]),
        "watched_class": store.classes[labels[watched]],
        "watched_probability": float(probabilities[watched, labels[watched]]),
    }
    return row, probabilities


def validation_figures(logits: Tensor, labels: Ints) -> tuple[dict[str, float], Floats]:
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
