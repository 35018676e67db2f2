"""Optimizers, the learning rate's course, and the running average of weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from eosin.config import Recipe
from eosin.training.finetuning import blocks_of


class Optimizer:
    """One or two torch optimizers that step as one.

    SGD and AdamW decay only matrices and kernels, not biases and norms. Muon orthogonalizes the
    update of each hidden matrix (Jordan et al. 2024, "Muon: an optimizer for hidden layers"); AdamW
    does the stem, the head, biases and norms.
    """

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.recipe = recipe
        self._flat: list[tuple[nn.Parameter, nn.Parameter]] = []
        self.parts = self._make(model, recipe)
        self._bases = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def _make(self, model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
        parameters = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        if recipe.layer_decay < 1:
            groups = layered(model, recipe)
        groups = [group for group in groups if group["params"]]
        if recipe.optimizer == "sgd":
            return [
                torch.optim.SGD(
                    groups,
                    lr=recipe.learning_rate,
                    momentum=recipe.momentum,
                    nesterov=recipe.momentum > 0,
                )
            ]
        if recipe.optimizer == "adamw":
            return [torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.99))]
        hidden = matrices[1:-1]
        self._flat = [(p, nn.Parameter(_flat_view(p.data))) for p in hidden]
        rest = [*matrices[:1], *matrices[-1:], *vectors] if len(matrices) > 1 else parameters
        parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
        ]
        if hidden:
            parts.append(
                torch.optim.Muon(
                    [flat for _, flat in self._flat],
                    lr=recipe.muon_learning_rate,
                    momentum=recipe.momentum or 0.95,
                    weight_decay=recipe.weight_decay,
                )
            )
        return parts

    def set_rate(self, factor: float) -> None:
        """Multiply every base rate by ``factor``."""
        for part, bases in zip(self.parts, self._bases, strict=True):
            for group, base in zip(part.param_groups, bases, strict=True):
                group["lr"] = base * factor

    def zero(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)
        for parameter, _ in self._flat:
            parameter.grad = None

    def step(self) -> None:
        """Apply the gradients."""
        for parameter, flat in self._flat:
            if parameter.grad is not None:
                flat.grad = _like_storage(parameter.grad, parameter)
        for part in self.parts:
            part.step()

    def state(self) -> list[dict[str, Any]]:
        """For resume.pt: tensors and plain values only."""
        return [part.state_dict() for part in self.parts]

    def load(self, states: list[dict[str, Any]]) -> None:
        """Put a saved state back."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def layered(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups whose learning rate falls from the head down, by ``layer_decay`` a block.

    Clark et al. 2020, "ELECTRA", appendix; usual for fine-tuning vision transformers.
    """
    network = getattr(model, "network", model)
    blocks = blocks_of(network)
    groups: list[dict[str, Any]] = []
    for depth, block in enumerate(blocks):
        rate = recipe.learning_rate * recipe.layer_decay ** (len(blocks) - 1 - depth)
        learning = [p for p in block if p.requires_grad]
        for decay, chosen in (
            (recipe.weight_decay, [p for p in learning if p.ndim > 1]),
            (0.0, [p for p in learning if p.ndim <= 1]),
        ):
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return groups


def _flat_view(weight: Tensor) -> Tensor:
    """The weight as [outputs, rest], sharing its memory whatever the memory order.

    Orthogonalization does not depend on the order of the columns, so storage order will do.
    """
    if weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last):
        return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
    return weight.view(len(weight), -1)


def _like_storage(gradient: Tensor, parameter: Tensor) -> Tensor:
    if parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last):
        return gradient.permute(0, 2, 3, 1).reshape(len(gradient), -1)
    return gradient.reshape(len(gradient), -1)


def rate_factor(step: int, total: int, *, warmup: float, decay: str) -> float:
    """The learning rate of a step as a share of the base rate.

    Rises linearly over the first ``warmup`` of all steps, then falls to 0 at the end, linearly or
    along a cosine, or stays.

    >>> [rate_factor(s, 4, warmup=0.5, decay="linear") for s in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    rising = round(warmup * total)
    if step < rising:
        return (step + 1) / rising
    share = (step - rising) / max(1, total - rising)
    if decay == "linear":
        return 1.0 - share
    if decay == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * share))
    return 1.0


class WeightAverage:
    """An exponential moving average of all weights and running statistics over steps.

    The decay grows from 0.1 to its value over the first steps, so that the average forgets the
    random start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = [t for t in model.state_dict().values() if t.dtype.is_floating_point]
        self._names = [n for n, t in model.state_dict().items() if t.dtype.is_floating_point]
        self.values = [t.detach().clone() for t in self._live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, self._live, 1.0 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the live weights and the averages; a second call exchanges them back."""
        for live, value in zip(self._live, self.values, strict=True):
            kept = live.clone()
            live.copy_(value)
            value.copy_(kept)

    def state(self) -> dict[str, Tensor]:
        """For resume.pt."""
        return dict(zip(self._names, self.values, strict=True))

    def load(self, state: dict[str, Tensor]) -> None:
        """Put a saved average back."""
        for name, value in zip(self._names, self.values, strict=True):
            value.copy_(state[name])
