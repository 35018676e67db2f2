"""A case put together from its patches: a slide without a slide file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.data.grid import Rows, content_sizes, field_px, positions, slide_numbers, step_px
from eosin.data.store import PatchStore
from eosin.errors import StoreError

#: Largest picture, in pixels, and largest map, in cells; wilder coordinates are drawn smaller.
MAX_PX = 40_000_000
_MAX_CELLS = 4_000_000
#: The gray of the slide where no patch is.
EMPTY = 240


@dataclass(frozen=True)
class Mosaic:
    """A picture made of patches, and where it lies on the slide."""

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


@dataclass(frozen=True)
class Cells:
    """The grid of a value map: the cell of every patch."""

    #: int64 [n]: column and row of each patch's cell.
    columns: Rows
    lines: Rows
    #: (lines, columns) of the whole map.
    shape: tuple[int, int]
    #: Width and height of a cell in level-0 pixels.
    cell_px: int


def mosaic_image(store: PatchStore, rows: Rows, *, max_px: int = MAX_PX) -> Mosaic:
    """Draw the patches of one slide where they lie.

    rows: int64 [n], rows of the store; those without a position are left away.
    max_px: the picture is drawn smaller where it would have more pixels than this.
    Raises StoreError when no row has a position, or the rows lie on more than one slide.
    """
    import cv2

    rows, x, y = _placed(store, rows)
    field = field_px(store)
    height, width = store.patch_size
    natural = max(height, width) / field
    left, top = int(x.min()), int(y.min())
    full = ((int(x.max()) - left + field) * natural, (int(y.max()) - top + field) * natural)
    reduced = max(1.0, (full[0] * full[1] / max_px) ** 0.5, full[0] / 32000, full[1] / 32000)
    scale = natural / reduced
    heights, widths = content_sizes(store, rows)
    low = np.stack([(x - left) * scale, (y - top) * scale], axis=1)
    size = np.stack([widths, heights], axis=1) / reduced
    begin = np.floor(low + 1e-6).astype(np.int64)
    # A patch keeps at least one pixel, however far the picture is reduced.
    end = np.maximum(begin + 1, np.rint(low + size).astype(np.int64))
    right, bottom = end.max(axis=0)
    image = np.full((int(bottom), int(right), 3), EMPTY, np.uint8)
    for row, tall, wide, (x0, y0), (x1, y1) in zip(rows, heights, widths, begin, end, strict=True):
        patch = store.patches[row, :tall, :wide]
        if patch.shape[:2] != (y1 - y0, x1 - x0):
            whole = np.ascontiguousarray(patch)
            size_px = (int(x1 - x0), int(y1 - y0))
            image[y0:y1, x0:x1] = cv2.resize(whole, size_px, interpolation=cv2.INTER_AREA)
        else:
            image[y0:y1, x0:x1] = patch
    return Mosaic(image, left, top, scale, rows, np.hstack([begin, end]), reduced)


def mosaic_plain(store: PatchStore, rows: Rows) -> npt.NDArray[np.uint8]:
    """What ``mosaic_image`` draws where nothing is reduced, patch by patch: the reference."""
    x, y = store.index["x"], store.index["y"]
    left, top = min(x[int(row)] for row in rows), min(y[int(row)] for row in rows)
    boxes = []
    for row in rows.tolist():
        tall, wide = store.index["height"][row], store.index["width"][row]
        boxes.append((row, y[row] - top, x[row] - left, tall, wide))
    shape = (max(b[1] + b[3] for b in boxes), max(b[2] + b[4] for b in boxes), 3)
    image = np.full(shape, EMPTY, np.uint8)
    for row, down, across, tall, wide in boxes:
        image[down : down + tall, across : across + wide] = store.patches[row, :tall, :wide]
    return image


def cells(store: PatchStore, rows: Rows) -> tuple[Rows, Cells]:
    """The cell of every patch on the grid of its slide: (rows with a position, their cells).

    A cell is as wide as the grid's step. Where positions follow no grid it is as wide as a patch,
    and where the slide is absurdly wide, wider still.
    Raises StoreError as ``mosaic_image`` does.
    """
    rows, x, y = _placed(store, rows)
    field = field_px(store)
    step = step_px(np.zeros(len(rows), np.int64), x, y)
    cell = step if field / 8 <= step <= field else field
    left, top = int(x.min()), int(y.min())
    while True:
        shape = ((int(y.max()) - top) // cell + 1, (int(x.max()) - left) // cell + 1)
        if shape[0] * shape[1] <= _MAX_CELLS:
            break
        cell *= 2
    return rows, Cells((x - left) // cell, (y - top) // cell, shape, cell)


def value_map(
    store: PatchStore, rows: Rows, values: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """A value a patch as a map of its slide: float64 [lines, columns], NaN where no patch is.

    rows: int64 [n]; values: float [n]. Patches that share a cell are averaged.
    Raises StoreError as ``mosaic_image`` does, ValueError when the lengths differ.
    """
    if len(rows) != len(values):
        raise ValueError(f"{len(rows)} rows but {len(values)} values")
    known = positions(store)[2][rows]
    _, grid = cells(store, rows)
    flat = grid.lines * grid.shape[1] + grid.columns
    size = grid.shape[0] * grid.shape[1]
    count = np.bincount(flat, minlength=size)
    total = np.bincount(flat, weights=np.asarray(values, np.float64)[known], minlength=size)
    out = np.full(size, np.nan)
    out[count > 0] = total[count > 0] / count[count > 0]
    return out.reshape(grid.shape)


def _placed(store: PatchStore, rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Rows with a position and their x and y: int64 [n] each."""
    x, y, known = positions(store)
    placed = np.asarray(rows, np.int64)[known[rows]]
    if not len(placed):
        raise StoreError(
            f"positions are unknown in {store.path}: the source of these {len(rows):,} patches "
            "gives no x and y, so they cannot be put together"
        )
    slides = np.unique(slide_numbers(store)[placed])
    if len(slides) > 1:
        raise StoreError(
            f"{len(slides)} slides cannot be drawn as one; choose the rows of one slide"
        )
    return placed, x[placed], y[placed]
