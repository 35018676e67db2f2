"""Where patches lie on a slide: whole steps from its corner, where there is enough tissue."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from eosin.errors import SlideError
from eosin.scanning.scan import Grid, Ints
from eosin.slides.slide import Slide
from eosin.slides.tissue import TISSUE, Tissue

#: Share of a patch that has to be tissue.
LEAST_TISSUE = 0.25
#: The most cells of a grid: more are a stride that nobody means.
MOST_CELLS = 1 << 25


class Lens(NamedTuple):
    """How a model looks at a slide."""

    #: Width and height of a patch in the model's pixels.
    patch_px: tuple[int, int]
    #: Micrometers for each of them.
    mpp: float
    #: From one patch to the next, in micrometers; None: patches touch each other.
    stride_um: float | None = None


def grid_of(
    slide: Slide,
    tissue: Tissue,
    lens: Lens,
    *,
    keep: Collection[int] = (TISSUE,),
    least: float = LEAST_TISSUE,
) -> Grid:
    """The patches of a slide, by rows: those inside its bounds of which ``least`` is tissue.

    keep: the numbers in the mask that count as tissue. Raises SlideError for a slide without scale,
    for one that is smaller than a patch, and for a stride that makes too many patches.
    """
    if slide.scale is None:
        raise SlideError(f"{slide.path} has no scale; give it with --mpp MPP (micrometers a pixel)")
    steps, fields = [], []
    sides = zip(lens.patch_px, (slide.scale.x_um, slide.scale.y_um), strict=True)
    for length, mpp in sides:
        a_pixel = _exact(lens.mpp) / _exact(mpp)
        fields.append(length * a_pixel)
        steps.append(_exact(lens.stride_um) / _exact(mpp) if lens.stride_um else fields[-1])
    columns, rows = (
        # Half a pixel is no reason to lose the last patch.
        max(0, int((length - field + Fraction(1, 2)) // step) + 1)
        for length, field, step in zip(
            (slide.bounds.width, slide.bounds.height), fields, steps, strict=True
        )
    )
    if not columns or not rows:
        wide, tall = (float(round(field, 1)) for field in fields)
        raise SlideError(
            f"{slide.path} is smaller than one patch: it has {slide.bounds.width:,} x "
            f"{slide.bounds.height:,} pixels, and a patch needs {wide:g} x {tall:g}"
        )
    if columns * rows > MOST_CELLS:
        raise SlideError(
            f"{slide.path}: {columns:,} x {rows:,} patches are too many; choose a larger "
            "--stride-um"
        )
    column = np.tile(np.arange(columns, dtype=np.int64), rows)
    row = np.repeat(np.arange(rows, dtype=np.int64), columns)
    grid = Grid(
        (slide.bounds.x, slide.bounds.y), (steps[0], steps[1]), (fields[0], fields[1]),
        columns, rows, column, row, lens.patch_px, lens.mpp,
    )  # fmt: skip
    if least <= 0:
        return grid
    x, y = grid.corners()
    size, field = (slide.width_px, slide.height_px), (float(fields[0]), float(fields[1]))
    enough = tissue.cover(size, x, y, field, keep) >= least
    return replace(grid, column=column[enough], row=row[enough])


def starts(origin: int, step: Fraction, count: int, factor: Fraction) -> Ints:
    """First pixel of a level for each of ``count`` steps, the nearest whole one: int64 [count].

    >>> starts(0, Fraction(801, 8), 4, Fraction(4)).tolist()
    [0, 25, 50, 75]
    """
    return np.array([round((origin + k * step) / factor) for k in range(count)], np.int64)


def _exact(number: float) -> Fraction:
    """The number that a person wrote, not the nearest binary one."""
    return Fraction(repr(float(number)))
