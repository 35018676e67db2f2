"""The directories of a TIFF file as plain facts, read by tifffile; no pixel is touched."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.errors import SlideError, first_line, needing

#: A slide has a few levels and pictures; a file of more directories is something else.
MOST_PAGES = 256
#: Bytes at the start of a TIFF file, classic and big, of either byte order.
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# tifffile reports what is odd in a file by logging; what matters here becomes a sentence.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Page:
    """A directory of a TIFF file: one picture, with the tags that decide its pixels."""

    #: Its place in the file: "0", or "0/1" for the second SubIFD of the first.
    name: str
    width_px: int
    height_px: int
    #: Width and height of a tile in pixels; None where the picture is in strips.
    tile_px: tuple[int, int] | None
    compression: int
    photometric: int
    #: Samples a pixel, and bits of each of them.
    samples: int
    bits: tuple[int, ...]
    sample_format: int
    planar: int
    predictor: int
    orientation: int
    fill_order: int
    depth: int
    #: 1: alpha that the colors are multiplied by, 2: alpha beside them, 0: not said.
    extra: tuple[int, ...]
    subfile: int
    #: Where tiles or strips begin in the file and how long they are, in bytes: int64 [n] each.
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    jpeg_tables: bytes
    icc: bytes
    description: str
    software: str
    make: str
    xmp: str
    #: Numerator and denominator of pixels a unit, along x and y; None where a tag is missing.
    resolution: tuple[tuple[int, int], tuple[int, int]] | None
    #: 1 none, 2 inch, 3 centimeter; 2 where the tag is missing (TIFF 6.0).
    unit: int
    codes: frozenset[int]
    subs: tuple[Page, ...] = ()

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width_px, self.height_px

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of tiles; (0, 0) for a picture in strips, or in tiles of no size."""
        if self.tile_px is None or min(self.tile_px) < 1:
            return 0, 0
        return -(-self.width_px // self.tile_px[0]), -(-self.height_px // self.tile_px[1])


def is_tiff(path: Path) -> bool:
    """Whether a file begins as a TIFF does."""
    try:
        with open(path, "rb") as file:
            return file.read(4) in MAGIC
    except OSError:
        return False


def read_pages(path: Path) -> tuple[Page, ...]:
    """All directories of a TIFF file, in file order.

    Raises SlideError where they cannot be read, MissingExtraError without tifffile.
    """
    with needing("slides", "reading slides"):
        import tifffile
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = tuple(islice(_pages(tiff.pages, ""), MOST_PAGES + 1))
    except SlideError:
        raise
    # Hostile bytes can make a parser raise anything.
    except Exception as error:
        raise SlideError(f"its TIFF directories cannot be read ({first_line(error)})") from error
    if not pages:
        raise SlideError("it has no picture")
    if len(pages) > MOST_PAGES:
        raise SlideError(f"it has more than {MOST_PAGES} TIFF directories")
    return pages


def _pages(found: Any, before: str) -> Iterator[Page]:
    for number, page in enumerate(found):
        if number > MOST_PAGES:
            return
        yield _page(page, f"{before}{number}")


def _page(page: Any, name: str) -> Page:
    tags = page.tags

    def value(code: int, otherwise: Any) -> Any:
        tag = tags.get(code)
        return otherwise if tag is None or tag.value is None else tag.value

    def number(code: int, otherwise: int) -> int:
        found = value(code, otherwise)
        return int(found[0] if isinstance(found, tuple) else found)

    tiled = 322 in tags
    tile = (number(322, 0), number(323, 0)) if tiled else None
    samples = number(277, 1)
    sub = () if "/" in name or page.subifds is None else tuple(_pages(page.pages, f"{name}/"))
    return Page(
        name=name, width_px=number(256, 0), height_px=number(257, 0), tile_px=tile,
        compression=number(259, 1), photometric=number(262, -1), samples=samples,
        bits=_ints(value(258, 1)), sample_format=number(339, 1), planar=number(284, 1),
        predictor=number(317, 1), orientation=number(274, 1), fill_order=number(266, 1),
        depth=max(number(32997, 1), number(32998, 1)), extra=_ints(value(338, ())),
        subfile=number(254, 0),
        offsets=np.asarray(_ints(value(324 if tiled else 273, ())), np.int64),
        counts=np.asarray(_ints(value(325 if tiled else 279, ())), np.int64),
        jpeg_tables=_bytes(value(347, b"")), icc=_bytes(value(34675, b"")),
        description=_text(value(270, "")), software=_text(value(305, "")),
        make=_text(value(271, "")), xmp=_text(value(700, "")),
        resolution=_resolution(value(282, None), value(283, None)), unit=number(296, 2),
        codes=frozenset(tag.code for tag in tags), subs=sub,
    )  # fmt: skip


def _ints(value: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in value) if isinstance(value, tuple) else (int(value),)


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return bytes(value) if isinstance(value, tuple | list) else b""


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        value = value[0] if value else ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip("\0")


def _resolution(x: Any, y: Any) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if not (isinstance(x, tuple) and isinstance(y, tuple) and len(x) == len(y) == 2):
        return None
    return (int(x[0]), int(x[1])), (int(y[0]), int(y[1]))
