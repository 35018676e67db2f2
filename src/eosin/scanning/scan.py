"""Scan: a slide with what a model answered for the patches of a grid on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from eosin.records.decision import Decision
from eosin.slides.slide import Pixels, Slide
from eosin.slides.tissue import Tissue

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """Patches of one size at whole steps from the upper left corner of the slide's bounds.

    Lengths are in level-0 pixels, along x and y, and exact.
    """

    #: Place of cell (0, 0).
    origin_px: tuple[int, int]
    #: From one cell to the next, and the field that a patch shows.
    step_px: tuple[Fraction, Fraction]
    field_px: tuple[Fraction, Fraction]
    #: Cells of the whole grid.
    columns: int
    rows: int
    #: The cells that are answered, by row and then column: int64 [n] each.
    column: Ints
    row: Ints
    #: Width and height of a patch in the model's pixels.
    patch_px: tuple[int, int]
    #: Micrometers a pixel of the model; None where the slide has no scale (a mosaic).
    mpp: float | None

    def __len__(self) -> int:
        return len(self.column)

    def corners(self) -> tuple[Ints, Ints]:
        """Upper left corners of the cells in level-0 pixels, nearest whole ones: int64 [n] each."""
        return tuple(  # type: ignore[return-value]
            origin + _rounded(numbers, step)
            for origin, numbers, step in zip(
                self.origin_px, (self.column, self.row), self.step_px, strict=True
            )
        )


def _rounded(numbers: Ints, step: Fraction) -> Ints:
    """numbers * step, to the nearest whole number: exact while they fit 63 bits."""
    step = step.limit_denominator(1 << 20)
    return (numbers * step.numerator * 2 + step.denominator) // (2 * step.denominator)


@dataclass(frozen=True)
class Scan:
    """All that the files of a slide are made of."""

    slide: Slide
    grid: Grid
    decision: Decision
    #: float32 [n, K]; float32 [n] or None without an out-of-scope check.
    probabilities: Floats
    distances: Floats | None
    #: Where the tissue is, with the reasons of what was left out.
    tissue: Tissue
    #: The whole slide, uint8 [h, w, 3], for pictures.
    thumbnail: Pixels
    #: What was asked for, the model, digests, seconds: kept in NAME.json as it is.
    settings: Mapping[str, object] = field(default_factory=dict)
    #: Class numbers of the labels, int64 [n], where they are known (a case of a store).
    truth: Ints | None = None

    @property
    def decided(self) -> Ints:
        """Class numbers, REFER or OUTSIDE: int64 [n]."""
        return self.decision.decide(self.probabilities, self.distances)
