"""One picture: an encoded image -> uint8 [H, W, 3], as a store contains it and its models see it.

Packing, prediction and explanations read images with a ``PictureRule`` and nothing else. The same
file gives the same pixels everywhere, or is refused everywhere for the same reason.

How an image of another size becomes a patch (``fit``):

- ``pad``     its pixels are the top-left corner of a white patch; a larger image is refused;
- ``resize``  both sides are scaled, each by itself: a side that shrinks is averaged by area, then
  a side that grows is interpolated linearly. Proportions and scale change;
- ``reject``  it is refused.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from eosin.data.decode import MAX_PIXELS, read_pixels
from eosin.data.depth import Deep, deep_of, is_deep, to_rgb
from eosin.errors import ImageError

Image = npt.NDArray[np.uint8]

#: Scales that differ by at most this share count as the same.
SAME = 0.1

#: The first one is that of stores and models that do not record their own.
FITS = ("pad", "resize", "reject")


class Picture(NamedTuple):
    """A file as a patch."""

    #: uint8 [H, W, 3], of the rule's size.
    pixels: Image
    #: (height_px, width_px) of the file.
    size: tuple[int, int]
    #: What its size needed: "", "padded", "resized" or "resampled".
    change: str
    #: Of a file of more than 8 bits.
    deep: Deep | None = None


class PictureRule(NamedTuple):
    """What a patch is: its size, how other sizes become it, what is white, how large a file may be.

    >>> PictureRule((2, 2)).patch(np.zeros((1, 2, 3), np.uint8))[1, 0].tolist()
    [255, 255, 255]
    """

    #: (height_px, width_px)
    size: tuple[int, int]
    fit: str = FITS[0]
    #: The most pixels that a file may declare; judged before anything is decoded.
    max_pixels: int = MAX_PIXELS
    #: The value that is white in files of more than 8 bits (``eosin.data.depth``); None: not known.
    white: float | None = None
    #: Pixels of the patch for each pixel of a file: what ``--resample`` brings to a model's scale.
    scale: float = 1.0
    #: (height_px, width_px) of the largest file that is still a patch; None: of any size.
    largest: tuple[int, int] | None = None

    def check_size(self, height: int, width: int) -> None:
        """Raise ImageError for a file that is no patch but a slide or a large picture."""
        if self.largest is None or (height <= self.largest[0] and width <= self.largest[1]):
            return
        raise ImageError(
            f"no patch: {width}x{height} px are many times {self.size[1]}x{self.size[0]} px, the "
            "model's patch, and one answer for all of it would mean nothing"
        )

    def read(self, data: bytes) -> Picture:
        """An encoded image as a patch.

        Raises ImageError, with a reason of the form ``kind: detail``, for a file that is damaged,
        not an image or too large, and for a size that the rule refuses.
        """
        pixels = read_pixels(data, max_pixels=self.max_pixels)
        deep = deep_of(pixels) if is_deep(pixels) else None
        image = to_rgb(pixels, self.white) if deep else pixels
        size = image.shape[0], image.shape[1]
        self.check_size(*size)
        patch = self.patch(image)
        if self.scale != 1:
            return Picture(patch, size, "resampled", deep)
        changed = {"pad": "padded", "resize": "resized"}.get(self.fit, "")
        return Picture(patch, size, changed if size != self.size else "", deep)

    def patch(self, image: Image) -> Image:
        """An image uint8 [H, W, 3] of any size as a patch; raises ImageError as ``read`` does."""
        if self.scale != 1:
            return resampled(image, self.scale, self.size)
        height, width = image.shape[:2]
        if (height, width) == self.size:
            return image
        if self.fit == "resize":
            return resized(image, self.size)
        sizes = f"{width}x{height} px, not {self.size[1]}x{self.size[0]}"
        if self.fit == "reject":
            raise ImageError(f"odd size: {sizes} (fit reject)")
        if height > self.size[0] or width > self.size[1]:
            raise ImageError(
                f"too large: {sizes}, and padding cannot shrink it; use --fit resize to scale it"
            )
        patch = np.full((*self.size, 3), 255, np.uint8)
        patch[:height, :width] = image
        return patch


def resized(image: Image, size: tuple[int, int]) -> Image:
    """An image uint8 [H, W, 3] at another size (height_px, width_px).

    The one rule for all pixels of a model: a side that shrinks is averaged by area, then a side
    that grows is interpolated linearly.

    >>> stripes = np.array([[[0] * 3, [200] * 3]], np.uint8)
    >>> resized(stripes, (2, 1))[:, :, 0].tolist()
    [[100], [100]]
    """
    height, width = size
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    image = np.ascontiguousarray(image)
    if smaller != image.shape[1::-1]:
        image = np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    if smaller != (width, height):
        image = np.asarray(
            cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
        )
    return image


def resampled(image: Image, scale: float, size: tuple[int, int]) -> Image:
    """An image uint8 [H, W, 3] at another scale, and its middle of a size (height_px, width_px).

    scale: pixels of the result for each pixel of the image. A side that is up to 10 percent short
    of the size is stretched to it. Raises ImageError for one that shows less of the tissue.

    >>> resampled(np.zeros((8, 8, 3), np.uint8), 0.5, (3, 2)).shape
    (3, 2, 3)
    """
    sides = [round(side * scale) for side in image.shape[:2]]
    if any(side < (1 - SAME) * wanted for side, wanted in zip(sides, size, strict=True)):
        raise ImageError(
            f"too small a field: at the model's scale it has {sides[1]}x{sides[0]} px, and the "
            f"model's patches have {size[1]}x{size[0]}; cut larger fields from the slide"
        )
    height, width = (max(pair) for pair in zip(sides, size, strict=True))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    larger = resized(image, (height, width))
    return np.ascontiguousarray(larger[top : top + size[0], left : left + size[1]])
