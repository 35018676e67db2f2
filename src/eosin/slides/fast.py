"""fastslide, used only where it is asked for: its pixels are not exact, and the output says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eosin.errors import SlideError, UserError, first_line
from eosin.slides import scale as scales
from eosin.slides.associated import unknown
from eosin.slides.handles import Handles
from eosin.slides.opening import icc_digest
from eosin.slides.slide import WHITE, Box, Known, Level, Pixels, SlideInfo

#: Seen with 0.8.1 on JPEG of 4:2:0: a fast transform, and no smoothing of the colors.
INEXACT = "fastslide's pixels are not exact: up to 41 gray levels off, and a little darker"


class FastSlide:
    """A slide that fastslide reads; see ``eosin.slides.slide.Slide``.

    Raises UserError where fastslide is not installed, SlideError for a file that it does not open.
    """

    def __init__(self, path: Path) -> None:
        try:
            import fastslide
        except ImportError:
            raise UserError(
                "fastslide is not installed; install it with: pip install fastslide, or choose "
                "another reader"
            ) from None
        self.path = path
        self.reader = f"fastslide {fastslide.__version__}, not exact"
        self._handles: Handles[Any] = Handles(
            str(path),
            lambda: fastslide.FastSlide.from_file_path(str(path)),
            lambda one: one.close(),
        )
        slide = self._called(self._handles.get)
        self.levels = tuple(
            Level(int(width), int(height), number)
            for number, (width, height) in enumerate(slide.level_dimensions)
        )
        self.width_px, self.height_px = self.levels[0].width_px, self.levels[0].height_px
        (x, y), (width, height) = slide.bounds
        self.bounds = Box(int(x), int(y), int(width), int(height))
        power = scales.number(slide.properties.get("objective_magnification"))
        sides = [scales.number(side) for side in slide.mpp]
        self.scale, note = scales.plausible(sides[0], sides[1], "fastslide's mpp")
        self.info = SlideInfo(
            format=str(slide.format), objective=power, icc=icc_digest(slide.icc_profile or b""),
            associated=tuple(sorted(slide.associated_images.keys())),
            notes=(INEXACT, *scales.notes_of(self.scale, power, note)),
        )  # fmt: skip

    def _called(self, ask: Any) -> Any:
        """What the library gives; whatever it raises for a damaged file is a SlideError."""
        try:
            return ask()
        except SlideError:
            raise
        except Exception as error:
            raise SlideError(f"{self.path}: {first_line(error)}") from error

    def region(self, level: int, x: int, y: int, width: int, height: int) -> tuple[Pixels, Known]:
        """A region in pixels of a level: uint8 [height, width, 3], and bool of what is there."""
        if not 0 <= level < len(self.levels):
            raise SlideError(f"{self.path} has no level {level}, only 0 to {len(self.levels) - 1}")
        slide, own = self._handles.get(), self.levels[level]
        pixels = np.full((height, width, 3), WHITE, np.uint8)
        known = np.zeros((height, width), np.bool_)
        left, right = max(x, 0), min(x + width, own.width_px)
        top, bottom = max(y, 0), min(y + height, own.height_px)
        if left < right and top < bottom:
            size = (right - left, bottom - top)
            # Its frame is that of the asked level.
            found = self._called(lambda: slide.read_region((left, top), level, size).numpy())
            if found.dtype != np.uint8 or found.shape != (size[1], size[0], 3):
                raise SlideError(f"{self.path}: fastslide gives {found.dtype} {found.shape}")
            place = np.s_[top - y : bottom - y, left - x : right - x]
            pixels[place], known[place] = found, True
        return pixels, known

    def associated(self, name: str) -> Pixels:
        """Another picture of the file, uint8 [h, w, 3]; raises SlideError for an unknown name."""
        if name not in self.info.associated:
            raise unknown(self.path, name, self.info.associated)
        slide = self._handles.get()
        return np.array(self._called(lambda: slide.associated_images[name].numpy()), np.uint8)

    def close(self) -> None:
        """Close the handles of all threads."""
        self._handles.close()
