"""Pixels of more than 8 bits: which value is white, and how they become 8 bits.

A file of 16 bits may contain values of 8, 10, 12, 14 or 16 bits, and floating-point numbers may
reach 1 or 255. What they reach is a matter of the whole source: one rule for each image would give
neighbors another contrast. So the highest value of all images decides which of ``WHITES`` is
white, and every value v becomes round(255 v / white). The rule is kept in the store and its models.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eosin.errors import ImageError, SourceError

#: What may be white: 2^bits - 1, and 1 for floating-point numbers.
WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
FULL = WHITES[-1]

Pixels = npt.NDArray[Any]


class Deep(NamedTuple):
    """The pixels of an image, or of several, that had more than 8 bits."""

    #: Of the colors; alpha does not count.
    highest: float
    #: Floating-point numbers, not integers.
    real: bool
    images: int = 1


def is_deep(pixels: Pixels) -> bool:
    """Whether pixels have more than 8 bits."""
    return pixels.dtype != np.uint8


def deep_of(pixels: Pixels) -> Deep:
    """What is known of pixels of more than 8 bits: [H, W] or [..., H, W, C], any number type.

    Raises ImageError for values that no picture has: below 0, above 65535 or not finite.

    >>> deep_of(np.array([[0, 4000]], np.uint16))
    Deep(highest=4000.0, real=False, images=1)
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    colors = pixels[..., : channels - 1] if channels in (2, 4) and pixels.ndim > 2 else pixels
    low, high = (float(colors.min()), float(colors.max())) if colors.size else (0.0, 0.0)
    # NaN fails every comparison.
    if not (low >= 0 and high <= FULL + 0.5):
        raise ImageError(f"unsupported pixels: values from {low:g} to {high:g}, not 0 to {FULL:g}")
    return Deep(high, pixels.dtype.kind == "f")


def white_of(each: Iterable[Deep]) -> float | None:
    """The value that is white for all these images; None where none has more than 8 bits.

    Raises SourceError where integers and floating-point numbers have different ones.

    >>> white_of([Deep(200, False), Deep(3000, False)]), white_of([Deep(0.9, True)]), white_of([])
    (4095.0, 1.0, None)
    """
    highest: dict[bool, float] = {}
    for one in each:
        highest[one.real] = max(one.highest, highest.get(one.real, 0.0))
    # Resampling may overshoot 1 a little.
    whites = {
        real: 1.0 if real and value <= 1.001 else next(w for w in WHITES if value <= w + 0.5)
        for real, value in highest.items()
    }
    if len(set(whites.values())) > 1:
        raise SourceError(
            f"the images mix integers up to {highest[False]:g} with floating-point numbers up "
            f"to {highest[True]:g}: no one rule brings both to 8 bits; use them separately"
        )
    return next(iter(whites.values()), None)


def depth_sentence(count: int, white: float) -> str:
    """How images of more than 8 bits were read.

    >>> depth_sentence(24, 255.0)
    '24 images have values of 16-bit or floating-point type, and all of them are from 0 to 255: \
they were kept as 8 bits'
    """
    images = f"{count:,} image{'s have' if count != 1 else ' has'} values of 16-bit or "
    how = "they were kept as 8 bits" if white == WHITES[0] else f"{white:g} became 255"
    return f"{images}floating-point type, and all of them are from 0 to {white:g}: {how}"


def to_rgb(pixels: Pixels, white: float | None = None) -> npt.NDArray[np.uint8]:
    """Gray, gray + alpha, RGB or RGBA of any depth -> uint8 [..., H, W, 3].

    pixels: [H, W] or [..., H, W, C] with C of 1 to 4; uint8, uint16 or floating point. white: the
    value that becomes 255 where they are not uint8; by default 65535, or for floating-point
    numbers what these pixels reach. Raises ImageError for values above it.

    >>> to_rgb(np.array([[0, 65535]], np.uint16)).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    >>> to_rgb(np.array([[[10, 20, 30, 0]]], np.uint8)).tolist()
    [[[255, 255, 255]]]
    >>> to_rgb(np.array([[0.5]], np.float32), 1.0).tolist()
    [[[128, 128, 128]]]
    """
    values = pixels[..., None] if pixels.ndim == 2 else pixels
    channels = values.shape[-1]
    if channels not in (1, 2, 3, 4):
        raise ImageError(f"unsupported pixels: {channels} channels")
    if is_deep(values):
        values = _eight_bits(values, white)
    color = np.asarray(values[..., : 1 if channels < 3 else 3], np.uint8)
    if channels in (2, 4):
        alpha = values[..., -1:].astype(np.uint32)
        mixed = color.astype(np.uint32) * alpha + 255 * (255 - alpha)
        color = ((mixed + 127) // 255).astype(np.uint8)
    if color.shape[-1] == 1:
        color = np.repeat(color, 3, axis=-1)
    return np.ascontiguousarray(color)


def _eight_bits(values: Pixels, white: float | None) -> npt.NDArray[np.uint8]:
    deep = deep_of(values)
    if white is None:
        white = (white_of([deep]) or FULL) if deep.real else FULL
    if deep.highest > 1.001 * white + 0.5 * (white > 1):
        raise ImageError(
            f"other depth: values up to {deep.highest:g}, and the others reach {white:g} at most"
        )
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2 and values.shape[-1] in (1, 3):
        # round(255 v / white), in integers.
        whole = int(white)
        return ((values.astype(np.uint32) * 510 + whole) // (2 * whole)).astype(np.uint8)
    scaled = values.astype(np.float64) * (255 / white)
    if values.shape[-1] in (2, 4) and values[..., -1].max(initial=0) > white:
        # Opacity may use all 16 bits beside colors that do not.
        scaled[..., -1] = values[..., -1].astype(np.float64) * (255 / FULL)
    rounded: npt.NDArray[np.uint8] = np.clip(np.floor(scaled + 0.5), 0, 255).astype(np.uint8)
    return rounded
