"""The eight symmetries of a square patch: tissue has no up and no left."""

from __future__ import annotations

from torch import Tensor


def turn(patches: Tensor, which: int) -> Tensor:
    """One of the eight symmetries of the square (bit 0 mirrors x, 1 mirrors y, 2 swaps x and y).

    patches: [N, H, W, C]; 4 and above swap H and W.

    >>> import torch
    >>> turn(torch.arange(4).reshape(1, 2, 2, 1), 1).flatten().tolist()
    [1, 0, 3, 2]
    """
    if which & 4:
        patches = patches.transpose(1, 2)
    axes = [axis for bit, axis in ((1, 2), (2, 1)) if which & bit]
    return patches.flip(axes) if axes else patches


def views_of(patches: Tensor, most: int) -> list[Tensor]:
    """At most so many views of patches [N, H, W, C]: as they are, turned and flipped.

    Only turns that keep the size.
    """
    kinds = min(most, symmetries(patches.shape[1], patches.shape[2]))
    return [turn(patches, which) for which in range(kinds)]


def symmetries(height_px: int, width_px: int) -> int:
    """How many of them keep the size: 8 for a square, 4 for any other rectangle."""
    return 8 if height_px == width_px else 4
