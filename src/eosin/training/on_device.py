"""Augmentation and blending by drawn numbers on the device, which the host never looks at.

The same pixels as from `training.augment`, which stays the plain reference. Shapes do not depend on
numbers and nothing asks for one, so that the operations can be recorded once and replayed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from eosin.config import Recipe
from eosin.models.symmetry import symmetries, turn
from eosin.training.augment import mirrored


class DeviceAugment:
    """Batches of ``count`` patches taken out of all of them, augmented and blended.

    patches: uint8 [M, H, W, 3] on the device.
    """

    def __init__(self, patches: Tensor, recipe: Recipe, count: int) -> None:
        total, height, width, channels = patches.shape
        self.recipe = recipe
        self.size = (height, width)
        self._pixels = patches.reshape(total, height * width, channels)
        device = patches.device
        self._kinds = kinds = symmetries(height, width)
        # Where each pixel of each symmetry comes from; one gather turns, moves and takes at once.
        places = torch.arange(height * width).reshape(1, height, width, 1)
        turned = torch.stack([turn(places, k).reshape(-1) for k in range(kinds)])
        self._sources = turned.to(device)
        # The same eighths of a batch as in `augment.dihedral`.
        bounds = torch.tensor([count * k // kinds for k in range(1, kinds + 1)])
        eighths = torch.searchsorted(bounds, torch.arange(count), right=True)
        self._eighths = eighths.to(device)
        self._rows = torch.arange(height).to(device)
        self._columns = torch.arange(width).to(device)

    def __call__(self, rows: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
        """Augmented patches uint8 [N, H, W, 3] of the rows int64 [N].

        numbers: from `draws.of_step`, on the device.
        """
        recipe, (height, width) = self.recipe, self.size
        sources: Tensor | None = None
        if recipe.dihedral:
            which = (self._eighths + numbers["symmetry"]) % self._kinds
            sources = self._sources.index_select(0, which)
        if recipe.shift_px:
            down, right = numbers["moves"].unbind(0)
            r = mirrored(self._rows + down, height)
            c = mirrored(self._columns + right, width)
            places = (r[:, :, None] * width + c[:, None, :]).flatten(1)
            sources = places if sources is None else sources.gather(1, places)
        if sources is None:
            pixels = self._pixels.index_select(0, rows)
        else:
            pixels = self._pixels[rows[:, None], sources]
        if recipe.stain or recipe.brightness:
            logarithms = ((pixels.float() + 1) / 256).log()
            changed = torch.baddbmm(-numbers["offsets"], logarithms, numbers["stains"])
            values = 256 * changed.exp() - 1
            pixels = values.round().clamp(0, 255).to(torch.uint8)
        return pixels.reshape(len(rows), height, width, -1)

    def blend(
        self, patches: Tensor, targets: list[Tensor], numbers: Mapping[str, Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Patches uint8 [N, H, W, 3] and targets float32 [N, K] mixed in pairs as the recipe asks.

        A step of mixup has an empty box, one of CutMix a pixel share of 1.
        """
        recipe = self.recipe
        if not (recipe.mixup or recipe.cutmix) or "partners" not in numbers:
            return patches, targets
        partners = numbers["partners"]
        others = patches.index_select(0, partners)
        if recipe.cutmix:
            top, left, bottom, right = numbers["box"].unbind(0)
            tall = (self._rows >= top) & (self._rows < bottom)
            wide = (self._columns >= left) & (self._columns < right)
            patches = torch.where((tall[:, None] & wide)[None, :, :, None], others, patches)
        if recipe.mixup:
            own, other = numbers["pixels"].unbind(0)
            blended = own * patches.float() + other * others.float()
            patches = blended.round().to(torch.uint8)
        own, other = numbers["targets"].unbind(0)
        return patches, [own * t + other * t.index_select(0, partners) for t in targets]
