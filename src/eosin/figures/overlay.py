"""A slide beside its mask: every kind in its own color, with areas in the legend."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eosin.data.tints import Image, bar_of, rgb
from eosin.figures.panels import Key, Panel, compose, headed
from eosin.folders import whole_file

#: How strongly a kind's color lies over the gray slide.
_TINT = 0.55


@dataclass(frozen=True)
class Shown:
    """One kind of a mask in a picture."""

    number: int
    color: str
    #: Words of the legend.
    text: str


def draw_mask(
    path: str | os.PathLike[str], image: Image, labels: npt.NDArray[np.uint8],
    kinds: Sequence[Shown], *, um: float | None, title: str, subtitle: str,
) -> Path:  # fmt: skip
    """Write a slide beside its mask as PNG; returns the path.

    image: the slide, uint8 [h, w, 3]; labels: uint8 of any size, stretched over it; kinds: what is
    colored; um: micrometers a pixel of the image, None where unknown. Raises DiskError where the
    disk refuses it.
    """
    import cv2
    from PIL import Image as Pillow

    height, width = image.shape[:2]
    stretched = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
    bar = bar_of(um, width) if um else None
    keys = [Key(kind.color, kind.text) for kind in kinds]
    panels = [
        Panel("Slide", image, bar=bar),
        Panel("Tissue and flaws", _tinted(image, np.asarray(stretched, np.uint8), kinds), keys),
    ]
    page = Pillow.fromarray(headed(compose(panels), title, subtitle))
    with whole_file(path) as temporary:
        page.save(temporary, "PNG")
    return Path(path)


def _tinted(image: Image, labels: npt.NDArray[np.uint8], kinds: Sequence[Shown]) -> Image:
    """The slide in gray with the color of its kind over each place, uint8 [h, w, 3]."""
    out = image.copy()
    gray = image.mean(axis=2, dtype=np.float32)
    for kind in kinds:
        place = labels == kind.number
        tint = np.asarray(rgb(kind.color), np.float32)
        mixed = (1 - _TINT) * (90 + 0.65 * gray[place])[:, None] + _TINT * tint
        out[place] = np.rint(mixed).astype(np.uint8)
    return out
