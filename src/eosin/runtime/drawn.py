"""Patches drawn by whole numbers alone, the same to the bit on every machine and in every version.

An exported file carries torch's answers for them, and is asked again where it is used
(``eosin.runtime.proof``). They are no tissue: discs on pale grounds in the colors of a stain,
gradients and noise, so that the layers see activations of about the size that tissue gives.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: How many there are.
COUNT = 64
#: Of eight patches, these are noise alone and a gradient alone; the others have discs.
_NOISE, _GRADIENT = 6, 7
_MASK = (1 << 64) - 1


def drawn_patches(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """uint8 [64, H, W, 3] of a size (height_px, width_px).

    >>> from hashlib import sha256
    >>> sha256(drawn_patches((50, 50)).tobytes()).hexdigest()[:16]
    '3b3a0f6a8575a381'
    """
    return np.stack([_patch(number, *size) for number in range(COUNT)])


class _Numbers:
    """A stream of whole numbers (splitmix64, Steele et al. 2014), which no library changes."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, limit: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % limit

    def color(self, *limits: tuple[int, int]) -> npt.NDArray[np.int64]:
        return np.array([low + self.below(high - low) for low, high in limits], np.int64)


def _patch(number: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3]"""
    numbers, kind = _Numbers(number), number % 8
    grain = _grain(number, height, width)
    if kind == _NOISE:
        return grain.astype(np.uint8)
    ground = numbers.color((190, 246), (120, 226), (170, 236))
    down, across = (numbers.below(161) - 80 for _ in range(2))
    rows, columns = np.mgrid[:height, :width]
    slope = rows * down // height + columns * across // width
    image = ground + slope[..., None]
    if kind != _GRADIENT:
        side = min(height, width)
        for _ in range(numbers.below(48)):
            _disc(image, numbers, max(1, side * (2 + numbers.below(7)) // 50))
        image += (grain - 128) // (4 + 4 * kind)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _disc(image: npt.NDArray[np.int64], numbers: _Numbers, radius: int) -> None:
    height, width = image.shape[:2]
    row, column = numbers.below(height), numbers.below(width)
    color = numbers.color((60, 150), (30, 110), (90, 180))
    top, left = max(0, row - radius), max(0, column - radius)
    part = image[top : row + radius + 1, left : column + radius + 1]
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    part[(rows - row) ** 2 + (columns - column) ** 2 <= radius * radius] = color


def _grain(seed: int, height: int, width: int) -> npt.NDArray[np.int64]:
    """Noise from 0 to 255, int64 [H, W, 3]: a hash of each value's place."""
    place = np.arange(height * width * 3, dtype=np.uint64) + np.uint64(seed << 32)
    place = (place ^ (place >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    place = (place ^ (place >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return (place >> np.uint64(56)).astype(np.int64).reshape(height, width, 3)
