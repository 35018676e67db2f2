"""Pictures beside the slide in a TIFF file: thumbnail, label and macro photograph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eosin.errors import SlideError, closest, first_line, needing
from eosin.slides.codecs import on_white
from eosin.slides.slide import Pixels
from eosin.slides.tags import Page

#: A picture of more pixels than this is not read.
MOST_PX = 100_000_000


def unknown(path: Path, name: str, known: tuple[str, ...]) -> SlideError:
    """The error for a picture that a slide has not."""
    hint = closest(name, known) if known else "it has none"
    return SlideError(f"{path} has no picture {name!r} beside the slide; {hint}")


def picture(path: Path, name: str, pages: Mapping[str, Page]) -> Pixels:
    """One of these pictures, uint8 [h, w, 3]; raises SlideError where it cannot be read."""
    if name not in pages:
        raise unknown(path, name, tuple(pages))
    page = pages[name]
    if page.width_px * page.height_px > MOST_PX:
        raise SlideError(f"{path}: {name} has more than {MOST_PX:,} pixels")
    with needing("slides", "reading slides"):
        import tifffile
    number, _, sub = page.name.partition("/")
    try:
        with tifffile.TiffFile(path) as tiff:
            found = tiff.pages[int(number)]
            pixels = np.asarray((found.pages[int(sub)] if sub else found).asarray())
    # Hostile bytes can make a parser raise anything.
    except Exception as error:
        raise SlideError(f"{path}: {name} cannot be read ({first_line(error)})") from error
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise SlideError(f"{path}: {name} is {pixels.dtype} {pixels.shape}, which is not shown")
    if pixels.shape[2] == 4:
        return on_white(pixels[..., :3], pixels[..., 3:], multiplied=False)[0]
    return pixels
