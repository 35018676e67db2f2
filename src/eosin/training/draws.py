"""Every random number of a training step, drawn on the processor from (seed, epoch, step) alone.

The plain step draws and uses them at once. A GPU gets those of a block of steps in one copy, and no
step waits for the host; see `training.compiled`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from eosin.config import Recipe
from eosin.models.symmetry import symmetries

#: Optical density of hematoxylin, eosin and residual (rows) in R, G, B: Ruifrok & Johnston 2001,
#: "Quantification of histochemical staining by color deconvolution".
_STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))


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


def symmetry(kinds: int, generator: torch.Generator) -> Tensor:
    """With which of the symmetries the first part of a batch begins: int64 []."""
    return torch.randint(kinds, (), generator=generator)


def moves(count: int, limit_px: int, generator: torch.Generator) -> Tensor:
    """How far each patch is moved down and right: int64 [2, N, 1] in pixels."""
    return torch.randint(-limit_px, limit_px + 1, (2, count, 1), generator=generator)


def stains(
    count: int, stain: float, brightness: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """What a patch's optical density is multiplied by and added: float32 [N, 3, 3], [N, 1, 1]."""
    basis = torch.tensor(_STAINS)
    factors = 1 + stain * (2 * torch.rand(count, 3, generator=generator) - 1)
    offsets = brightness * (2 * torch.rand(count, 1, 1, generator=generator) - 1)
    return (torch.linalg.inv(basis) * factors[:, None, :]) @ basis, offsets


def way(recipe: Recipe, generator: torch.Generator) -> tuple[str, float]:
    """How a batch is blended and its alpha; with both ways in the recipe, a coin decides."""
    ways = [(name, a) for name, a in (("mixup", recipe.mixup), ("cutmix", recipe.cutmix)) if a]
    return ways[int(torch.randint(len(ways), (), generator=generator))]


def partners(count: int, alpha: float, generator: torch.Generator) -> tuple[float, Tensor]:
    """A share from Beta(alpha, alpha), and who is blended with whom: int64 [N]."""
    # A Beta is a ratio of two Gammas; torch draws Gammas from a generator in one way only.
    gammas = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator)
    share = float(gammas[0] / gammas.sum().clamp(min=1e-12))
    return share, torch.randperm(count, generator=generator)


def box(
    height: int, width: int, share: float, generator: torch.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width in pixels of a box that leaves ``share`` of the area."""
    rows, columns = (round(side * (1 - share) ** 0.5) for side in (height, width))
    top = int(torch.randint(height - rows + 1, (), generator=generator))
    left = int(torch.randint(width - columns + 1, (), generator=generator))
    return top, left, rows, columns


def of_step(
    recipe: Recipe, count: int, size_px: tuple[int, int], *, epoch: int, step: int
) -> dict[str, Tensor]:
    """What one step on ``count`` patches of ``size_px`` (height, width) draws, by name.

    The same numbers in the same order as the plain step (`augment`, `mix`): ``symmetry`` int64 [];
    ``moves`` int64 [2, N, 1]; ``stains`` float32 [N, 3, 3] and ``offsets`` float32 [N, 1, 1];
    ``partners`` int64 [N], ``box`` int64 [4] (top, left, bottom, right), and the shares of the own
    patch and of the partner, ``pixels`` and ``targets``, float32 [2] each.

    >>> sorted(of_step(Recipe(dihedral=True, shift_px=2), 4, (8, 8), epoch=1, step=0))
    ['moves', 'symmetry']
    """
    height, width = size_px
    found: dict[str, Tensor] = {}
    generator = seeded(recipe.seed, epoch, step, 3)
    if recipe.dihedral:
        found["symmetry"] = symmetry(symmetries(height, width), generator)
    if recipe.shift_px:
        limit = min(recipe.shift_px, height - 1, width - 1)
        found["moves"] = moves(count, limit, generator)
    if recipe.stain or recipe.brightness:
        drawn = stains(count, recipe.stain, recipe.brightness, generator)
        found["stains"], found["offsets"] = drawn
    if (recipe.mixup or recipe.cutmix) and count > 1:
        found |= _blend(recipe, count, size_px, seeded(recipe.seed, epoch, step, 4))
    return found


def _blend(
    recipe: Recipe, count: int, size_px: tuple[int, int], generator: torch.Generator
) -> dict[str, Tensor]:
    name, alpha = way(recipe, generator)
    share, whom = partners(count, alpha, generator)
    if name == "mixup":
        corners, pixels = (0, 0, 0, 0), share
    else:
        top, left, rows, columns = box(*size_px, share, generator)
        corners, pixels = (top, left, top + rows, left + columns), 1.0
        share = 1 - rows * columns / (size_px[0] * size_px[1])
    return {
        "partners": whom,
        "box": torch.tensor(corners),
        "pixels": torch.tensor([pixels, 1 - pixels]),
        "targets": torch.tensor([share, 1 - share]),
    }


def of_steps(
    recipe: Recipe, count: int, size_px: tuple[int, int], *, epoch: int, steps: Sequence[int]
) -> dict[str, Tensor]:
    """What several steps draw, each name with one more dimension in front: [S, ...]."""
    each = [of_step(recipe, count, size_px, epoch=epoch, step=step) for step in steps]
    return {name: torch.stack([one[name] for one in each]) for name in each[0]}
