"""Levels that a codec makes: JPEG tiles decoded at 1/2, 1/4 or 1/8 of their size.

At 1/4 and 1/8 that is more than twice as fast as decoding all and reducing by area. The pixels
differ a little, so it is measured on tiles of the slide itself before it is used.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from eosin.slides.reading import SAME, factors
from eosin.slides.slide import Level, Slide
from eosin.slides.tiff import TiffSlide

#: The most that tiles decoded small may differ from those reduced by area, in gray levels: the mean
#: of the differences without their sign, over glass and tissue. On tissue alone it is 2.5 times as
#: much (4:2:0) or the same (RGB). 4:2:2 gives 1.2 to 1.6 and is not tried.
MOST_MEAN = 0.5
#: Tiles of a level that are compared, spread evenly.
TILES = 48
PARTS = (2, 4, 8)
#: Sampling of the first of three components: 1x1 (all as fine) and 2x2 (4:2:0).
_SAMPLINGS = (0x11, 0x22)


def with_reduced(slide: Slide) -> Slide:
    """The same open slide, with the levels between its own that its JPEG codec makes as well.

    A part of a level's size is added where no stored level is as coarse and finer than the next,
    and where tiles of this slide differ from area reduction by at most ``MOST_MEAN``. A slide of
    another kind is given back as it is.
    """
    if not isinstance(slide, TiffSlide):
        return slide
    found = list(slide.levels)
    own = [float(factors(slide, level)[0]) for level in slide.levels]
    for number, (here, following) in enumerate(pairwise([*own, float("inf")])):
        for part in PARTS:
            if here * part * (1 + float(SAME)) ** 2 >= following or not allowed(
                slide, number, part
            ):
                break
            level = slide.levels[number]
            wide, high = level.width_px // part, level.height_px // part
            if min(wide, high) >= 1 and allowed(slide, number, part):
                found.append(Level(wide, high, level.stored, part))
    return slide.with_levels(tuple(sorted(found, key=lambda level: -level.width_px)))


def allowed(slide: TiffSlide, stored: int, part: int) -> bool:
    """Whether tiles of a level may be decoded at a part of their size."""
    page, sampling = slide.page(stored), slide.sampling(stored)
    assert page.tile_px is not None
    if sampling is None or sampling[0] not in _SAMPLINGS or set(sampling[1:]) - {0x11}:
        return False
    if any(side % part for side in page.tile_px):
        return False
    return difference(slide, stored, part) <= MOST_MEAN


def difference(slide: TiffSlide, stored: int, part: int) -> float:
    """How far tiles decoded at a part of their size are from area reduction, in gray levels.

    The mean of the differences without their sign, over tiles spread evenly; infinite where there
    is none.
    """
    import cv2

    counts = slide.page(stored).counts
    present = np.flatnonzero(counts)
    spread = np.linspace(0, len(present) - 1, min(TILES, len(present))).round().astype(np.int64)
    found = []
    for number in present[spread].tolist():
        full, small = slide.tile(stored, 1, number), slide.tile(stored, part, number)
        if full is None or small is None:
            continue
        size = (small.pixels.shape[1], small.pixels.shape[0])
        area = cv2.resize(full.pixels, size, interpolation=cv2.INTER_AREA)
        found.append(float(np.abs(area.astype(np.float32) - small.pixels).mean()))
    return float(np.mean(found)) if found else float("inf")
