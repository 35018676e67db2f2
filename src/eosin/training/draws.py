"""Every random number of a training step, drawn on the processor from (seed, epoch, step) alone.

The plain step uses them at once. A GPU gets those of a block of steps in one copy, and no step
waits for the host; see `training.compiled`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from eosin.config import Recipe
from eosin.evaluation.textures import STAINS
from eosin.models.symmetry import symmetries


def seeded(*numbers: int) -> torch.Generator:
    """A generator whose stream depends on all the numbers (seed, epoch, step, purpose).

    >>> torch.rand(1, generator=seeded(1, 2)).item() == torch.rand(1, generator=seeded(1, 2)).item()
    True
    """
    return torch.Generator().manual_seed(mixed_seed(*numbers))


def mixed_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers, well mixed."""
    words = np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)
    return int(words[0]) >> 1


def of_step(
    recipe: Recipe, count: int, size_px: tuple[int, int], *, epoch: int, step: int
) -> dict[str, Tensor]:
    """What one step on ``count`` patches of ``size_px`` (height, width) draws, by name.

    ``symmetry`` int64 []: the symmetry of the first part of the batch; ``moves`` int64
    [2, N, 1]: pixels down and right; ``stains`` float32 [N, 3, 3] and ``offsets`` float32
    [N, 1, 1]: what optical density is multiplied by and added; ``partners`` int64 [N]: who is
    blended with whom; ``box`` int64 [4] (top, left, bottom, right); and the shares of the own patch
    and of the partner, ``pixels`` and ``targets``, float32 [2] each.

    >>> sorted(of_step(Recipe(dihedral=True, shift_px=2), 4, (8, 8), epoch=1, step=0))
    ['moves', 'symmetry']
    """
    height, width = size_px
    numbers: dict[str, Tensor] = {}
    generator = seeded(recipe.seed, epoch, step, 3)
    if recipe.dihedral:
        numbers["symmetry"] = torch.randint(symmetries(height, width), (), generator=generator)
    if recipe.shift_px:
        limit = min(recipe.shift_px, height - 1, width - 1)
        numbers["moves"] = torch.randint(-limit, limit + 1, (2, count, 1), generator=generator)
    if recipe.stain or recipe.brightness:
        basis = torch.tensor(STAINS)
        factors = 1 + recipe.stain * (2 * torch.rand(count, 3, generator=generator) - 1)
        noise = 2 * torch.rand(count, 1, 1, generator=generator) - 1
        numbers["stains"] = (torch.linalg.inv(basis) * factors[:, None, :]) @ basis
        numbers["offsets"] = recipe.brightness * noise
    if (recipe.mixup or recipe.cutmix) and count > 1:
        numbers |= _blend(recipe, count, size_px, seeded(recipe.seed, epoch, step, 4))
    return numbers


def _blend(
    recipe: Recipe, count: int, size_px: tuple[int, int], generator: torch.Generator
) -> dict[str, Tensor]:
    """Partners, shares and box of a blended batch; with both ways in the recipe, a coin decides."""
    ways = [(name, a) for name, a in (("mixup", recipe.mixup), ("cutmix", recipe.cutmix)) if a]
    name, alpha = ways[int(torch.randint(len(ways), (), generator=generator))]
    # The share is from Beta(alpha, alpha), a ratio of two Gammas; torch draws Gammas from a
    # generator in one way only.
    gammas = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator)
    share = float(gammas[0] / gammas.sum().clamp(min=1e-12))
    partners = torch.randperm(count, generator=generator)
    box, pixels = [0, 0, 0, 0], share
    if name == "cutmix":
        # A box that leaves ``share`` of the area.
        sides = [round(side * (1 - share) ** 0.5) for side in size_px]
        start = [
            int(torch.randint(side - cut + 1, (), generator=generator))
            for side, cut in zip(size_px, sides, strict=True)
        ]
        box, pixels = [*start, start[0] + sides[0], start[1] + sides[1]], 1.0
        share = 1 - sides[0] * sides[1] / (size_px[0] * size_px[1])
    return {
        "partners": partners,
        "box": torch.tensor(box),
        "pixels": torch.tensor([pixels, 1 - pixels]),
        "targets": torch.tensor([share, 1 - share]),
    }
