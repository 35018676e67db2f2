"""Augmentation of whole batches, uint8 in and uint8 out, on the device where the batch is.

All functions take patches: uint8 [N, H, W, 3] and a CPU generator, and return the same shape. They
are the plain reference of `training.on_device`, which a GPU uses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from eosin.config import Recipe
from eosin.models.symmetry import symmetries, turn
from eosin.training import draws


def augment(patches: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """All that the recipe asks for, in a fixed order."""
    if recipe.dihedral:
        patches = dihedral(patches, generator)
    if recipe.shift_px:
        patches = shift(patches, recipe.shift_px, generator)
    if recipe.stain or recipe.brightness:
        patches = stain_and_brightness(
            patches, stain=recipe.stain, brightness=recipe.brightness, generator=generator
        )
    return patches


def dihedral(patches: Tensor, generator: torch.Generator) -> Tensor:
    """Turn and flip: each eighth of the batch by another symmetry (of four where not square).

    A batch is in random order already, so which patch gets which symmetry is random, and the shares
    are exact; slices need no masks, which would stall a GPU.
    """
    kinds = symmetries(patches.shape[1], patches.shape[2])
    first = int(draws.symmetry(kinds, generator))
    bounds = [len(patches) * k // kinds for k in range(kinds + 1)]
    result = torch.empty_like(patches)
    for k in range(kinds):
        part = slice(bounds[k], bounds[k + 1])
        result[part] = turn(patches[part], (first + k) % kinds)
    return result


def shift(patches: Tensor, limit_px: int, generator: torch.Generator) -> Tensor:
    """Move each patch by up to ``limit_px`` in x and y; what comes in at an edge is mirrored."""
    count, height, width, _ = patches.shape
    limit = min(limit_px, height - 1, width - 1)
    moves = draws.moves(count, limit, generator)
    # One mirrored border around all, and of each patch a piece of it: copies of whole rows.
    device = patches.device
    rows, columns = (_mirrored(torch.arange(-limit, n + limit), n) for n in (height, width))
    wide = patches.index_select(1, rows.to(device)).index_select(2, columns.to(device))
    found = torch.empty_like(patches)
    for result, one, (down, right) in zip(
        found.unbind(), wide.unbind(), (moves[:, :, 0].T + limit).tolist(), strict=True
    ):
        result.copy_(one[down : down + height, right : right + width])
    return found


def _mirrored(positions: Tensor, size: int) -> Tensor:
    positions = positions.abs()
    return torch.where(positions >= size, 2 * (size - 1) - positions, positions)


def stain_and_brightness(
    patches: Tensor, *, stain: float, brightness: float, generator: torch.Generator
) -> Tensor:
    """Change the strength of each stain by a factor of 1 +- stain, the density by +- brightness.

    Works in optical density (Beer-Lambert): unmix into hematoxylin, eosin and residual, scale each,
    mix again; as one 3x3 matrix a patch (Tellez et al. 2018, "Whole-slide mitosis detection in H&E
    breast histology using PHH3 as a reference").
    """
    count = len(patches)
    mixing, offsets = draws.stains(count, stain, brightness, generator)
    device = patches.device
    # The logarithm is minus the density. A table of 256 logarithms costs more than computing them.
    logarithms = patches.reshape(count, -1, 3).float().add_(1).div_(256).log_()
    changed = torch.baddbmm(-offsets.to(device), logarithms, mixing.to(device))
    values = changed.exp_().mul_(256).sub_(1)
    return values.round_().clamp_(0, 255).to(torch.uint8).view_as(patches)
