"""DICOM slides by wsidicom, for those that OpenSlide refuses (JPEG-LS, HTJ2K, RLE)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from eosin.errors import SlideError, first_line, needing
from eosin.slides import scale as scales
from eosin.slides.associated import unknown
from eosin.slides.handles import Handles
from eosin.slides.opening import icc_digest
from eosin.slides.series import is_dicom, series_of
from eosin.slides.slide import WHITE, Box, Known, Level, Pixels, SlideInfo

_PICTURES = ("label", "overview", "thumbnail")


class DicomSlide:
    """A DICOM slide that wsidicom reads; see ``eosin.slides.slide.Slide``.

    path: a file of the series, or its folder. Raises SlideError for what is none.
    """

    def __init__(self, path: Path) -> None:
        if path.is_file() and not is_dicom(path):
            raise SlideError("it is not DICOM")
        with needing("slides", "reading slides"):
            import wsidicom
        self.path = path
        self._files = series_of(path)
        self.reader = f"wsidicom {wsidicom.__version__}"
        self._handles: Handles[Any] = Handles(str(path), self._open, lambda slide: slide.close())
        slide = self._called(self._handles.get)
        try:
            self._called(lambda: self._describe(slide))
            self.region(0, self.width_px // 2, self.height_px // 2, 1, 1)
        except SlideError:
            self._handles.close()
            raise

    def _open(self) -> Any:
        from wsidicom import WsiDicom

        return WsiDicom.open(self._files)

    def _called(self, ask: Any) -> Any:
        """What the library gives; whatever it raises for a damaged file is a SlideError."""
        try:
            return ask()
        except SlideError:
            raise
        except Exception as error:
            raise SlideError(f"{self.path}: wsidicom: {first_line(error)}") from error

    def _describe(self, slide: Any) -> None:
        stored = sorted(slide.pyramids[0], key=lambda level: -level.size.width)
        #: wsidicom names a level by the exponent of 2 of its factor.
        self._names = [int(level.level) for level in stored]
        self.levels = tuple(
            Level(level.size.width, level.size.height, number)
            for number, level in enumerate(stored)
        )
        self.width_px, self.height_px = self.levels[0].width_px, self.levels[0].height_px
        self.bounds = Box(0, 0, self.width_px, self.height_px)
        spacing = stored[0].pixel_spacing
        sides = [None, None] if spacing is None else [spacing.width, spacing.height]
        x, y = (None if each is None else float(Fraction(str(each)) * 1000) for each in sides)
        self.scale, note = scales.plausible(x, y, "DICOM PixelSpacing")
        path = _optical_path(self._files[0])
        power = scales.number(path.get("ObjectiveLensPower"))
        tile, data = stored[0].tile_size, stored[0].default_instance.image_data
        self.info = SlideInfo(
            format="DICOM", compression=str(data.transfer_syntax.name),
            tile_px=(tile.width, tile.height), objective=power,
            icc=icc_digest(bytes(path.get("ICCProfile") or b"")),
            associated=tuple(
                name for name in _PICTURES if getattr(slide, f"{name}s", None)
            ), notes=tuple(scales.notes_of(self.scale, power, note)),
        )  # fmt: skip

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
            size, name = (right - left, bottom - top), self._names[level]
            found = self._called(lambda: slide.read_region((left, top), name, size))
            place = np.s_[top - y : bottom - y, left - x : right - x]
            pixels[place] = np.asarray(found.convert("RGB"))
            known[place] = True
        return pixels, known

    def associated(self, name: str) -> Pixels:
        """Another picture of the series, uint8 [h, w, 3]; raises SlideError for an unknown name."""
        if name not in self.info.associated:
            raise unknown(self.path, name, self.info.associated)
        slide = self._handles.get()
        found = self._called(getattr(slide, f"read_{name}"))
        return np.array(found.convert("RGB"), np.uint8)

    def close(self) -> None:
        """Close the handles of all threads."""
        self._handles.close()


def _optical_path(file: Path) -> Any:
    """The first optical path of a DICOM slide, with its objective and its ICC profile."""
    import pydicom

    tags: list[Any] = ["OpticalPathSequence"]
    data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
    return (data.get("OpticalPathSequence") or [{}])[0]
