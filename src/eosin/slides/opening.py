"""Opening a slide: the readers in order, and the first that opens the file rightly."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from eosin.errors import MissingExtraError, SlideError, UserError, closest, first_line
from eosin.slides import scale as scales
from eosin.slides.slide import Slide

_FLAT_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".jp2")


def _eosin(path: Path) -> Slide:
    from eosin.slides.tiff import TiffSlide

    return TiffSlide(path)


def _openslide(path: Path) -> Slide:
    from eosin.slides.vendor import VendorSlide

    return VendorSlide(path)


def _wsidicom(path: Path) -> Slide:
    from eosin.slides.dicom import DicomSlide

    return DicomSlide(path)


def _flat(path: Path) -> Slide:
    from eosin.slides.flat import FlatSlide

    return FlatSlide(path)


def _fastslide(path: Path) -> Slide:
    from eosin.slides.fast import FastSlide

    return FastSlide(path)


#: The readers in the order in which they are tried; the last is used where it is asked for only.
READERS: dict[str, Callable[[Path], Slide]] = {
    "eosin": _eosin,
    "openslide": _openslide,
    "wsidicom": _wsidicom,
    "flat": _flat,
    "fastslide": _fastslide,
}


def open_slide(
    path: str | os.PathLike[str], *, reader: str | None = None, mpp: float | None = None
) -> Slide:
    """The slide in a file (DICOM: a file or the folder of its series), open for reading.

    reader: one of READERS; None: the first that opens it rightly. mpp: micrometers a pixel, used
    instead of those in the file. Raises SlideError with the reason of each reader where none opens
    it, UserError for an unknown reader or a scale that no slide has, MissingExtraError where the
    part that reads slides is not installed.

    >>> import tempfile, numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (40, 30), "pink").save(f"{folder}/a.png")
    ...     slide = open_slide(f"{folder}/a.png", mpp=0.5)
    ...     slide.width_px, slide.scale.x_um, slide.region(0, -1, 0, 2, 1)[0][0].tolist()
    (40, 0.5, [[255, 255, 255], [255, 192, 203]])
    """
    given = None if mpp is None else scales.given(mpp)
    path = Path(path)
    if reader is not None and reader not in READERS:
        raise UserError(f"no reader {reader!r}; {closest(reader, READERS)}")
    if not path.exists():
        raise SlideError(f"{path}: no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise SlideError(f"{path} is empty (0 bytes); copy it again from where it came")
    reasons = []
    for name in [reader] if reader else _tried(path):
        try:
            slide = READERS[name](path)
        except MissingExtraError:
            raise
        except (SlideError, OSError) as error:
            reason = first_line(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
            reasons.append(f"{name}: {reason}")
            continue
        if given is not None:
            slide.scale = given
            # What the file says of its scale no longer matters.
            notes = tuple(note for note in slide.info.notes if "micrometers" not in note)
            slide.info = replace(slide.info, notes=notes)
        return slide
    raise SlideError(f"{path} cannot be opened as a slide ({'; '.join(reasons)})")


def _tried(path: Path) -> list[str]:
    """The readers that can know such a file."""
    if path.is_dir():
        return ["openslide", "wsidicom"]
    return ["flat"] if path.suffix.lower() in _FLAT_ENDINGS else list(READERS)[:4]


def icc_digest(profile: bytes) -> str:
    """BLAKE2 digest of an ICC profile; "" for none. What follows its own size is left out.

    >>> icc_digest(b""), len(icc_digest(b"profile"))
    ('', 32)
    """
    size = int.from_bytes(profile[:4], "big")
    if 0 < size <= len(profile):
        profile = profile[:size]  # DICOM fills up to an even length
    return hashlib.blake2b(profile, digest_size=16).hexdigest() if profile else ""
