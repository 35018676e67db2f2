"""Numbers of an explanation map, and the map laid over its patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from eosin.figures.panels import resized

Method = Literal["grad-cam", "occlusion"]
METHODS: tuple[Method, ...] = ("grad-cam", "occlusion")
CAVEAT = "Maps show what the score depends on, not where tumor is."
Maps = npt.NDArray[np.float32]

#: The line around what matters most is drawn at this share of the map's maximum.
LEVEL = 0.5
#: Light line in a dark casing: apart from pink, purple and white for every kind of color vision.
_LINE, _CASING = (255, 221, 51), (20, 24, 36)


def scaled_maps(maps: Maps) -> Maps:
    """Positive parts, each map divided by its own maximum; a map without one is 0.

    maps: float [N, H, W].

    >>> scaled_maps(np.array([[[-1.0, 2.0, 4.0]], [[-3.0, -1.0, 0.0]]], np.float32)).tolist()
    [[[0.0, 0.5, 1.0]], [[0.0, 0.0, 0.0]]]
    """
    positive = np.maximum(maps, 0.0)
    highest = positive.max((1, 2), keepdims=True, initial=0.0)
    out: Maps = np.divide(positive, highest, out=np.zeros_like(positive), where=highest > 0)
    return out


def why_empty(values: npt.NDArray[np.floating], method: Method) -> str:
    """A sentence for a map that shows nothing, or "": float [H, W], raw or scaled.

    >>> why_empty(np.zeros((2, 2)), "occlusion")
    'the map is empty: covering any part leaves the score unchanged'
    """
    if values.size and values.max() > 0:
        return ""
    if method == "grad-cam":
        return "the map is empty: no part of the last feature map raises the score"
    if values.size and values.min() < 0:
        return "the map is empty: covering any part raises the score or leaves it unchanged"
    return "the map is empty: covering any part leaves the score unchanged"


def overlay(
    patch: npt.NDArray[np.uint8], values: npt.NDArray[np.floating], *, side_px: int = 240
) -> npt.NDArray[np.uint8]:
    """The patch in its own colors where the map is high, faded to pale gray where it is low.

    patch: uint8 [H, W, 3]; values: float [H, W], divided here by its maximum, negative ones as 0.
    Returns uint8 [S, S, 3] with S = side_px (a patch that is not square is centered on white). A
    yellow line in a dark casing is drawn where the map reaches half of its maximum; the map is
    smoothed by a fortieth of the side, so that occlusion windows leave no steps. Nuclei stay
    visible everywhere, as lightness is mostly kept where color is not. An empty map draws no line.
    Raises ValueError when the sizes differ.

    >>> overlay(np.zeros((50, 50, 3), np.uint8), np.eye(50), side_px=200).shape
    (200, 200, 3)
    """
    import cv2

    if patch.shape[:2] != values.shape:
        raise ValueError(f"a patch of {patch.shape[:2]} pixels but a map of {values.shape}")
    image = enlarged(patch, side_px)
    height, width = image.shape[:2]
    scaled = scaled_maps(np.asarray(values, np.float32)[None])[0]
    weight = cv2.resize(scaled, (width, height), interpolation=cv2.INTER_LINEAR)
    weight = cv2.GaussianBlur(weight, (0, 0), side_px / 40, borderType=cv2.BORDER_REPLICATE)
    weight = (weight / max(float(weight.max()), 1e-12)).clip(0, 1)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    # Pale but not flat: dark nuclei remain the darkest.
    pale = 255 - 0.75 * (255 - gray)
    # Full color from the line upward, so that what is inside it can be read as on the slide.
    share = (weight / LEVEL).clip(0, 1)[..., None]
    drawn = np.rint(share * image + (1 - share) * pale).astype(np.uint8)
    if scaled.max() > 0:
        above = (weight >= LEVEL).astype(np.uint8)
        lines, _ = cv2.findContours(above, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        thin = max(1, round(side_px / 120))
        cv2.drawContours(drawn, lines, -1, _CASING, thickness=3 * thin, lineType=cv2.LINE_AA)
        cv2.drawContours(drawn, lines, -1, _LINE, thickness=thin, lineType=cv2.LINE_AA)
    return on_white(drawn, side_px)


def enlarged(patch: npt.NDArray[np.uint8], side_px: int) -> npt.NDArray[np.uint8]:
    """The patch with its longer side at side_px: smooth upward, averaged downward."""
    return resized(np.ascontiguousarray(patch), side_px / max(patch.shape[:2]))


def on_white(image: npt.NDArray[np.uint8], side_px: int) -> npt.NDArray[np.uint8]:
    """The image in the middle of a white square: uint8 [side_px, side_px, 3]."""
    height, width = image.shape[:2]
    square = np.full((side_px, side_px, 3), 255, np.uint8)
    top, left = (side_px - height) // 2, (side_px - width) // 2
    square[top : top + height, left : left + width] = image
    return square


@dataclass(frozen=True)
class MapPlace:
    """Where a map is strong, in pixels: x is the column, y the row, 0 the first one."""

    #: The highest pixel; of equal ones the mean position.
    peak: tuple[float, float] | None
    #: The mean position, weighted by the map.
    centroid: tuple[float, float] | None
    #: Share of the map inside the central half of both sides; 0.25 for an even map.
    central_share: float | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; null where the map is empty."""
        peak, centroid = (
            None if at is None else {"x": at[0], "y": at[1]} for at in (self.peak, self.centroid)
        )
        return {"peak": peak, "centroid": centroid, "central_share": self.central_share}


def map_place(values: npt.NDArray[np.floating], size: tuple[int, int] | None = None) -> MapPlace:
    """Peak, centroid and central share of one map: float [H, W]; its positive part counts.

    size: (height_px, width_px) of the image that was resized to the map's size; the place is then
    in pixels of that image.

    >>> spot = np.zeros((8, 8))
    >>> spot[2, 5] = 1
    >>> map_place(spot)
    MapPlace(peak=(5.0, 2.0), centroid=(5.0, 2.0), central_share=1.0)
    >>> map_place(spot, (80, 8)).peak
    (5.0, 24.5)
    """
    positive = np.maximum(np.asarray(values, np.float64), 0.0)
    total = positive.sum()
    if not total > 0:
        return MapPlace(None, None, None)
    height, width = positive.shape
    tall, wide = size or (height, width)

    def place(column: float, row: float) -> tuple[float, float]:
        return (column + 0.5) * wide / width - 0.5, (row + 0.5) * tall / height - 0.5

    highest = np.argwhere(positive == positive.max()).mean(0)
    column = float(positive.sum(0) @ np.arange(width) / total)
    row = float(positive.sum(1) @ np.arange(height) / total)
    inside = np.outer(_central(height), _central(width))
    return MapPlace(
        place(float(highest[1]), float(highest[0])),
        place(column, row),
        float((positive * inside).sum() / total),
    )


def _central(side: int) -> npt.NDArray[np.float64]:
    """How much of each pixel is in the central half of a side: float [side]."""
    left = np.arange(side)
    inside = np.minimum(left + 1, 0.75 * side) - np.maximum(left, 0.25 * side)
    return np.asarray(np.clip(inside, 0.0, 1.0), np.float64)
