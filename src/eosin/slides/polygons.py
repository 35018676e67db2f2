"""Between masks and polygons, exactly: outlines of pixels, and the pixels inside an outline.

Both are about corners: a pixel (column, row) is the square from there to (column + 1, row + 1), and
it is inside where its middle is. So the outline of a mask gives the same mask again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eosin.errors import needing
from eosin.slides.tissue import Mask

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_KINDS = ("Polygon", "MultiPolygon")


def outline(mask: Mask, scale: tuple[float, float] = (1.0, 1.0)) -> BaseGeometry:
    """A polygon or multi-polygon with holes around the pixels of a mask, bool [h, w].

    scale: what a pixel is wide and high in the polygon. Empty for an empty mask.

    >>> outline(np.array([[False, True, True]]), (4, 8)).bounds
    (4.0, 0.0, 12.0, 8.0)
    """
    with needing("slides", "writing outlines"):
        import shapely

    # Runs of pixels in a row.
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, left = np.nonzero(edges == 1)
    right = np.nonzero(edges == -1)[1]
    united = shapely.union_all(
        shapely.box(left * scale[0], row * scale[1], right * scale[0], (row + 1) * scale[1])
    )
    return valid(shapely.simplify(united, 0))


def valid(shape: BaseGeometry) -> BaseGeometry:
    """A valid polygon or multi-polygon with all of the shape that has an area; may be empty.

    A ring that crosses itself keeps all of its parts.
    """
    import shapely

    made = shapely.make_valid(shape)
    if made.geom_type in _KINDS:
        return made
    parts = [part for part in shapely.get_parts(made) if part.geom_type in _KINDS]
    return shapely.union_all(parts) if parts else shapely.MultiPolygon()


def inside(
    shape: BaseGeometry, size: tuple[int, int], scale: tuple[float, float] = (1.0, 1.0)
) -> Mask:
    """The pixels whose middle is inside a polygon or multi-polygon: bool [h, w].

    size: height and width of the mask; scale: as in ``outline``.

    >>> from shapely import box
    >>> inside(box(0, 0, 2, 1), (2, 3)).tolist()
    [[True, True, False], [False, False, False]]
    """
    import shapely

    height, width = size
    crossings = np.zeros((height, width + 1), np.uint8)
    for ring in shapely.get_rings(shapely.get_parts(shape)):
        points = shapely.get_coordinates(ring) / np.asarray(scale)
        _cross(crossings, points[:-1], points[1:])
    # An odd number of borders to the left is inside.
    return np.asarray(np.bitwise_xor.accumulate(crossings, axis=1)[:, :width].astype(bool))


def _cross(
    crossings: npt.NDArray[np.uint8], start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> None:
    """Turn over the first pixel right of each line in each row whose middle the line crosses.

    start, end: float64 [n, 2], x and y in pixels.
    """
    height, width = crossings.shape
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first = np.clip(np.ceil(low - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(high - 0.5), 0, height).astype(np.int64)
    count = last - first
    line = np.repeat(np.arange(len(start)), count)
    row = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count) + first[line]
    along = (row + 0.5 - start[line, 1]) / (end[line, 1] - start[line, 1])
    x = start[line, 0] + along * (end[line, 0] - start[line, 0])
    column = np.clip(np.ceil(x - 0.5), 0, width - 1).astype(np.int64)
    np.bitwise_xor.at(crossings, (row, column), 1)
