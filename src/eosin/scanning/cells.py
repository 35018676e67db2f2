"""Cells: the part of a slide that each patch of a scan stands for, and pictures made of them.

With overlapping patches a place is seen several times. Each patch then stands for the middle of
what it shows, as large as one step, so that no place counts twice; with gaps between the patches it
stands for what it shows. Every file and every figure of a scan uses these boxes.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from eosin.records.points import OUTSIDE, REFER
from eosin.scanning.scan import Grid, Ints, Scan

Value = TypeVar("Value", np.uint8, np.int64)

_HALF = Fraction(1, 2)


def sides(grid: Grid, axis: int) -> tuple[Ints, Ints]:
    """Where the boxes of all columns (axis 0) or rows (axis 1) begin and end.

    Whole level-0 pixels, int64 [columns or rows] each. Neighbors without a gap share a side.
    """
    # As keys, numbers; the arrays of a grid cannot be hashed.
    count = (grid.columns, grid.rows)[axis]
    return _sides(grid.origin_px[axis], grid.step_px[axis], grid.field_px[axis], count)


@lru_cache(maxsize=16)
def _sides(origin: int, step: Fraction, field: Fraction, count: int) -> tuple[Ints, Ints]:
    own = min(step, field)
    first = origin + (field - own) / 2
    begins = np.array([_nearest(first + k * step) for k in range(count)], np.int64)
    ends = np.array([_nearest(first + k * step + own) for k in range(count)], np.int64)
    begins.setflags(write=False)
    ends.setflags(write=False)
    return begins, ends


def _nearest(place: Fraction) -> int:
    """The nearest whole number, halves upward, as ``Grid.corners`` rounds."""
    return (place + _HALF).__floor__()


def boxes(scan: Scan) -> Ints:
    """The box of each patch in level-0 pixels, cut at the slide's edge: int64 [n, 4].

    Columns: left, top, right, bottom. Of a patch that lies outside the slide nothing is left, and
    left equals right or top equals bottom.
    """
    grid, slide = scan.grid, scan.slide
    found = []
    for axis, (numbers, size) in enumerate(
        ((grid.column, slide.width_px), (grid.row, slide.height_px))
    ):
        begins, ends = sides(grid, axis)
        found += [np.clip(begins[numbers], 0, size), np.clip(ends[numbers], 0, size)]
    left, right, top, bottom = found
    return np.stack([left, top, right, bottom], axis=1)


def sizes(scan: Scan) -> Ints:
    """Level-0 pixels of the box of each patch: int64 [n]."""
    left, top, right, bottom = boxes(scan).T
    return np.asarray((right - left) * (bottom - top), np.int64)


def foci(grid: Grid, chosen: npt.NDArray[np.bool_]) -> Ints:
    """The number of the focus that each chosen patch belongs to, from 1; 0 for others: int64 [n].

    chosen: bool [n]. A focus is made of patches that are neighbors in the grid, corners included.
    """
    from scipy import ndimage

    table = np.zeros((grid.rows, grid.columns), np.bool_)
    table[grid.row[chosen], grid.column[chosen]] = True
    numbers, _ = ndimage.label(table, structure=np.ones((3, 3), np.int64))
    return np.where(chosen, numbers[grid.row, grid.column], 0).astype(np.int64)


def raster(
    grid: Grid, values: npt.NDArray[Value], empty: int,
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64],
) -> npt.NDArray[Value]:  # fmt: skip
    """The value of the patch at each place of a picture: [len(y), len(x)] of the type of values.

    values: [n], one a patch; empty: where there is no patch; x, y: centers of the picture's columns
    and rows in level-0 pixels.
    """
    # One column and row more, which index -1 finds.
    table = np.full((grid.rows + 1, grid.columns + 1), empty, values.dtype)
    table[grid.row, grid.column] = values
    return table[_cell_at(grid, 1, y)[:, None], _cell_at(grid, 0, x)[None, :]]


def _cell_at(grid: Grid, axis: int, places: npt.NDArray[np.float64]) -> Ints:
    """The number of the column or row at each place, -1 where there is none: int64 [m]."""
    begins, ends = sides(grid, axis)
    if not len(begins):
        return np.full(len(places), -1, np.int64)
    at = np.searchsorted(begins, places, side="right") - 1
    return np.where((at >= 0) & (places < ends[at]), at, -1).astype(np.int64)


def positive(scan: Scan) -> int | None:
    """The class that a heatmap is of: the second of two, None for more classes."""
    return 1 if len(scan.decision.classes) == 2 else None


def shown(scan: Scan) -> npt.NDArray[np.float32]:
    """The probability of the positive class, or of the likeliest of more: float32 [n]."""
    one = positive(scan)
    if one is not None:
        return np.asarray(scan.probabilities[:, one], np.float32)
    return np.asarray(scan.probabilities.max(axis=1, initial=0.0), np.float32)


def answered(decided: Ints) -> npt.NDArray[np.bool_]:
    """Whether each patch has a class: bool [n]."""
    return np.asarray((decided != REFER) & (decided != OUTSIDE), np.bool_)
