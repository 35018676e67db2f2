"""Optimizers, the learning rate's course, and the running average of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eosin.config import Recipe
from eosin.training.finetuning import blocks_of
from eosin.training.muon import GramMuon

#: Settings that depend on where an optimizer runs, not on what it has learned.
_OF_THE_MACHINE = ("lr", "fused", "foreach", "capturable")


class Optimizer:
    """One or two torch optimizers that step as one.

    SGD and AdamW decay only matrices and kernels, not biases and norms. Muon orthogonalizes the
    update of each hidden matrix (Jordan et al. 2024, "Muon: an optimizer for hidden layers"); AdamW
    does the stem, the head, biases and norms. ``on_device``: learning rates are numbers on the
    device, and no step asks the host for one, so that steps can be recorded (`training.compiled`).
    """

    def __init__(self, model: nn.Module, recipe: Recipe, *, on_device: bool = False) -> None:
        self.recipe = recipe
        self.on_device = on_device
        self._flat: list[tuple[nn.Parameter, nn.Parameter]] = []
        self.parts = self._make(model, recipe)
        self._groups = [group for part in self.parts for group in part.param_groups]
        self._bases = [float(group["lr"]) for group in self._groups]
        if on_device:
            device = next(model.parameters()).device
            self._bases_there = torch.tensor(self._bases, device=device)
            self._rates = self._bases_there.clone()
            self._place_rates()

    def _make(self, model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
        parameters = [p for p in model.parameters() if p.requires_grad]
        groups = decayed(parameters, recipe)
        if recipe.layer_decay < 1:
            groups = layered(model, recipe)
        options: dict[str, Any] = {"fused": True} if self.on_device else {}
        if recipe.optimizer == "sgd":
            options |= {"momentum": recipe.momentum, "nesterov": recipe.momentum > 0}
            return [torch.optim.SGD(groups, lr=recipe.learning_rate, **options)]
        if self.on_device:
            options["capturable"] = parameters[0].is_cuda
        if recipe.optimizer == "adamw":
            return [_adamw(groups, recipe, **options)]
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        hidden = matrices[1:-1]
        self._flat = [(p, nn.Parameter(_flat(p.data, p))) for p in hidden]
        rest = [*matrices[:1], *matrices[-1:], *vectors] if len(matrices) > 1 else parameters
        parts: list[torch.optim.Optimizer] = [_adamw(rest, recipe, weight_decay=0.0, **options)]
        if hidden:
            parts.append(
                GramMuon(
                    [flat for _, flat in self._flat],
                    lr=recipe.muon_learning_rate,
                    momentum=recipe.momentum or 0.95,
                    weight_decay=recipe.weight_decay,
                )
            )
        return parts

    def set_rate(self, factor: float | Tensor) -> None:
        """Multiply every base rate by ``factor``; with ``on_device`` a tensor float32 [] there."""
        if self.on_device:
            torch.mul(self._bases_there, factor, out=self._rates)
            return
        for group, base in zip(self._groups, self._bases, strict=True):
            group["lr"] = base * factor

    def _place_rates(self) -> None:
        for group, rate in zip(self._groups, self._rates.unbind(), strict=True):
            group["lr"] = rate

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
                flat.grad = _flat(parameter.grad, parameter)
        for part in self.parts:
            part.step()

    def state(self) -> list[dict[str, Any]]:
        """For resume.pt: tensors and plain values only."""
        states = [part.state_dict() for part in self.parts]
        for state in states:
            for group in state["param_groups"]:
                group["lr"] = float(group["lr"])
        return states

    def load(self, states: list[dict[str, Any]]) -> None:
        """Put a saved state back, from any machine."""
        for part, state in zip(self.parts, states, strict=True):
            groups = [
                saved | {name: own[name] for name in _OF_THE_MACHINE if name in own}
                for saved, own in zip(state["param_groups"], part.param_groups, strict=True)
            ]
            part.load_state_dict({**state, "param_groups": groups})
        self._groups = [group for part in self.parts for group in part.param_groups]
        if self.on_device:
            # Loading has copied the rates as well.
            self._place_rates()


def _adamw(parameters: Any, recipe: Recipe, **options: Any) -> torch.optim.Optimizer:
    adamw = torch.optim.AdamW(parameters, lr=recipe.learning_rate, betas=(0.9, 0.99), **options)
    # The first steps are taken before one is recorded, which torch would warn about.
    adamw._warned_capturable_if_run_uncaptured = True
    return adamw


def layered(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups whose learning rate falls from the head down, by ``layer_decay`` a block.

    Clark et al. 2020, "ELECTRA", appendix; usual for fine-tuning vision transformers.
    """
    network = getattr(model, "network", model)
    blocks = blocks_of(network)
    groups: list[dict[str, Any]] = []
    for depth, block in enumerate(blocks):
        rate = recipe.learning_rate * recipe.layer_decay ** (len(blocks) - 1 - depth)
        groups += decayed([p for p in block if p.requires_grad], recipe, lr=rate)
    return groups


def decayed(
    parameters: Sequence[nn.Parameter], recipe: Recipe, **options: float
) -> list[dict[str, Any]]:
    """Parameter groups with weight decay for matrices and kernels, without for biases and norms."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group | options for group in groups if group["params"]]


def _flat(values: Tensor, parameter: Tensor) -> Tensor:
    """Values in a parameter's shape as [outputs, rest], in the order of its memory.

    Orthogonalization does not depend on the order of the columns. The parameter's own values keep
    their memory, so that what changes the one changes the other.
    """
    if parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(values), -1)


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
        live = {n: t for n, t in model.state_dict().items() if t.dtype.is_floating_point}
        self._names, self._live = list(live), list(live.values())
        self.values = [t.detach().clone() for t in self._live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number ``step`` (from 0)."""
        torch._foreach_lerp_(self.values, self._live, self.weight(step))

    def weight(self, step: int) -> float:
        """What the weights after step number ``step`` count in the average."""
        return 1.0 - min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def take_in(self, weight: Tensor) -> None:
        """The same as `update` with a weight float32 [] that is on the device."""
        apart = list(torch._foreach_sub(self._live, self.values))
        torch._foreach_mul_(apart, weight)
        torch._foreach_add_(self.values, apart)

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
