"""Texture of patches in numbers: stains, binary patterns, co-occurrence, roughness by distance.

None of them changes when a patch is turned by a right angle or flipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Ints
from eosin.evaluation.features import Features

Levels = npt.NDArray[np.uint8]

#: Optical density of hematoxylin, eosin and residual (rows) in R, G, B: Ruifrok & Johnston 2001,
#: Anal Quant Cytol Histol 23(4):291-299.
STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
#: The amounts of stain that the 256 levels of ``stain_levels`` span.
_LEAST, _MOST = -0.5, 2.5
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_RADII_PX = (1, 2, 3)
_LAGS_PX = (1, 2, 4, 8)
_PAIRS_PX = (1, 3)
_GRAYS = 16
#: Neighbors in the order of a walk around the pixel, as (down, right) in units of the radius.
_RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def texture_features(patches: npt.NDArray[np.uint8]) -> Features:
    """Texture and stain of each patch, float32 [N, F], the same for all eight turns of a patch.

    Of gray, hematoxylin and eosin: mean, deviation, skewness, quantiles and roughness at four
    distances; of gray, local binary patterns at three radii; of gray and hematoxylin, statistics of
    the co-occurrence matrix at two distances.

    patches: uint8 [N, H, W, 3], RGB.

    >>> texture_features(np.zeros((2, 20, 20, 3), np.uint8)).shape
    (2, 99)
    """
    gray = gray_levels(patches)
    stains = stain_levels(patches)
    columns: list[npt.NDArray[np.floating]] = [
        *(_statistics(each) for each in (gray, *stains)),
        *(_roughness(each) for each in (gray, stains[0], stains[1])),
        *(_shares(binary_patterns(gray, radius), 10) for radius in _RADII_PX),
        *(
            haralick(co_occurrence(each // np.uint8(_GRAYS), distance, 256 // _GRAYS))
            for each in (gray, stains[0])
            for distance in _PAIRS_PX
        ),
        _together(stains[0], stains[1])[:, None],
    ]
    joined: Features = np.concatenate(columns, axis=1, dtype=np.float32)
    return joined


def gray_levels(patches: npt.NDArray[np.uint8]) -> Levels:
    """Luminance (ITU-R BT.601), rounded: uint8 [N, H, W, 3] -> uint8 [N, H, W].

    >>> gray_levels(np.full((1, 1, 1, 3), 200, np.uint8)).item()
    200
    """
    weights = np.array([299, 587, 114], np.uint32)
    gray = (patches.astype(np.uint32) @ weights + 500) // 1000
    return gray.astype(np.uint8)


def stain_levels(patches: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Amounts of hematoxylin, eosin and residual by color deconvolution: uint8 [3, N, H, W].

    Ruifrok & Johnston 2001. Amounts of -0.5 to 2.5 are spread over the levels 0 to 255.

    patches: uint8 [N, H, W, 3], RGB.

    >>> levels = stain_levels(np.array([[[[110, 90, 160], [230, 120, 200]]]], np.uint8))
    >>> bool(levels[0, 0, 0, 0] > levels[0, 0, 0, 1]), bool(levels[1, 0, 0, 1] > 43)
    (True, True)
    """
    rows = np.array(STAINS)
    unmix = np.linalg.inv(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    density = -np.log((np.arange(256) + 1) / 256)
    scale = 255 / (_MOST - _LEAST)
    # A table a color channel: each stain is a sum of three looked-up numbers.
    tables = (density[:, None, None] * unmix * scale).astype(np.float32)
    amounts = np.full((3, *patches.shape[:3]), -_LEAST * scale + 0.5, np.float32)
    for color in range(3):
        for stain in range(3):
            amounts[stain] += tables[:, color, stain][patches[..., color]]
    return np.clip(amounts, 0, 255).astype(np.uint8)


def binary_patterns(gray: Levels, radius_px: int) -> npt.NDArray[np.uint8]:
    """Local binary patterns, uniform and free of rotation: uint8 [N, H, W] -> uint8 [N, h, w].

    Eight neighbors on a square ring, h = H - 2 radius: 0 to 8 of them are at least as light as the
    pixel, in one run; 9 is any other pattern. Ojala, Pietikainen & Maenpaa 2002, IEEE TPAMI 24(7).

    >>> dot = np.zeros((1, 3, 3), np.uint8)
    >>> dot[0, 1, 1] = 9
    >>> binary_patterns(dot, 1).tolist(), binary_patterns(255 - dot, 1).tolist()
    ([[[0]]], [[[8]]])
    """
    r = radius_px
    height, width = (max(0, size - 2 * r) for size in gray.shape[1:])
    center = gray[:, r : r + height, r : r + width]
    word = np.zeros(center.shape, np.uint8)
    for bit, (down, right) in enumerate(_RING):
        y, x = r + down * r, r + right * r
        word |= (gray[:, y : y + height, x : x + width] >= center).astype(np.uint8) << np.uint8(bit)
    return _uniform()[word]


def _uniform() -> npt.NDArray[np.uint8]:
    """Code of each of the 256 patterns: the number of ones where they are in one run, else 9."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), 9).astype(np.uint8)


def co_occurrence(levels: Levels, distance_px: int, count: int) -> npt.NDArray[np.float64]:
    """How often two levels are so far apart: symmetric shares, float64 [N, count, count].

    The four directions are counted together. Haralick, Shanmugam & Dinstein 1973, IEEE SMC-3(6).

    levels: uint8 [N, H, W], each below ``count``.

    >>> co_occurrence(np.array([[[0, 0], [1, 1]]], np.uint8), 1, 2)[0].round(3).tolist()
    [[0.167, 0.333], [0.333, 0.167]]
    """
    n, cells = len(levels), count * count
    total = np.zeros(n * cells, np.float64)
    start = (np.arange(n) * cells)[:, None, None]
    for one, other in _pairs(levels, distance_px):
        if one.size:
            code = start + one.astype(np.int64) * count + other
            total += np.bincount(code.ravel(), minlength=n * cells)
    table = total.reshape(n, count, count)
    table = table + table.transpose(0, 2, 1)
    sums = table.sum(axis=(1, 2), keepdims=True)
    return np.asarray(table / np.maximum(sums, 1))


def _pairs(levels: Levels, d: int) -> Iterator[tuple[Levels, Levels]]:
    """Views of all pixels and of those d to the right, below, and on both diagonals."""
    yield levels[:, :, :-d], levels[:, :, d:]
    yield levels[:, :-d], levels[:, d:]
    yield levels[:, :-d, :-d], levels[:, d:, d:]
    yield levels[:, :-d, d:], levels[:, d:, :-d]


def haralick(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Contrast, dissimilarity, homogeneity, energy, entropy, correlation: float64 [N, 6].

    table: float64 [N, L, L], symmetric shares (``co_occurrence``). Correlation is 1 where all
    pixels have one level.

    >>> haralick(np.array([[[0.5, 0.0], [0.0, 0.5]]])).round(3).tolist()
    [[0.0, 0.0, 1.0, 0.5, 0.693, 1.0]]
    """
    level = np.arange(table.shape[1], dtype=np.float64)
    apart = level[:, None] - level
    share = table.sum(axis=2)
    mean = share @ level
    spread = share @ level**2 - mean**2
    together = np.einsum("nij,i,j->n", table, level, level, optimize=True) - mean**2
    known = spread > 1e-9
    correlation = np.where(known, together / np.where(known, spread, 1), 1)
    weights = np.stack([apart**2, np.abs(apart), 1 / (1 + apart**2)])
    flat = table.reshape(len(table), len(level) ** 2)
    entropy = -(flat * np.log(np.where(flat > 0, flat, 1))).sum(axis=1)
    first = flat @ weights.reshape(3, -1).T
    return np.column_stack([first, (flat**2).sum(axis=1), entropy, correlation])


def _statistics(levels: Levels) -> Features:
    """Mean, deviation, skewness and quantiles of uint8 [N, H, W], from its histogram: [N, 8]."""
    shares = _shares(levels, 256)
    level = np.arange(256, dtype=np.float64)
    mean = shares @ level
    second, third = (shares @ level**power for power in (2, 3))
    deviation = np.sqrt(np.maximum(second - mean**2, 0))
    skew = (third - 3 * mean * second + 2 * mean**3) / np.maximum(deviation, 1) ** 3
    below = np.cumsum(shares, axis=1)
    # The first level that as many pixels reach; a hair less, for sums are rounded.
    quantiles = [(below < q - 1e-9).sum(axis=1) for q in _QUANTILES]
    return np.column_stack([mean, deviation, skew, *quantiles]).astype(np.float32)


def _roughness(levels: Levels) -> Features:
    """Root mean square of the difference of pixels 1, 2, 4 and 8 px apart: float32 [N, 4]."""
    signed = levels.astype(np.int16)
    columns = []
    for lag in _LAGS_PX:
        squares, count = np.zeros(len(levels)), 0
        for step in (signed[:, :, lag:] - signed[:, :, :-lag], signed[:, lag:] - signed[:, :-lag]):
            squares += np.square(step, dtype=np.float32).sum(axis=(1, 2), dtype=np.float64)
            count += step[0].size if len(step) else 0
        columns.append(np.sqrt(squares / max(count, 1)))
    return np.column_stack(columns).astype(np.float32)


def _together(one: Levels, other: Levels) -> npt.NDArray[np.float64]:
    """Correlation over the pixels of each patch: uint8 [N, H, W] twice -> float64 [N]."""
    a, b = (
        each.reshape(len(each), np.prod(each.shape[1:])).astype(np.float64) for each in (one, other)
    )
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.maximum(norm, 1e-9))


def _shares(codes: Levels, count: int) -> npt.NDArray[np.float64]:
    """Share of each code among the pixels of a patch: uint8 [N, h, w] -> float64 [N, count]."""
    n, pixels = len(codes), codes[0].size if len(codes) else 0
    offset: Ints = (np.arange(n) * count)[:, None, None]
    counts = np.bincount((codes + offset).ravel(), minlength=n * count)
    return np.asarray(counts.reshape(n, count) / max(pixels, 1))
