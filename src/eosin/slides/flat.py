"""A picture that is not in tiles (JPEG, PNG, flat TIFF) as a slide of one level."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from eosin.errors import ImageError, SlideError
from eosin.slides import scale as scales
from eosin.slides.associated import unknown
from eosin.slides.slide import WHITE, Box, Known, Level, Pixels, Scale, SlideInfo
from eosin.slides.tags import is_tiff

#: A picture is kept whole in memory, 3 bytes a pixel; a larger one should be a pyramid.
MOST_PX = 1 << 28
_ORIENTATION = 0x0112
Kind = TypeVar("Kind", np.uint8, np.bool_)


class FlatSlide:
    """A picture in memory; see ``eosin.slides.slide.Slide``. Raises SlideError."""

    def __init__(self, path: Path) -> None:
        import PIL

        self.path = path
        self.reader = f"Pillow {PIL.__version__}"
        pixels, known, kind, resolution, icc, notes = _read(path)
        self._pixels: Pixels | None = pixels
        self._known = known
        self.height_px, self.width_px = pixels.shape[:2]
        self.levels: tuple[Level, ...] = (Level(self.width_px, self.height_px),)
        self.bounds = Box(0, 0, self.width_px, self.height_px)
        self.scale = resolution
        self.info = SlideInfo(format=f"flat {kind}", icc=icc, notes=notes)

    def region(self, level: int, x: int, y: int, width: int, height: int) -> tuple[Pixels, Known]:
        """A region in pixels: uint8 [height, width, 3], and bool of what is there."""
        if self._pixels is None:
            raise SlideError(f"{self.path} is closed; open it again")
        if level != 0:
            raise SlideError(f"{self.path} has no level {level}, only 0")
        return pasted(self._pixels, self._known, x, y, width, height)

    def associated(self, name: str) -> Pixels:
        """Raises SlideError: there is no other picture."""
        raise unknown(self.path, name, ())

    def close(self) -> None:
        """Let go of the picture."""
        self._pixels = None


def pasted(
    picture: Pixels, there: Known | None, x: int, y: int, width: int, height: int
) -> tuple[Pixels, Known]:
    """The part of a picture at (x, y), which may reach beyond it, on glass."""
    pixels = np.full((height, width, 3), WHITE, np.uint8)
    known = np.zeros((height, width), np.bool_)
    left, right = max(x, 0), min(x + width, picture.shape[1])
    top, bottom = max(y, 0), min(y + height, picture.shape[0])
    if left < right and top < bottom:
        place, part = (
            np.s_[top - y : bottom - y, left - x : right - x],
            np.s_[top:bottom, left:right],
        )
        pixels[place] = picture[part]
        known[place] = True if there is None else there[part]
    return pixels, known


def _read(
    path: Path,
) -> tuple[Pixels, Known | None, str, Scale | None, str, tuple[str, ...]]:
    from PIL import Image

    from eosin.data.decode import STRICT, decode
    from eosin.slides.opening import icc_digest

    try:
        data = path.read_bytes()
        pixels = decode(data, max_pixels=MOST_PX)
    except ImageError as error:
        if str(error).startswith("too many pixels"):
            raise SlideError(
                f"a flat picture of more than {MOST_PX:,} pixels; make a tiled pyramid of it, for "
                "example with: vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg"
            ) from None
        raise SlideError(str(error)) from None
    known: Known | None = None
    with STRICT, Image.open(path) as image:
        kind = str(image.format)
        turn = image.getexif().get(_ORIENTATION, 1)
        icc = icc_digest(image.info.get("icc_profile") or b"")
        pages = getattr(image, "n_frames", 1)
        if image.has_transparency_data:
            known = np.asarray(image.convert("RGBA"))[..., 3] > 0
    notes = [] if pages == 1 else [f"of {pages} pictures in the file, the first is used"]
    scale, note = _tiff_scale(path)
    notes += [note] if note else []
    if scale is None and not note:
        notes.append(scales.without_scale(None))
    if turn in range(2, 9):
        pixels, known = turned(pixels, turn), None if known is None else turned(known, turn)
        notes.append(f"turned as its Orientation {turn} says")
        if scale is not None and turn >= 5:
            scale = scale._replace(x_um=scale.y_um, y_um=scale.x_um)
    return pixels, known, kind, scale, icc, tuple(notes)


def turned(pixels: npt.NDArray[Kind], orientation: int) -> npt.NDArray[Kind]:
    """A picture as its Orientation (1 to 8, TIFF 6.0) says that it is to be seen.

    >>> turned(np.arange(6).reshape(2, 3), 6).tolist()
    [[3, 0], [4, 1], [5, 2]]
    """
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _tiff_scale(path: Path) -> tuple[Scale | None, str]:
    if not is_tiff(path):
        return None, ""
    from eosin.slides.tags import read_pages

    page = read_pages(path)[0]
    return scales.resolution(page.resolution, page.unit)
