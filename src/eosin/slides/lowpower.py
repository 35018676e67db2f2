"""A whole slide at low power, read in blocks, so that memory does not grow with the slide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np

from eosin.cores import usable_cores
from eosin.slides.reading import best_level, factors, fitted, span
from eosin.slides.slide import Known, Pixels, Slide

#: The most pixels of a level that are in memory at a time, and the longest side of a read.
_BLOCK_PX, _SIDE_PX = 1 << 23, 4096
#: Longest side of the picture of a slide without a scale.
UNSCALED_PX = 2048
#: Threads that read at a time, each with a block.
_READERS = 4
#: The most pixels of a whole slide in memory: 8 micrometers a pixel of 3 by 3 centimeters.
MOST_PX = 14_000_000


Part = TypeVar("Part")


@dataclass(frozen=True)
class LowPower:
    """A whole slide, reduced."""

    #: uint8 [h, w, 3], glass white; bool [h, w]: where the slide has pixels.
    pixels: Pixels
    known: Known
    #: Micrometers a pixel along x and y; None where the slide has no scale.
    mpp: tuple[float, float] | None


def steps(slide: Slide, um: float) -> tuple[int, int, tuple[Fraction, Fraction]]:
    """Width and height of the slide at ``um`` a pixel, and level-0 pixels for each, along x and y.

    The picture covers the slide exactly, so a step is near ``um`` and not always equal along both
    sides. A slide without a scale gets ``UNSCALED_PX`` along its longer side at most; none is
    enlarged.
    """
    size = slide.width_px, slide.height_px
    if slide.scale is None:
        longest = max(1.0, max(size) / UNSCALED_PX)
        wanted = longest, longest
    else:
        wanted = max(1.0, um / slide.scale.x_um), max(1.0, um / slide.scale.y_um)
    width, height = (max(1, round(side / step)) for side, step in zip(size, wanted, strict=True))
    return width, height, (Fraction(size[0], width), Fraction(size[1], height))


def whole_steps(slide: Slide, um: float) -> tuple[int, int, tuple[Fraction, Fraction]]:
    """``steps`` for a picture of the whole slide, which has at most ``MOST_PX`` pixels."""
    found = steps(slide, um)
    while found[0] * found[1] > MOST_PX:
        um *= max(1.01, (found[0] * found[1] / MOST_PX) ** 0.5)
        found = steps(slide, um)
    return found


def mpp_of(slide: Slide, step: tuple[Fraction, Fraction]) -> tuple[float, float] | None:
    """Micrometers for each of the steps, which are in level-0 pixels."""
    if slide.scale is None:
        return None
    return float(step[0]) * slide.scale.x_um, float(step[1]) * slide.scale.y_um


def read_block(
    slide: Slide, left: int, top: int, width: int, height: int, step: tuple[Fraction, Fraction]
) -> tuple[Pixels, Known]:
    """A part of the reduced slide: uint8 [height, width, 3] and bool [height, width].

    left, top, width, height: in pixels of the reduced slide; step: level-0 pixels for each.
    """
    level = best_level(slide, step)
    wide, tall = factors(slide, slide.levels[level])
    x, across = span(left * step[0], width, step[0], wide)
    y, down = span(top * step[1], height, step[1], tall)
    pixels, known = slide.region(level, x, y, across, down)
    if known.all():
        return fitted(pixels, width, height), np.ones((height, width), bool)
    share = fitted((known * np.uint8(255)), width, height)
    return fitted(pixels, width, height), share >= 128


def blocks(
    slide: Slide, width: int, height: int, step: tuple[Fraction, Fraction]
) -> Iterator[tuple[int, int, int, int]]:
    """Parts (left, top, width, height) of a reduced slide that are small enough to be read."""
    wide, tall = factors(slide, slide.levels[best_level(slide, step)])
    across = max(1, min(width, int(_SIDE_PX * wide / step[0])))
    most = int(_BLOCK_PX * wide * tall / (step[0] * step[1])) // across
    down = max(1, min(height, int(_SIDE_PX * tall / step[1]), most))
    for top in range(0, height, down):
        for left in range(0, width, across):
            yield left, top, min(across, width - left), min(down, height - top)


def together(work: Callable[[Part], None], parts: Iterable[Part]) -> None:
    """Do the parts in a few threads; the first error is raised, and what has not begun is left.

    >>> found = []
    >>> together(found.append, [1, 2, 3])
    >>> sorted(found)
    [1, 2, 3]
    """
    with ThreadPoolExecutor(min(_READERS, usable_cores()[0]), "eosin-read") as pool:
        try:
            for done in [pool.submit(work, part) for part in parts]:
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def low_power(slide: Slide, um: float) -> LowPower:
    """The whole slide at about ``um`` micrometers a pixel, more where it would be too many pixels.

    Memory is that of the result and of one block of a level, whatever the slide's size. Raises
    SlideError where the file is damaged.
    """
    width, height, step = whole_steps(slide, um)
    pixels = np.empty((height, width, 3), np.uint8)
    known = np.empty((height, width), bool)

    def read(part: tuple[int, int, int, int]) -> None:
        left, top, across, down = part
        place = np.s_[top : top + down, left : left + across]
        pixels[place], known[place] = read_block(slide, left, top, across, down, step)

    together(read, blocks(slide, width, height, step))
    return LowPower(pixels, known, mpp_of(slide, step))
