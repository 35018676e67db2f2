"""Augmentation and blending of complete batches, uint8 in and uint8 out, where the batch is.

All functions take patches uint8 [N, H, W, 3] and numbers that `training.draws` has drawn. They are
the plain reference of `training.on_device`, which a GPU uses.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from eosin.models.symmetry import symmetries, turn


def augment(patches: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
    """Each augmentation that ``numbers`` has a draw for, in a fixed order.

    numbers: from `draws.of_step`.

    >>> from eosin.config import Recipe
    >>> from eosin.training.draws import of_step
    >>> numbers = of_step(Recipe(dihedral=True, stain=0.1), 4, (8, 8), epoch=1, step=0)
    >>> augment(torch.zeros(4, 8, 8, 3, dtype=torch.uint8), numbers).shape
    torch.Size([4, 8, 8, 3])
    """
    if "symmetry" in numbers:
        patches = dihedral(patches, int(numbers["symmetry"]))
    if "moves" in numbers:
        patches = shift(patches, numbers["moves"])
    if "stains" in numbers:
        patches = stain_and_brightness(patches, numbers["stains"], numbers["offsets"])
    return patches


def dihedral(patches: Tensor, first: int) -> Tensor:
    """Turn and flip: each eighth of the batch by another symmetry (of four where not square).

    first: the symmetry of the first eighth. A batch is in random order already, so which patch gets
    which symmetry is random, and the shares are exact; slices need no masks, which would stall a
    GPU.
    """
    kinds = symmetries(patches.shape[1], patches.shape[2])
    bounds = [len(patches) * k // kinds for k in range(kinds + 1)]
    result = torch.empty_like(patches)
    for k in range(kinds):
        part = slice(bounds[k], bounds[k + 1])
        result[part] = turn(patches[part], (first + k) % kinds)
    return result


def shift(patches: Tensor, moves: Tensor) -> Tensor:
    """Move each patch down and right by int64 [2, N, 1] pixels; what comes in is mirrored."""
    _, height, width, _ = patches.shape
    limit = int(moves.abs().max())
    # One mirrored border around all, and of each patch a piece of it: copies of whole rows.
    device = patches.device
    rows, columns = (mirrored(torch.arange(-limit, n + limit), n) for n in (height, width))
    wide = patches.index_select(1, rows.to(device)).index_select(2, columns.to(device))
    moved = torch.empty_like(patches)
    for result, one, (down, right) in zip(
        moved.unbind(), wide.unbind(), (moves[:, :, 0].T + limit).tolist(), strict=True
    ):
        result.copy_(one[down : down + height, right : right + width])
    return moved


def mirrored(positions: Tensor, size: int) -> Tensor:
    """Positions int64 from -size + 1 to 2 size - 2, those outside 0..size - 1 mirrored at edges."""
    positions = positions.abs()
    return torch.where(positions >= size, 2 * (size - 1) - positions, positions)


def stain_and_brightness(patches: Tensor, stains: Tensor, offsets: Tensor) -> Tensor:
    """Change the strength of each stain, and the density.

    stains: float32 [N, 3, 3], offsets: float32 [N, 1, 1]. Works in optical density (Beer-Lambert):
    unmix into hematoxylin, eosin and residual, scale each, mix again; as one 3x3 matrix a patch
    (Tellez et al. 2018, "Whole-slide mitosis detection in H&E breast histology using PHH3 as a
    reference").
    """
    device = patches.device
    # The logarithm is minus the density. A table of 256 logarithms costs more than computing them.
    logarithms = patches.reshape(len(patches), -1, 3).float().add_(1).div_(256).log_()
    changed = torch.baddbmm(-offsets.to(device), logarithms, stains.to(device))
    values = changed.exp_().mul_(256).sub_(1)
    return values.round_().clamp_(0, 255).to(torch.uint8).view_as(patches)


def blend(
    patches: Tensor, targets: list[Tensor], numbers: Mapping[str, Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Patches and targets, several float32 [N, K], blended in pairs where ``numbers`` has them.

    Mixup (Zhang et al. 2018, "mixup: beyond empirical risk minimization"): each patch mixed with
    another. CutMix (Yun et al. 2019, "CutMix: regularization strategy to train strong
    classifiers"): a box of each patch replaced by the same box of another, targets by the share of
    area; a patch's label may come from the part that was cut away.
    """
    if "partners" not in numbers:
        return patches, targets
    partners = numbers["partners"].to(patches.device)
    own, other = numbers["pixels"].tolist()
    top, left, bottom, right = numbers["box"].tolist()
    if other:
        mixed = own * patches.float() + other * patches[partners].float()
        patches = mixed.round_().to(torch.uint8)
    else:
        box = (slice(None), slice(top, bottom), slice(left, right))
        partner = patches[partners][box]
        patches = patches.clone()
        patches[box] = partner
    own, other = numbers["targets"].tolist()
    return patches, [own * target + other * target[partners] for target in targets]
