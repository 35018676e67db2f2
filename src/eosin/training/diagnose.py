"""What can go wrong in training without an exception: noticed, named, with the likely cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from eosin.config import Recipe
from eosin.errors import SplitError
from eosin.records.model import Diagnosis


def missing_classes(classes: Sequence[str], counts: Sequence[int]) -> list[str]:
    """Classes without a training patch; raises SplitError for fewer than two patches or classes.

    >>> missing_classes(["a", "b", "c"], [4, 0, 2])
    ['b']
    >>> missing_classes(["tumor"], [4])
    Traceback (most recent call last):
    eosin.errors.SplitError: the store has one class only, tumor; a classifier needs two
    """
    if sum(counts) < 2:
        raise SplitError(f"the split has {sum(counts)} training patches; at least 2 are needed")
    missing = [name for name, n in zip(classes, counts, strict=True) if not n]
    if len(classes) < 2:
        raise SplitError(f"the store has one class only, {classes[0]}; a classifier needs two")
    if len(missing) >= len(classes) - 1:
        raise SplitError(
            f"the training part contains only one class (no {', '.join(missing)}); "
            "a classifier needs at least two: make another split"
        )
    return missing


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters (running statistics do not count: they move without learning)."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def unchanged(
    before: Mapping[str, Tensor], model: nn.Module, recipe: Recipe, epoch: int
) -> Diagnosis | None:
    """A diagnosis where no weight differs from ``before``."""
    if any(not torch.equal(before[name], p) for name, p in model.named_parameters()):
        return None
    cause = (
        "the softmax of a single column is always 1, so the loss does not depend on the weights "
        "and its gradient is 0; use a loss on the logit (recipe article)"
        if recipe.loss == "bce_of_log_softmax"
        else "the gradient is 0 everywhere or the learning rate too small to matter: look at the "
        "last layer and the loss"
    )
    sentence = f"no weight changed in epoch {epoch}: {cause}"
    return Diagnosis(name="no weight changed", sentence=sentence, dead=True)


def constant(probabilities: npt.NDArray[np.floating]) -> Diagnosis | None:
    """A diagnosis where every patch gets the same answer. probabilities: float [N, K]."""
    if len(probabilities) < 2 or float(np.ptp(probabilities, axis=0).max()) > 1e-5:
        return None
    return Diagnosis(
        name="constant predictions",
        sentence="constant predictions: every validation patch gets the same probability "
        f"({probabilities[0, -1]:.4f}); the network ignores its input. Likely a learning rate far "
        "too high or too low, or input that is not scaled",
    )


def not_finite(value: float, recipe: Recipe, epoch: int, step: int) -> str:
    """The sentence for a loss that is not a number."""
    hints = [f"lower learning_rate (now {recipe.learning_rate:g})"]
    if recipe.optimizer == "muon":
        hints.append(f"lower muon_learning_rate (now {recipe.muon_learning_rate:g})")
    if not recipe.clip_norm:
        hints.append("set clip_norm=1")
    if not recipe.warmup:
        hints.append("set warmup=0.1")
    if recipe.normalize == "none":
        hints.append("set normalize=train")
    return (
        f"the loss is {value} in epoch {epoch}, step {step}: training diverged. Likely the steps "
        f"are too large: {', '.join(hints)}. The state before this epoch is in resume.pt"
    )


def no_memory(recipe: Recipe, where: str) -> str:
    """The sentence for exhausted memory."""
    return (
        f"out of memory on {where} with batch_size={recipe.batch_size}; "
        f"try --set batch_size={max(1, recipe.batch_size // 2)}"
    )
