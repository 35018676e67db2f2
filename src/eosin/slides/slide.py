"""Slide: what every reader of slide files gives, and nothing else is known of them.

One frame is used everywhere: level-0 pixels of the reader, (0, 0) the upper left corner, a region
[x, x + width). What a slide does not have (outside of it, missing tiles, transparent) is glass:
white pixels that are marked as none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Known = npt.NDArray[np.bool_]

#: The color of glass.
WHITE = 255
#: Micrometers a pixel that a slide can have; anything else in a file is a mistake.
LEAST_MPP, MOST_MPP = 0.05, 20.0


class Scale(NamedTuple):
    """Micrometers a level-0 pixel, along each side."""

    x_um: float
    y_um: float
    #: Where it comes from, such as "ImageDescription: MPP" or "--mpp".
    source: str

    @property
    def anisotropic(self) -> bool:
        """Whether the sides differ by more than 1 percent."""
        return abs(self.x_um / self.y_um - 1) > 0.01


@dataclass(frozen=True)
class Level:
    """A picture of the whole slide in a file.

    reduce: 1 for a level that is stored; 2, 4 or 8 for one that the codec decodes at that part of
    the size of level ``stored``.
    """

    width_px: int
    height_px: int
    stored: int = 0
    reduce: int = 1


class Box(NamedTuple):
    """A part of a slide in level-0 pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class SlideInfo:
    """What a file says of itself."""

    #: "Aperio SVS", "generic TIFF", "DICOM", ...
    format: str
    #: "JPEG", "JPEG 2000", ...; "" where the reader does not tell.
    compression: str = ""
    #: Width and height of stored tiles in pixels; None where there are none.
    tile_px: tuple[int, int] | None = None
    #: Objective power as the file has it; no scale follows from it.
    objective: float | None = None
    #: BLAKE2 digest of the ICC profile, which is not applied; "" where there is none.
    icc: str = ""
    #: Names of other pictures in the file. Labels carry names of patients.
    associated: tuple[str, ...] = ()
    #: What a reader of the results should know, a sentence each.
    notes: tuple[str, ...] = field(default_factory=tuple)


class Slide(Protocol):
    """An open slide; may be read by several threads, each of which gets its own handle inside."""

    path: Path
    #: The library that reads it, with its version: "eosin (OpenCV 5.0.0)", "OpenSlide 4.0.1".
    reader: str
    width_px: int
    height_px: int
    #: From the largest; [0] has the size of the slide.
    levels: tuple[Level, ...]
    #: None where the file has none, or one that cannot be true; ``info.notes`` say which.
    scale: Scale | None
    #: The part that was scanned; the whole slide where the file does not tell.
    bounds: Box
    info: SlideInfo

    def region(self, level: int, x: int, y: int, width: int, height: int) -> tuple[Pixels, Known]:
        """A region in pixels of a level, which may reach beyond the slide.

        Returns uint8 [height, width, 3], and bool [height, width]: where the slide has pixels.
        Glass is white. Raises SlideError where the file is damaged there.
        """
        ...

    def associated(self, name: str) -> Pixels:
        """Another picture of the file, uint8 [h, w, 3]; raises SlideError for an unknown name."""
        ...

    def close(self) -> None:
        """Close all handles; reading afterwards raises SlideError."""
        ...
