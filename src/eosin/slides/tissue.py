"""Where the tissue of a slide is, and what else lies on the glass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: What a pixel of a mask can be. Everything but GLASS and TISSUE is a flaw.
GLASS, TISSUE, PEN, FOLD, BLUR, BUBBLE = range(6)
NAMES = ("glass", "tissue", "pen", "fold", "out of focus", "bubble")


@dataclass(frozen=True)
class Tissue:
    """A mask of a slide: uint8 [h, w] with the numbers above, stretched over the whole slide."""

    labels: npt.NDArray[np.uint8]
    #: Micrometers a pixel of the mask, along x and y; None where the slide has no scale.
    mpp: tuple[float, float] | None
    #: How it was made: settings, or the file that it was read from.
    source: str
