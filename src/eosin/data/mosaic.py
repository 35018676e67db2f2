"""A slide assembled from its patches, without a slide file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.data.grid import Rows, content_sizes, field_px, positions, slide_numbers
from eosin.data.store import PatchStore
from eosin.errors import StoreError

#: Largest picture, in pixels; more distant coordinates are drawn smaller.
MAX_PX = 40_000_000
#: The gray of the slide where there is no patch.
EMPTY = 240


@dataclass(frozen=True)
class Mosaic:
    """A picture made of patches, and its place on the slide."""

    #: uint8 [H, W, 3].
    image: npt.NDArray[np.uint8]
    #: Level-0 pixels of the picture's top-left corner.
    left_px: int
    top_px: int
    #: Pixels of the picture a level-0 pixel.
    scale: float
    #: Rows of the store that were drawn: int64 [n].
    rows: Rows
    #: Each drawn patch's box in the picture: int64 [n, 4], left, top, right, bottom in pixels.
    boxes: Rows
    #: How often the picture was made smaller to stay under ``MAX_PX`` (1.0: not at all).
    reduced: float


def mosaic_image(store: PatchStore, rows: Rows, *, max_px: int = MAX_PX) -> Mosaic:
    """Draw the patches of one slide at their positions.

    rows: int64 [n], rows of the store; those without a position are left out.
    max_px: the picture is drawn smaller if it would have more pixels than this.
    Raises StoreError when no row has a position, or the rows are from more than one slide.
    """
    import cv2

    rows, x, y = _placed(store, rows)
    field = field_px(store, rows)
    height, width = store.patch_size
    natural = max(height, width) / field
    left, top = int(x.min()), int(y.min())
    full = ((int(x.max()) - left + field) * natural, (int(y.max()) - top + field) * natural)
    reduced = max(1.0, (full[0] * full[1] / max_px) ** 0.5, full[0] / 32000, full[1] / 32000)
    scale = natural / reduced
    heights, widths = content_sizes(store, rows)
    low = np.stack([(x - left) * scale, (y - top) * scale], axis=1)
    size = np.stack([widths, heights], axis=1) / reduced
    start = np.floor(low + 1e-6).astype(np.int64)
    # A patch keeps at least one pixel, however far the picture is reduced.
    end = np.maximum(start + 1, np.rint(low + size).astype(np.int64))
    right, bottom = end.max(axis=0)
    image = np.full((int(bottom), int(right), 3), EMPTY, np.uint8)
    for row, tall, wide, (x0, y0), (x1, y1) in zip(rows, heights, widths, start, end, strict=True):
        patch = store.patches[row, :tall, :wide]
        if patch.shape[:2] != (y1 - y0, x1 - x0):
            size_px = (int(x1 - x0), int(y1 - y0))
            patch = np.ascontiguousarray(patch)
            patch = np.asarray(cv2.resize(patch, size_px, interpolation=cv2.INTER_AREA), np.uint8)
        image[y0:y1, x0:x1] = patch
    return Mosaic(image, left, top, scale, rows, np.hstack([start, end]), reduced)


def _placed(store: PatchStore, rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Rows with a position and their x and y: int64 [n] each."""
    x, y, known = positions(store)
    placed = np.asarray(rows, np.int64)[known[rows]]
    if not len(placed):
        raise StoreError(
            f"positions are unknown in {store.path}: the source of these {len(rows):,} patches "
            "gives no x and y, so no picture of the slide can be drawn"
        )
    slides = np.unique(slide_numbers(store)[placed])
    if len(slides) > 1:
        raise StoreError(
            f"{len(slides)} slides cannot be drawn as one; choose the rows of one slide"
        )
    return placed, x[placed], y[placed]
