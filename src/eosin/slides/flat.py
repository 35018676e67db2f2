"""A picture that is not in tiles (JPEG, PNG, flat TIFF) as a slide of one level."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from eosin.errors import ImageError, SlideError, first_line
from eosin.memory import fits
from eosin.slides import scale as scales
from eosin.slides.associated import unknown
from eosin.slides.pyramid import scale_of
from eosin.slides.slide import WHITE, Box, Known, Level, Pixels, Scale, SlideInfo
from eosin.slides.tags import is_tiff, read_pages

#: A picture is kept whole in memory, 3 bytes a pixel; a larger one should be a pyramid.
MOST_PX = 1 << 28
#: Bytes a pixel while it is decoded: Pillow's four, and three or four more.
_BYTES = 8
_PYRAMID = (
    "a tiled pyramid of it, for example with: vips tiffsave IN OUT.tif --tile --pyramid "
    "--compression jpeg"
)
_ORIENTATION = 0x0112
#: TIFF's compressions that Pillow reads: none, CCITT, LZW, JPEG, deflate, PackBits, LZMA, zstd.
_IN_TIFF = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)
Kind = TypeVar("Kind", np.uint8, np.bool_)


class FlatSlide:
    """A picture in memory; see ``eosin.slides.slide.Slide``. Raises SlideError."""

    def __init__(self, path: Path) -> None:
        import PIL

        self.path = path
        self.reader = f"Pillow {PIL.__version__}"
        pixels, self._known, self.scale, self.info = _read(path)
        self._pixels: Pixels | None = pixels
        self.height_px, self.width_px = pixels.shape[:2]
        self.levels: tuple[Level, ...] = (Level(self.width_px, self.height_px),)
        self.bounds = Box(0, 0, self.width_px, self.height_px)

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


def _read(path: Path) -> tuple[Pixels, Known | None, Scale | None, SlideInfo]:
    from eosin.data.decode import decode, image_size
    from eosin.slides.opening import icc_digest

    page = read_pages(path)[0] if is_tiff(path) else None
    if page is not None and page.compression not in _IN_TIFF:
        raise SlideError(f"compression {page.compression} in a TIFF is not one of Pillow's")
    if page is not None and page.orientation != 1 and set(page.bits) != {8}:
        raise SlideError(f"a turned TIFF of {page.bits[0]} bits; save it unturned")
    try:
        data = path.read_bytes()
        high, wide = image_size(data, MOST_PX)
        if not fits(high * wide * _BYTES):
            raise SlideError(
                f"a flat picture of {wide}x{high} px needs {high * wide * _BYTES >> 20:,} MB; make "
                f"{_PYRAMID}"
            )
        pixels = decode(data, max_pixels=MOST_PX)
    except ImageError as error:
        if str(error).startswith("too many pixels"):
            raise SlideError(
                f"a flat picture of more than {MOST_PX:,} pixels; make {_PYRAMID}"
            ) from None
        raise SlideError(str(error)) from None
    about = _about(path)
    scale, power, note = (None, None, "") if page is None else scale_of(page)
    known, turn, notes = about.known, about.turn, []
    if about.pages > 1:
        notes.append(f"of {about.pages} pictures in the file, the first is used")
    if page is not None and page.orientation != 1:
        # Pillow turns a TIFF itself when it loads it, and no other picture.
        notes.append(f"turned as its Orientation {page.orientation} says")
        if scale is not None and page.orientation >= 5:
            scale = scale._replace(x_um=scale.y_um, y_um=scale.x_um)
    elif page is None and turn in range(2, 9):
        pixels, known = turned(pixels, turn), None if known is None else turned(known, turn)
        notes.append(f"turned as its Orientation {turn} says")
    notes += scales.notes_of(scale, power, note)
    info = SlideInfo(
        format=f"flat {about.kind}", objective=power, icc=icc_digest(about.icc), notes=tuple(notes)
    )
    return pixels, known, scale, info


class _About(NamedTuple):
    """What Pillow knows of a picture besides its colors."""

    kind: str
    turn: int
    icc: bytes
    pages: int
    known: Known | None


def _about(path: Path) -> _About:
    from PIL import Image

    from eosin.data.decode import STRICT

    try:
        with STRICT, Image.open(path) as image:
            known = None
            if image.has_transparency_data:
                known = np.asarray(image.convert("RGBA"))[..., 3] > 0
            return _About(
                str(image.format), int(image.getexif().get(_ORIENTATION, 1)),
                image.info.get("icc_profile") or b"", getattr(image, "n_frames", 1), known,
            )  # fmt: skip
    # Hostile bytes can make a parser raise anything.
    except Exception as error:
        raise SlideError(f"corrupt: {first_line(error)}") from error


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
