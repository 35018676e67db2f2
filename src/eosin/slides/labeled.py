"""Patches of a slide, labeled by what people drew on it.

A patch belongs to a class where at least ``overlap`` of it lies in areas of that class. With a
background class it belongs there where at least as much of it lies in no area at all. Any other
patch is mixed and left out, and so is one with too little tissue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.errors import SlideError, SourceError
from eosin.slides.annotations import Classes
from eosin.slides.slide import Slide
from eosin.slides.tissue import GLASS, NAMES, Tissue
from eosin.sources.layouts import natural_key

Ints = npt.NDArray[np.int64]

#: More patches of one slide are a mistake in --stride-um or --mpp.
_MOST_PATCHES = 20_000_000
#: Why patches are left out.
NO_TISSUE, MIXED = "with too little tissue", "of no class that decides"


@dataclass(frozen=True)
class Cut:
    """Which patches are cut, and how they are labeled."""

    #: (height_px, width_px) of a patch, and micrometers a pixel.
    size_px: tuple[int, int]
    mpp: float
    #: From one patch to the next in micrometers; None: they touch.
    stride_um: float | None = None
    #: The share of a patch that decides its class; and of tissue that it has to have.
    overlap: float = 0.5
    tissue: float = 0.25
    #: Class of the annotations -> class of the store, "" to cut it out; empty: all, as they are.
    classes: Mapping[str, str] = field(default_factory=dict)
    #: The class of tissue that nobody marked; "" where that has none.
    background: str = ""


@dataclass(frozen=True)
class Places:
    """The patches of one slide: upper left corners in level-0 pixels, int64 [n], and classes."""

    x: Ints
    y: Ints
    names: tuple[str, ...]
    #: Patches that were left out, by the reason.
    left_out: Mapping[str, int] = field(default_factory=dict)


def place_patches(slide: Slide, classes: Classes, tissue: Tissue, cut: Cut) -> Places:
    """Label the patches of a grid from the corner of the scanned part, by rows.

    Raises SlideError for a slide without a scale.
    """
    step, side = steps_of(slide, cut)
    corners, wide = [], []
    for axis, (begin, length) in enumerate(
        ((slide.bounds.x, slide.bounds.width), (slide.bounds.y, slide.bounds.height))
    ):
        extent = side[axis] * cut.size_px[1 - axis]
        # Half a pixel is no reason to lose the last patch.
        count = max(0, int((length - extent + Fraction(1, 2)) // step[axis]) + 1)
        corners.append([begin + int(k * step[axis] + Fraction(1, 2)) for k in range(count)])
        wide.append(float(extent))
    if len(corners[0]) * len(corners[1]) > _MOST_PATCHES:
        raise SourceError(
            f"{slide.path} would have {len(corners[0]) * len(corners[1]):,} patches; choose a "
            "larger --mpp or --stride-um"
        )
    y, x = (grid.ravel() for grid in np.meshgrid(corners[1], corners[0], indexing="ij"))
    x, y = x.astype(np.int64), y.astype(np.int64)
    field_px, size = (wide[0], wide[1]), (slide.width_px, slide.height_px)
    names = sorted(
        {*classes.shapes, *([cut.background] if cut.background else [])}, key=natural_key
    )
    shares = np.zeros((len(x), max(1, len(names))))
    for k, name in enumerate(names):
        if name in classes.shapes:
            shares[:, k] = _shares(classes.shapes[name], x, y, field_px)
    # What is cut out or has an unknown class is no background. Areas are exact to a millionth.
    other = _shares(classes.out.union(classes.unknown), x, y, field_px)
    rest, need = 1 - shares.sum(axis=1) - other + 1e-6, cut.overlap - 1e-6
    label = shares.argmax(axis=1)
    marked = shares.max(axis=1) >= need
    decided = marked
    if cut.background:
        number = names.index(cut.background)
        # Where a small overlap is enough for a mark, its lack needs the more.
        decided = marked | (rest + shares[:, number] >= max(cut.overlap, 1 - cut.overlap))
        label = np.where(marked, label, number)
    # A person's mark stands where a rule sees a flaw; the background has nobody's word.
    anything = tissue.cover(size, x, y, field_px, [k for k in range(len(NAMES)) if k != GLASS])
    enough = np.where(marked, anything, tissue.cover(size, x, y, field_px)) >= cut.tissue
    mixed = ~decided & enough & (bool(cut.background) | (shares.sum(axis=1) > need / 2))
    left_out = {NO_TISSUE: int((decided & ~enough).sum()), MIXED: int(mixed.sum())}
    taken = decided & enough
    return Places(x[taken], y[taken], tuple(names[k] for k in label[taken].tolist()), left_out)


def steps_of(slide: Slide, cut: Cut) -> tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]]:
    """Level-0 pixels from patch to patch, and for a pixel of a patch, along x and y, exactly."""
    if slide.scale is None:
        raise SlideError(
            f"{slide.path} has no scale; give it in the column mpp of a table: --table slides.csv"
        )
    um = [Fraction(str(value)) for value in slide.scale[:2]]
    side = Fraction(str(cut.mpp)) / um[0], Fraction(str(cut.mpp)) / um[1]
    if cut.stride_um is None:
        return (side[0] * cut.size_px[1], side[1] * cut.size_px[0]), side
    stride = Fraction(str(cut.stride_um))
    return (stride / um[0], stride / um[1]), side


def _shares(shape: Any, x: Ints, y: Ints, field_px: tuple[float, float]) -> npt.NDArray[np.float64]:
    """The share of each box inside a shape: float64 [n].

    x, y: upper left corners int64 [n], field_px: width and height, in level-0 pixels.
    """
    import shapely

    total = np.zeros(len(x))
    if shape.is_empty or not len(x):
        return total
    parts = shapely.get_parts(shape)
    boxes = shapely.box(x, y, x + field_px[0], y + field_px[1])
    tree = shapely.STRtree(boxes)
    shapely.prepare(parts)
    part, box = tree.query(parts, predicate="contains")
    total[box] = 1.0
    part, box = tree.query(parts, predicate="intersects")
    cut = total[box] < 1
    areas = shapely.area(shapely.intersection(parts[part[cut]], boxes[box[cut]]))
    np.add.at(total, box[cut], areas / (field_px[0] * field_px[1]))
    return total
