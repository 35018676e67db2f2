"""Mixup and CutMix: training patches blended in pairs, and their targets with them.

All functions take patches: uint8 [N, H, W, 3], targets: float32 [N, K] and a CPU generator.
"""

from __future__ import annotations

import torch
from torch import Tensor

from eosin.config import Recipe
from eosin.training import draws

Mixed = tuple[Tensor, list[Tensor]]


def mix(
    patches: Tensor, targets: list[Tensor], recipe: Recipe, generator: torch.Generator
) -> Mixed:
    """What the recipe asks for; with both, a coin decides for each batch.

    targets: several float32 [N, K] (labels, and a teacher's) that are blended alike.
    """
    if not (recipe.mixup or recipe.cutmix) or len(patches) < 2:
        return patches, targets
    name, alpha = draws.way(recipe, generator)
    chosen = mixup if name == "mixup" else cutmix
    return chosen(patches, targets, alpha=alpha, generator=generator)


def mixup(
    patches: Tensor, targets: list[Tensor], *, alpha: float, generator: torch.Generator
) -> Mixed:
    """Each patch blended with another: share drawn from Beta(alpha, alpha), one for the batch.

    Zhang et al. 2018, "mixup: beyond empirical risk minimization".

    >>> white = torch.full((4, 1, 1, 3), 200, dtype=torch.uint8)
    >>> patches, _ = mixup(white, [], alpha=1.0, generator=torch.Generator())
    >>> patches.unique().tolist()
    [200]
    """
    share, partner = draws.partners(len(patches), alpha, generator)
    partner = partner.to(patches.device)
    blended = share * patches.float() + (1 - share) * patches[partner].float()
    mixed = [share * t + (1 - share) * t[partner] for t in targets]
    return blended.round_().to(torch.uint8), mixed


def cutmix(
    patches: Tensor, targets: list[Tensor], *, alpha: float, generator: torch.Generator
) -> Mixed:
    """A box of each patch replaced by the same box of another; targets by the share of area.

    Yun et al. 2019, "CutMix: regularization strategy to train strong classifiers". Mind that a
    patch's label may come from the part that was cut away.
    """
    share, partner = draws.partners(len(patches), alpha, generator)
    _, height, width, _ = patches.shape
    top, left, rows, columns = draws.box(height, width, share, generator)
    partner = partner.to(patches.device)
    mixed = patches.clone()
    box = (slice(None), slice(top, top + rows), slice(left, left + columns))
    mixed[box] = patches[partner][box]
    kept = 1 - rows * columns / (height * width)
    return mixed, [kept * t + (1 - kept) * t[partner] for t in targets]
