"""Tiled TIFF, SVS and OME-TIFF: whole tiles read and decoded here, five times as fast as OpenSlide.

Only what is known for certain is opened; for all else the reason is given, and another reader
takes the file. Pixels are OpenSlide's, bit for bit (tests/slides/test_parity.py).
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np

from eosin.errors import SlideError
from eosin.slides.codecs import NAMES, Decode, decoder, jpeg_body, refusal
from eosin.slides.handles import File
from eosin.slides.pyramid import Pyramid, pyramid_of
from eosin.slides.slide import WHITE, Box, Known, Level, Pixels, SlideInfo
from eosin.slides.tags import Page, is_tiff, read_pages
from eosin.slides.tiles import Tile, Tiles


class TiffSlide:
    """A slide in tiles of a TIFF file; see ``eosin.slides.slide.Slide``.

    Raises SlideError for a file that is not one, or not for certain.
    """

    def __init__(self, path: Path) -> None:
        import cv2

        if not is_tiff(path):
            raise SlideError("it is not a TIFF")
        self.path = path
        self.reader = f"eosin (OpenCV {cv2.__version__})"
        pages = read_pages(path)
        self._pyramid: Pyramid = pyramid_of(pages)
        self._pages: tuple[Page, ...] = self._pyramid.levels
        for page in self._pages:
            if why := refusal(page):
                raise SlideError(f"picture {page.name}: {why}")
        self._file: File | None = File(path)
        for page in self._pages:
            _check_places(page, self._file.size)
        self._decode: tuple[Decode, ...] = tuple(decoder(page) for page in self._pages)
        self.tiles = Tiles()
        self.levels = tuple(Level(*page.size_px, number) for number, page in enumerate(self._pages))
        self.width_px, self.height_px = self._pages[0].size_px
        self.scale = self._pyramid.scale
        self.bounds = _bounds(self._pages[0])
        self.info = _info(self._pyramid)
        for number in range(len(self.levels)):
            self._probe(number)

    def with_levels(self, levels: tuple[Level, ...]) -> TiffSlide:
        """The same open slide with other levels, such as those that a codec makes."""
        other = copy.copy(self)
        other.levels = levels
        return other

    def page(self, level: int) -> Page:
        """The directory that a level is stored in."""
        return self._pages[self.levels[level].stored]

    def region(self, level: int, x: int, y: int, width: int, height: int) -> tuple[Pixels, Known]:
        """A region in pixels of a level: uint8 [height, width, 3], and bool of what is there."""
        if not 0 <= level < len(self.levels):
            raise SlideError(f"{self.path} has no level {level}, only 0 to {len(self.levels) - 1}")
        wanted = self.levels[level]
        page = self._pages[wanted.stored]
        assert page.tile_px is not None
        wide, high = (side // wanted.reduce for side in page.tile_px)
        left, right = max(x, 0), min(x + width, wanted.width_px)
        top, bottom = max(y, 0), min(y + height, wanted.height_px)
        pixels = np.empty((height, width, 3), np.uint8)
        known = np.empty((height, width), np.bool_)
        if (left, right, top, bottom) != (x, x + width, y, y + height):
            pixels[:], known[:] = WHITE, False
        if left >= right or top >= bottom:
            return pixels, known
        known[top - y : bottom - y, left - x : right - x] = True
        columns = page.grid[0]
        for row in range(top // high, -(-bottom // high)):
            for column in range(left // wide, -(-right // wide)):
                tile = self.tile(wanted.stored, wanted.reduce, row * columns + column)
                # The part of the tile that is asked for, and where it goes.
                x0, x1 = max(left, column * wide), min(right, (column + 1) * wide)
                y0, y1 = max(top, row * high), min(bottom, (row + 1) * high)
                part = np.s_[
                    y0 - row * high : y1 - row * high, x0 - column * wide : x1 - column * wide
                ]
                place = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
                pixels[place] = WHITE if tile is None else tile.pixels[part]
                if tile is None:
                    known[place] = False
                elif tile.known is not None:
                    known[place] = tile.known[part]
        return pixels, known

    def tile(self, stored: int, reduce: int, number: int) -> Tile | None:
        """A decoded tile of a stored level; None where the file leaves it out."""
        return self.tiles.get(
            (stored, reduce, number), lambda: self._decoded(stored, reduce, number)
        )

    def raw(self, stored: int, number: int) -> bytes:
        """The bytes of a tile as stored; none where the file leaves it out."""
        file, page = self._file, self._pages[stored]
        if file is None:
            raise SlideError(f"{self.path} is closed; open it again")
        count = int(page.counts[number])
        data = file.read(int(page.offsets[number]), count) if count else b""
        if len(data) != count:
            raise SlideError(f"{self.path} ends before tile {number} of picture {page.name}")
        return data

    def _decoded(self, stored: int, reduce: int, number: int) -> Tile | None:
        data = self.raw(stored, number)
        if not data:
            return None
        try:
            pixels, known = self._decode[stored](data, reduce)
        except SlideError as error:
            page = self._pages[stored]
            row, column = divmod(number, page.grid[0])
            raise SlideError(
                f"{self.path}: {error} in picture {page.name}, column {column}, row {row}; the "
                "file is damaged, copy it again from where it came"
            ) from None
        return Tile(pixels, known)

    def _probe(self, stored: int) -> None:
        """Decode the first and the longest tile: a file that is not as it says is refused."""
        counts = self._pages[stored].counts
        present = np.flatnonzero(counts)
        for number in {int(present[0]), int(counts.argmax())} if len(present) else ():
            self._decoded(stored, 1, number)

    def sampling(self, stored: int) -> tuple[int, ...] | None:
        """Of JPEG, how each component is sampled, as in its frame; None for any other kind."""
        page = self._pages[stored]
        if page.compression != 7 or not page.counts.any():
            return None
        return jpeg_body(self.raw(stored, int(page.counts.argmax())))[1][3]

    def associated(self, name: str) -> Pixels:
        """Another picture of the file, uint8 [h, w, 3]; raises SlideError for an unknown name."""
        from eosin.slides.associated import picture

        return picture(self.path, name, self._pyramid.associated)

    def close(self) -> None:
        """Close the file, once no thread reads it any more."""
        self._file = None
        self.tiles.clear()


def _check_places(page: Page, size: int) -> None:
    """Raise SlideError where a tile lies outside of the file."""
    present = page.counts > 0
    if (page.counts < 0).any() or (page.offsets[present] <= 0).any():
        raise SlideError(f"picture {page.name}: the places of its tiles are damaged")
    ends = page.offsets[present].astype(np.float64) + page.counts[present]
    if len(ends) and ends.max() > size:
        raise SlideError(
            f"picture {page.name}: the file ends at byte {size:,} and its tiles at "
            f"{int(ends.max()):,}; it was cut off, copy it again from where it came"
        )


def _bounds(page: Page) -> Box:
    """The part of the slide that has tiles."""
    assert page.tile_px is not None
    present = (page.counts > 0).reshape(page.grid[1], page.grid[0])
    if not present.any() or present.all():
        return Box(0, 0, *page.size_px)
    (wide, high), (width, height) = page.tile_px, page.size_px
    columns, rows = (np.flatnonzero(present.any(axis=axis)) for axis in (0, 1))
    left, top = int(columns[0]) * wide, int(rows[0]) * high
    right = min((int(columns[-1]) + 1) * wide, width)
    bottom = min((int(rows[-1]) + 1) * high, height)
    return Box(left, top, right - left, bottom - top)


def _info(pyramid: Pyramid) -> SlideInfo:
    from eosin.slides.opening import icc_digest

    page = pyramid.levels[0]
    return SlideInfo(
        format=pyramid.format, compression=NAMES[page.compression], tile_px=page.tile_px,
        objective=pyramid.objective, icc=icc_digest(page.icc),
        associated=tuple(pyramid.associated), notes=pyramid.notes,
    )  # fmt: skip
