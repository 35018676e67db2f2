"""Muon, with all matrices of equal height orthogonalized together on their small Gram matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from eosin.cores import bf16_instructions

#: Of the quintic iteration: Jordan et al. 2024, "Muon: an optimizer for hidden layers".
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
_SMALLEST = 1e-7


class GramMuon(torch.optim.Muon):
    """`torch.optim.Muon`, which is its reference in the tests, in less time.

    The state is torch's own, so that either resumes what the other saved. The learning rate of a
    group may be a float or a tensor float32 [] on the device, where no step asks for a number.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Apply the gradients of all matrices [m, n] that have one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            matrices = [p for p in group["params"] if p.grad is not None]
            if not matrices:
                continue
            gradients = [p.grad for p in matrices]
            kept = [self._momentum(p) for p in matrices]
            torch._foreach_lerp_(kept, gradients, 1 - group["momentum"])
            updates = kept
            if group["nesterov"]:
                updates = list(torch._foreach_lerp(gradients, kept, group["momentum"]))
            rate = group["lr"]
            torch._foreach_mul_(matrices, 1 - rate * group["weight_decay"])
            turned = orthogonalized(updates, group["ns_coefficients"], group["ns_steps"])
            # A tall matrix takes a longer step, so that each of its outputs moves alike.
            tall = [math.sqrt(max(1.0, p.shape[0] / p.shape[1])) for p in matrices]
            torch._foreach_mul_(turned, tall)
            torch._foreach_mul_(turned, -rate)
            torch._foreach_add_(matrices, turned)
        return loss

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        momentum: Tensor = state["momentum_buffer"]
        return momentum


def orthogonalized(
    matrices: Sequence[Tensor],
    coefficients: tuple[float, float, float] = COEFFICIENTS,
    steps: int = STEPS,
) -> list[Tensor]:
    """Each matrix [m, n] with its singular values brought near 1: float32 [m, n].

    The Newton-Schulz step X <- (a I + b A + c A A) X with A = X X' multiplies X from the left by
    polynomials of the first A alone. Where X is wide, they are gathered on matrices [m, m], all of
    one height together, and meet X once, at the end. In float32, as the gathered polynomial would
    enlarge the rounding of bf16; the last product is in bf16, as all of them are in torch. Nearly
    square matrices gain nothing by it and are iterated as they are.

    >>> turned = orthogonalized([torch.randn(4, 9, generator=torch.Generator().manual_seed(0))])[0]
    >>> bool(torch.linalg.svdvals(turned).min() > 0.6)
    True
    """
    wide = [x.mT if x.shape[0] > x.shape[1] else x for x in matrices]
    lengths = torch._foreach_norm(wide)
    torch._foreach_clamp_min_(lengths, _SMALLEST)
    wide = list(torch._foreach_div(wide, lengths))
    turned = [x if _is_wide(x) else _iterated(x, coefficients, steps) for x in wide]
    for size in dict.fromkeys(x.shape[0] for x in wide if _is_wide(x)):
        chosen = [k for k, x in enumerate(wide) if _is_wide(x) and x.shape[0] == size]
        gram = torch.stack([wide[k] @ wide[k].mT for k in chosen])
        brief = _brief(gram.device.type)
        factor = _polynomial(gram, coefficients, steps).to(brief)
        for k, each in zip(chosen, factor.unbind(), strict=True):
            turned[k] = (each @ wide[k].to(brief)).float()
    return [
        x.mT if matrix.shape[0] > matrix.shape[1] else x
        for x, matrix in zip(turned, matrices, strict=True)
    ]


@cache
def _brief(device: str) -> torch.dtype:
    """bf16, or float32 on a processor without it.

    There torch multiplies in bf16 element by element: with one thread and AVX2 alone, Muon took
    2.6 s of a step of compact in bf16, and takes 0.28 s in float32.
    """
    return torch.bfloat16 if device != "cpu" or bf16_instructions() else torch.float32


def _is_wide(matrix: Tensor) -> bool:
    return matrix.shape[1] > 2 * matrix.shape[0]


def _iterated(matrix: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    a, b, c = coefficients
    x = matrix.to(_brief(matrix.device.type))
    for _ in range(steps):
        gram = x @ x.mT
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.addmm(x, factor, x, beta=a)
    return x.float()


def _polynomial(gram: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    """What ``steps`` iterations multiply X by, of its Gram matrices: float32 [k, m, m]."""
    a, b, c = coefficients
    gathered: Tensor | None = None
    for left in range(steps, 0, -1):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        gathered = factor if gathered is None else factor @ gathered
        if left > 1:
            gram = factor @ gram @ factor
    assert gathered is not None
    return gathered
