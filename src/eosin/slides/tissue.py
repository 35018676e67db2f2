"""Where the tissue of a slide is, and what else lies on the glass."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.errors import UserError, closest

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: What a pixel of a mask can be. Everything but GLASS and TISSUE is a flaw.
GLASS, TISSUE, PEN, FOLD, BLUR, BUBBLE = range(6)
NAMES = ("glass", "tissue", "pen", "fold", "out of focus", "bubble")
#: Every flaw, and the word by which ``--qc`` has it.
FLAWS = {"pen": PEN, "fold": FOLD, "focus": BLUR, "bubble": BUBBLE}
#: Colors of the numbers above in pictures and in QuPath, apart for every kind of color vision.
COLORS = ("#ffffff", "#1b8a6b", "#0f5c9c", "#d1602a", "#8a4f9e", "#b58900")


@dataclass(frozen=True)
class Tissue:
    """A mask of a slide: uint8 [h, w] with the numbers above, stretched over the whole slide.

    >>> found = Tissue(np.array([[TISSUE, PEN], [GLASS, GLASS]], np.uint8), (10.0, 10.0), "drawn")
    >>> found.areas_mm2()["pen"], found.used().tolist()
    (0.0001, [[True, False], [False, False]])
    """

    labels: Labels
    #: Micrometers a pixel of the mask, along x and y; None where the slide has no scale.
    mpp: tuple[float, float] | None
    #: How it was made: settings, or the file that it was read from.
    source: str
    #: What a reader of the results should know, a sentence each.
    notes: tuple[str, ...] = ()

    def used(self, keep: Collection[int] = (TISSUE,)) -> Mask:
        """What is looked at, bool [h, w]: the places with one of the numbers in ``keep``."""
        return np.isin(self.labels, list(keep))

    def shares(self) -> dict[str, float]:
        """The share of the slide that each kind covers, by its name."""
        counts = np.bincount(self.labels.ravel(), minlength=len(NAMES))
        return {name: float(n) / self.labels.size for name, n in zip(NAMES, counts, strict=True)}

    def areas_mm2(self) -> dict[str, float]:
        """The area of each kind in mm2; empty where the slide has no scale."""
        if self.mpp is None:
            return {}
        whole = self.labels.size * self.mpp[0] * self.mpp[1] / 1e6
        return {name: share * whole for name, share in self.shares().items()}

    def cover(
        self, size_px: tuple[int, int], x: Ints, y: Ints, field_px: tuple[float, float],
        keep: Collection[int] = (TISSUE,),
    ) -> Floats:  # fmt: skip
        """The share of boxes on the slide that is used: float64 [n], exact to the mask's pixels.

        size_px: width and height of the slide; x, y: upper left corners int64 [n] and field_px:
        width and height of the boxes, all in level-0 pixels; keep: as ``used`` has it. What is
        outside of the slide is glass.

        >>> found = Tissue(np.array([[1, 0]], np.uint8), None, "drawn")
        >>> found.cover((20, 10), np.array([0, 5]), np.array([0, 0]), (10, 10)).tolist()
        [1.0, 0.5]
        """
        height, width = self.labels.shape
        summed = np.zeros((height + 1, width + 1))
        np.cumsum(self.used(keep), axis=0, out=summed[1:, 1:])
        np.cumsum(summed, axis=1, out=summed)
        scale = width / size_px[0], height / size_px[1]
        left, top = x * scale[0], y * scale[1]
        wide, tall = field_px[0] * scale[0], field_px[1] * scale[1]
        total = (
            _at(summed, top + tall, left + wide) - _at(summed, top, left + wide)
            - _at(summed, top + tall, left) + _at(summed, top, left)
        )  # fmt: skip
        return np.asarray(np.clip(total / (wide * tall), 0, 1))


def _at(summed: Floats, y: Floats, x: Floats) -> Floats:
    """Sums up to points between pixels, which a linear interpolation gives exactly."""
    y, x = np.clip(y, 0, summed.shape[0] - 1), np.clip(x, 0, summed.shape[1] - 1)
    row = np.minimum(y.astype(np.int64), summed.shape[0] - 2)
    column = np.minimum(x.astype(np.int64), summed.shape[1] - 2)
    down, across = y - row, x - column
    upper = summed[row, column] * (1 - across) + summed[row, column + 1] * across
    lower = summed[row + 1, column] * (1 - across) + summed[row + 1, column + 1] * across
    return np.asarray(upper * (1 - down) + lower * down)


def parse_qc(text: str) -> frozenset[int]:
    """The numbers that count as tissue by ``--qc``, which has the flaws that are left out.

    text: "all", "none", or some of ``FLAWS`` with commas. Raises UserError for another word.

    >>> sorted(parse_qc("all")), sorted(parse_qc("none")), sorted(parse_qc("pen,fold"))
    ([1], [1, 2, 3, 4, 5], [1, 4, 5])
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == ["all"] or words == ["none"]:
        words = list(FLAWS) if words == ["all"] else []
    for word in words:
        if word not in FLAWS:
            known = (*FLAWS, "all", "none")
            raise UserError(f"--qc {word}: {closest(word, known)} (use {', '.join(known)})")
    return frozenset({TISSUE, *FLAWS.values()} - {FLAWS[word] for word in words})
