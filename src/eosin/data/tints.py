"""What every picture of a slide shares: colors of classes and probabilities, tints, scale bars."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eosin.data.mosaic import EMPTY, Mosaic
from eosin.data.store import PatchStore

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: After Okabe & Ito 2008, "Color universal design"; the second is the one that must catch the eye.
CLASS_COLORS = (
    "#0f5c9c", "#d1602a", "#1b8a6b", "#8a4f9e", "#b58900", "#4fa3d1", "#4a4a4a", "#d78fb5",
)  # fmt: skip
#: The colors of the two classes at the ends, so that a heatmap reads as the map of labels does.
PROBABILITY_COLORS = (CLASS_COLORS[0], "#f4f0ea", CLASS_COLORS[1])

_LENGTHS_UM = (10_000, 5000, 2000, 1000, 500, 200, 100, 50, 20, 10)


def rgb(color: str) -> tuple[int, int, int]:
    """The parts of ``#rrggbb``, 0 to 255 each.

    >>> rgb("#0f5c9c")
    (15, 92, 156)
    """
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def gray_name(gray: int) -> str:
    """``#rrggbb`` of a gray from 0 to 255.

    >>> gray_name(240)
    '#f0f0f0'
    """
    return f"#{gray:02x}{gray:02x}{gray:02x}"


def label_colors(labels: npt.NDArray[np.integer]) -> Floats:
    """The color of each label's class: int [n] -> float64 [n, 3], 0 to 255."""
    table = np.array([rgb(color) for color in CLASS_COLORS], np.float64)
    return np.asarray(table[np.asarray(labels) % len(table)])


def probability_colors(probabilities: npt.ArrayLike) -> Floats:
    """The heatmap's color of each probability: float [n], 0 to 1 -> float64 [n, 3], 0 to 255.

    NaN gets the gray of a place without a patch.

    >>> probability_colors([0.0, float("nan")]).tolist()
    [[15.0, 92.0, 156.0], [240.0, 240.0, 240.0]]
    """
    values = np.asarray(probabilities, np.float64)
    stops = np.array([rgb(color) for color in PROBABILITY_COLORS], np.float64)
    at = np.linspace(0, 1, len(stops))
    known = np.nan_to_num(values)
    colors = np.stack([np.interp(known, at, stops[:, k]) for k in range(3)], axis=-1)
    colors[np.isnan(values)] = EMPTY
    return colors


def painted(
    mosaic: Mosaic, colors: Floats, strength: float | Floats, *, depth: float = 0.75
) -> Image:
    """The mosaic in light gray with every patch tinted.

    colors: float [n, 3], 0 to 255; strength: 0 to 1, one for all or float [n]; depth: 0 to 1, how
    dark the gray below the tints is.
    """
    gray = mosaic.image.mean(axis=2, keepdims=True)
    light = 255 - depth * (255 - gray)
    out = np.full(mosaic.image.shape, float(EMPTY))
    strengths = np.broadcast_to(np.asarray(strength, np.float64), len(colors))
    for (x0, y0, x1, y1), color, share in zip(
        mosaic.boxes.tolist(), colors, strengths.tolist(), strict=True
    ):
        out[y0:y1, x0:x1] = (1 - share) * light[y0:y1, x0:x1] + share * color
    return np.asarray(np.rint(out), np.uint8)


def scale_bar(
    store: PatchStore, mosaic: Mosaic, *, most: float = 1 / 3
) -> tuple[float, str] | None:
    """A round length for a scale bar: (its pixels in the mosaic, its words).

    most: the longest bar, as a share of the mosaic's width. None where the resolution is unknown,
    or no round length fits.
    """
    if store.mpp is None or store.mpp <= 0:
        return None
    return bar_of(store.mpp * mosaic.reduced, mosaic.image.shape[1], most=most)


def bar_of(um_a_px: float, width_px: float, *, most: float = 1 / 3) -> tuple[float, str] | None:
    """``scale_bar`` for a picture of this width, with as many micrometers a pixel.

    >>> bar_of(10.0, 900)
    (200.0, '2 mm')
    """
    longest = width_px * most
    length = next((um for um in _LENGTHS_UM if um / um_a_px <= longest), None)
    if length is None:
        return None
    return length / um_a_px, f"{length // 1000} mm" if length >= 1000 else f"{length} µm"


def shortened(text: str, most: int = 16) -> str:
    """Text that can be drawn on one line of ``most`` letters.

    >>> shortened("a\\nb"), shortened("abcdef", 4)
    ('a?b', 'abc…')
    """
    # Two letters of no width belong to the spelling of Persian and of Indian languages.
    shown = "".join(c if c.isprintable() or c in "\u200c\u200d" else "?" for c in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
