"""A slide over an array, for tests that need no file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eosin.slides.slide import WHITE, Box, Known, Level, Pixels, Scale, SlideInfo


@dataclass
class FakeSlide:
    """A slide whose level 0 is ``pixels``, uint8 [h, w, 3]; other levels are made by area."""

    pixels: Pixels
    scale: Scale | None = None
    #: Factors of further levels.
    reduced: tuple[int, ...] = ()
    #: None: all of it.
    within: Box | None = None
    #: bool [h, w]: where the slide has pixels; None: everywhere.
    known: Known | None = None
    path: Path = Path("fake.svs")
    reader: str = "a test"
    info: SlideInfo = field(default_factory=lambda: SlideInfo("fake"))
    #: (level, x, y, width, height) of every read.
    reads: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.height_px, self.width_px = self.pixels.shape[:2]
        self.bounds = self.within or Box(0, 0, self.width_px, self.height_px)
        if self.known is None:
            self.known = np.ones(self.pixels.shape[:2], bool)
        self._pictures = [(self.pixels, self.known)]
        for factor in self.reduced:
            size = (-(-self.width_px // factor), -(-self.height_px // factor))
            self._pictures.append((_by_area(self.pixels, size), _by_area(self.known, size)))
        self.levels = tuple(Level(p.shape[1], p.shape[0]) for p, _ in self._pictures)

    def region(self, level: int, x: int, y: int, width: int, height: int) -> tuple[Pixels, Known]:
        """As ``Slide.region`` has it."""
        self.reads.append((level, x, y, width, height))
        pixels = np.full((height, width, 3), WHITE, np.uint8)
        known = np.zeros((height, width), bool)
        source, there = self._pictures[level]
        tall, wide = there.shape
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + width, wide), min(y + height, tall)
        if x0 < x1 and y0 < y1:
            place = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
            known[place] = there[y0:y1, x0:x1]
            pixels[place] = source[y0:y1, x0:x1]
            pixels[~known] = WHITE
        return pixels, known

    def associated(self, name: str) -> Pixels:
        raise NotImplementedError(name)

    def close(self) -> None:
        pass


def _by_area(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    made = cv2.resize(array.astype(np.uint8) * (255 if array.dtype == bool else 1), size,
                      interpolation=cv2.INTER_AREA)  # fmt: skip
    return made >= 128 if array.dtype == bool else made
