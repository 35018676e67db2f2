"""Slides of all vendors by OpenSlide, which knows their frames, bounds and gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eosin.errors import SlideError, first_line, needing
from eosin.slides import scale as scales
from eosin.slides.associated import MOST_PX, unknown
from eosin.slides.codecs import MOST_TILE_PX, NAMES, on_white
from eosin.slides.handles import Handles
from eosin.slides.opening import icc_digest
from eosin.slides.pyramid import scale_of
from eosin.slides.series import check_frames, series_of
from eosin.slides.slide import WHITE, Box, Known, Level, Pixels, Scale, SlideInfo
from eosin.slides.tags import Page, is_tiff, read_pages

#: OpenSlide reads larger regions in pieces of its own, whose starts it rounds to level 0.
PIECE_PX = 4096
_FORMATS = {
    "aperio": "Aperio SVS", "dicom": "DICOM", "generic-tiff": "generic tiled TIFF",
    "hamamatsu": "Hamamatsu", "leica": "Leica SCN", "mirax": "MIRAX", "philips": "Philips TIFF",
    "sakura": "Sakura", "trestle": "Trestle", "ventana": "Ventana BIF", "zeiss": "Zeiss CZI",
}  # fmt: skip


class VendorSlide:
    """A slide that OpenSlide reads; see ``eosin.slides.slide.Slide``.

    Raises SlideError for a file that it does not open, or opens wrongly.
    """

    def __init__(self, path: Path) -> None:
        with needing("slides", "reading slides"):
            import openslide
        self.path = path
        self.reader = f"OpenSlide {openslide.__library_version__}"
        # Of a folder, the file of level 0; the others are found beside it.
        self._place = series_of(path)[0] if path.is_dir() else path
        vendor = openslide.OpenSlide.detect_format(str(self._place))
        if vendor is None:
            raise SlideError("OpenSlide does not know its format")
        if vendor == "dicom":
            for file in series_of(path):
                check_frames(file)
        pages = read_pages(path) if is_tiff(path) else ()
        if any(page.tile_px and max(page.tile_px) > MOST_TILE_PX for page in pages):
            # It would ask for the memory of a tile at once, and end the process without it.
            raise SlideError("its tiles are too large")
        compression = next((page.compression for page in pages if page.tile_px), 0)
        pages = pages if vendor == "generic-tiff" else ()
        self._handles: Handles[Any] = Handles(str(path), self._open, lambda slide: slide.close())
        try:
            slide = self._handles.get()
            self._describe(slide, vendor, pages, compression)
            self._probe()
        except SlideError:
            self._handles.close()
            raise
        # A damaged file can have names of properties without a value, or numbers that are none.
        except (openslide.OpenSlideError, KeyError, ValueError) as error:
            self._handles.close()
            raise SlideError(f"its properties are damaged ({first_line(error)})") from error

    def _open(self) -> Any:
        import openslide

        try:
            return openslide.OpenSlide(str(self._place))
        except openslide.OpenSlideError as error:
            raise SlideError(first_line(error)) from None

    def _describe(self, slide: Any, vendor: str, pages: tuple[Page, ...], compression: int) -> None:
        found: dict[str, str] = dict(slide.properties)
        self.levels = tuple(
            Level(width, height, number)
            for number, (width, height) in enumerate(slide.level_dimensions)
        )
        self._downsamples = tuple(float(each) for each in slide.level_downsamples)
        self.width_px, self.height_px = slide.dimensions
        if pages:
            _check_generic(pages, slide.dimensions)
        names = ("x", "y", "width", "height")
        box = [found.get(f"openslide.bounds-{name}", "") for name in names]
        whole = Box(0, 0, self.width_px, self.height_px)
        self.bounds = Box(*(int(each) for each in box)) if all(box) else whole
        self.scale, note = _scale(found, pages)
        power = scales.number(found.get("openslide.objective-power"))
        notes = scales.notes_of(self.scale, power, note)
        if len(pages) > len(self.levels):
            notes.append(f"of {len(pages)} pictures in the file, {len(self.levels)} are used")
        if pages and set(pages[0].bits) == {16}:
            notes.append("16 bits a sample are cut to 8: divided by 257 and rounded")
        level = "openslide.level[0].tile-"
        tile = [found.get(f"{level}{side}", "") for side in ("width", "height")]
        self.info = SlideInfo(
            format=_FORMATS.get(vendor, vendor),
            compression=NAMES.get(compression, str(compression or "")),
            tile_px=(int(tile[0]), int(tile[1])) if all(tile) else None, objective=power,
            icc=_icc(slide), associated=tuple(sorted(slide.associated_images)), notes=tuple(notes),
        )  # fmt: skip

    def _probe(self) -> None:
        """Read a pixel in the middle of each level: what opens may still not be readable."""
        for number, level in enumerate(self.levels):
            self.region(number, level.width_px // 2, level.height_px // 2, 1, 1)

    def region(self, level: int, x: int, y: int, width: int, height: int) -> tuple[Pixels, Known]:
        """A region in pixels of a level: uint8 [height, width, 3], and bool of what is there."""
        import openslide

        if not 0 <= level < len(self.levels):
            raise SlideError(f"{self.path} has no level {level}, only 0 to {len(self.levels) - 1}")
        slide, own = self._handles.get(), self.levels[level]
        pixels = np.full((height, width, 3), WHITE, np.uint8)
        known = np.zeros((height, width), np.bool_)
        left, right = max(x, 0), min(x + width, own.width_px)
        top, bottom = max(y, 0), min(y + height, own.height_px)
        factor = self._downsamples[level]
        for y0 in range(top, bottom, PIECE_PX):
            for x0 in range(left, right, PIECE_PX):
                size = (min(PIECE_PX, right - x0), min(PIECE_PX, bottom - y0))
                # OpenSlide divides by its own factor, so this lands on the level's pixel.
                start = (round(x0 * factor), round(y0 * factor))
                try:
                    piece = np.asarray(slide.read_region(start, level, size), np.uint8)
                except openslide.OpenSlideError as error:
                    # This handle answers no more, whatever it is asked.
                    raise SlideError(
                        f"{self.path} is damaged ({first_line(error)}); copy it again from where "
                        "it came"
                    ) from None
                place = np.s_[y0 - y : y0 - y + size[1], x0 - x : x0 - x + size[0]]
                colors, there = on_white(piece[..., :3], piece[..., 3:], multiplied=False)
                pixels[place] = colors
                known[place] = True if there is None else there
        return pixels, known

    def associated(self, name: str) -> Pixels:
        """Another picture of the file, uint8 [h, w, 3]; raises SlideError for an unknown name."""
        import openslide

        if name not in self.info.associated:
            raise unknown(self.path, name, self.info.associated)
        slide = self._handles.get()
        sides = [slide.properties.get(f"openslide.associated.{name}.{side}", "0")
                 for side in ("width", "height")]  # fmt: skip
        if int(sides[0]) * int(sides[1]) > MOST_PX:
            raise SlideError(f"{self.path}: {name} has more than {MOST_PX:,} pixels")
        try:
            found = np.asarray(slide.associated_images[name].convert("RGBA"))
        except openslide.OpenSlideError as error:
            raise SlideError(f"{self.path}: {name} cannot be read ({first_line(error)})") from None
        return on_white(found[..., :3], found[..., 3:], multiplied=False)[0]

    def close(self) -> None:
        """Close the handles of all threads."""
        self._handles.close()


def _check_generic(pages: tuple[Page, ...], size: tuple[int, int]) -> None:
    """Raise SlideError for a TIFF that OpenSlide opens, but not rightly."""
    if any(page.orientation != 1 for page in pages):
        # Seen in 4.0.1: the inside of each lossless tile is turned, and no tile is moved.
        raise SlideError("OpenSlide turns each tile of a turned TIFF instead of the whole")
    largest = max(pages, key=lambda page: page.width_px * page.height_px)
    if largest.width_px * largest.height_px > size[0] * size[1]:
        raise SlideError(
            f"OpenSlide sees a picture of {size[0]}x{size[1]} px only, and the file has one of "
            f"{largest.width_px}x{largest.height_px}"
        )


def _scale(found: dict[str, str], pages: tuple[Page, ...]) -> tuple[Scale | None, str]:
    if pages:
        base = max(pages, key=lambda page: page.width_px * page.height_px)
        scale, _, note = scale_of(base)
    else:
        sides = [scales.number(found.get(f"openslide.mpp-{side}")) for side in "xy"]
        scale, note = scales.plausible(sides[0], sides[1], "openslide.mpp-x, openslide.mpp-y")
    return scale, note


def _icc(slide: Any) -> str:
    from openslide import lowlevel

    # slide.color_profile has Pillow parse it, which fails for a damaged one and may write another.
    return icc_digest(lowlevel.read_icc_profile(slide._osr) or b"")
