"""Patches in numbers without learning: color histograms, small pictures; read in blocks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from eosin.cores import usable_cores
from eosin.evaluation.definitions import Ints

Features = npt.NDArray[np.float32]
Maker = Callable[[npt.NDArray[np.uint8]], Features]

BLOCK = 512


class Patches(Protocol):
    """uint8 [N, H, W, 3]: an array, a memory map, or anything that gives blocks like one."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> Any: ...


COLOR_BINS = 16
SMALL_SIDE_PX = 7


def color_features(patches: npt.NDArray[np.uint8]) -> Features:
    """Histograms (16 bins, square root of shares), means and deviations of R, G, B, H, S, V.

    patches: uint8 [N, H, W, 3], RGB. Returns float32 [N, 108].

    >>> color_features(np.zeros((2, 4, 4, 3), np.uint8)).shape
    (2, 108)
    """
    import cv2

    n, height, width, _ = patches.shape
    # OpenCV sees one tall image: a call a block instead of a call a patch.
    tall = np.ascontiguousarray(patches).reshape(n * height, width, 3)
    hsv = cv2.cvtColor(tall, cv2.COLOR_RGB2HSV_FULL).reshape(n, height, width, 3)
    counts = np.empty((n, 6, 256), np.float32)
    for row, pair in enumerate(zip(tall.reshape(n, height, width, 3), hsv, strict=True)):
        for channel in range(6):
            hist = cv2.calcHist(pair, [channel], None, [256], [0, 256])
            counts[row, channel] = hist.ravel()
    shares = counts / np.float32(height * width)
    # Mean and deviation follow from the full histogram, without a second pass over the pixels.
    levels = np.arange(256, dtype=np.float32) / 255
    mean = shares @ levels
    deviation = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
    bins = np.sqrt(shares.reshape(n, 6, COLOR_BINS, -1).sum(axis=-1)).reshape(n, -1)
    joined: Features = np.concatenate([bins, mean, deviation], axis=1, dtype=np.float32)
    return joined


def small_features(patches: npt.NDArray[np.uint8]) -> Features:
    """Each patch shrunk to at most 7 x 7 pixels by area averaging, float32 [N, side * side * 3].

    patches: uint8 [N, H, W, 3].

    >>> small_features(np.zeros((2, 50, 50, 3), np.uint8)).shape
    (2, 147)
    """
    import cv2

    side = (min(SMALL_SIDE_PX, patches.shape[2]), min(SMALL_SIDE_PX, patches.shape[1]))
    shrunk = [cv2.resize(patch, side, interpolation=cv2.INTER_AREA).ravel() for patch in patches]
    width = side[0] * side[1] * 3
    return np.asarray(shrunk, dtype=np.float32).reshape(len(patches), width) / np.float32(255)


def features_of(patches: Patches, rows: Ints, maker: Maker) -> Features:
    """Features of the chosen rows, float32 [n, F], in their order.

    A block at a time, as the patches may be a memory map, and in a few threads, as most of the work
    is done outside Python.

    patches: uint8 [N, H, W, 3]; rows: int64 [n]. Of ``Remembered`` patches what was made before is
    taken from memory.

    >>> features_of(np.zeros((5, 4, 4, 3), np.uint8), np.array([3, 1]), color_features).shape
    (2, 108)
    """

    if isinstance(patches, Remembered):
        return patches.features(rows, maker)

    def block(start: int) -> Features:
        return maker(np.asarray(patches[rows[start : start + BLOCK]]))

    starts = range(0, max(1, len(rows)), BLOCK)
    with ThreadPoolExecutor(min(4, usable_cores()[0])) as pool:
        return np.concatenate(list(pool.map(block, starts)))


class Remembered:
    """Patches whose features are made once, however many baselines ask for them.

    patches: uint8 [N, H, W, 3]. What is remembered takes as much memory as the features of the rows
    that were asked for.

    >>> patches = Remembered(np.zeros((5, 4, 4, 3), np.uint8))
    >>> features_of(patches, np.array([3, 1]), color_features).shape
    (2, 108)
    """

    def __init__(self, patches: Patches) -> None:
        self.patches = patches
        #: By maker: which rows are known, and the table of all.
        self._made: dict[Maker, tuple[npt.NDArray[np.bool_], Features]] = {}

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: Any) -> Any:
        return self.patches[index]

    def features(self, rows: Ints, maker: Maker) -> Features:
        """As ``features_of``."""
        known, table = self._made.get(maker, (np.zeros(len(self), bool), np.empty((0, 0))))
        missing = np.unique(rows[~known[rows]])
        if len(missing) or not table.size:
            made = features_of(self.patches, missing, maker)
            if not table.size:
                table = np.empty((len(self), made.shape[1]), np.float32)
            table[missing], known[missing] = made, True
            self._made[maker] = known, table
        return table[rows]
