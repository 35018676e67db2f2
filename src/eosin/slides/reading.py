"""Reading a slide at a scale: which level, from which pixel, and how it is reduced."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from eosin.slides.slide import Level, Pixels, Slide

#: A level this much coarser than asked for still counts as the scale that was asked for.
SAME = Fraction(1, 100)


def factors(slide: Slide, level: Level) -> tuple[Fraction, Fraction]:
    """Level-0 pixels for each pixel of a level, along x and y, exactly.

    A level's sides are rounded when it is made, so their ratio is not its scale: of 8191 x 1023
    pixels the fifth half has 255 x 31, and each of them is 32 wide and high. So a power of two that
    both sides fit to two pixels is the factor (QuPath's rule), else each side's own ratio.
    """
    sides = ((slide.width_px, level.width_px), (slide.height_px, level.height_px))
    whole = Fraction(2) ** max(0, round(math.log2(max(sides)[0] / max(sides)[1])))
    if all(abs(full / whole - own) < 2 for full, own in sides):
        return whole, whole
    return Fraction(*sides[0]), Fraction(*sides[1])


def best_level(slide: Slide, step: tuple[Fraction, Fraction]) -> int:
    """The coarsest level that is no coarser than asked for.

    step: level-0 pixels for each pixel that is asked for, along x and y.
    """
    fitting = [
        number
        for number, level in enumerate(slide.levels)
        if all(f <= s * (1 + SAME) for f, s in zip(factors(slide, level), step, strict=True))
    ]
    return max(fitting, key=lambda number: factors(slide, slide.levels[number])[0], default=0)


def span(start: Fraction, length: int, step: Fraction, factor: Fraction) -> tuple[int, int]:
    """First pixel of a level, and how many, for ``length`` pixels of ``step`` from ``start``.

    start: in level-0 pixels. Both ends are the nearest whole pixels, so that nothing adds up.

    >>> span(Fraction(100), 50, Fraction(8), Fraction(4))
    (25, 100)
    """
    first = round(start / factor)
    return first, max(1, round(length * step / factor))


def fitted(pixels: Pixels, width: int, height: int) -> Pixels:
    """A region brought to a size: reduced by area, enlarged by linear interpolation."""
    import cv2

    tall, wide = pixels.shape[:2]
    if (tall, wide) == (height, width):
        return pixels
    way = cv2.INTER_AREA if wide >= width and tall >= height else cv2.INTER_LINEAR
    pixels = np.ascontiguousarray(pixels)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=way), np.uint8)


def read(
    slide: Slide, x: Fraction | int, y: Fraction | int, width: int, height: int,
    step: tuple[Fraction, Fraction], level: int | None = None,
) -> Pixels:  # fmt: skip
    """Pixels at any scale: uint8 [height, width, 3], glass white.

    x, y: the upper left corner in level-0 pixels. width, height: of what is given back, in its own
    pixels. step: level-0 pixels for each of them, along x and y. level: the one to read; None: the
    best.
    """
    level = best_level(slide, step) if level is None else level
    wide, tall = factors(slide, slide.levels[level])
    left, across = span(Fraction(x), width, step[0], wide)
    top, down = span(Fraction(y), height, step[1], tall)
    pixels, _ = slide.region(level, left, top, across, down)
    return fitted(pixels, width, height)
