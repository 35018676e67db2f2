"""The own tile path gives OpenSlide's pixels, bit for bit, in every form that both open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.slides.slide import Slide
from eosin.slides.tiff import TiffSlide
from eosin.slides.vendor import VendorSlide

REAL = Path(__file__).parents[3] / "shared" / "data" / "wsi"

#: What is written -> options for tifffile.
FORMS: dict[str, dict[str, Any]] = {
    "uncompressed": {},
    "deflate": {"compression": "zlib"},
    "deflate, predictor": {"compression": "zlib", "predictor": True},
    "LZW": {"compression": "lzw"},
    "LZW, predictor": {"compression": "lzw", "predictor": True},
    "zstd": {"compression": "zstd"},
    "PackBits": {"compression": "packbits"},
    "JPEG, RGB": {"compression": "jpeg", "compressionargs": {"level": 80, "outcolorspace": "rgb"}},
    "JPEG, 4:4:4": {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (1, 1)},
    "JPEG, 4:2:0": {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2)},
    "JPEG, 4:2:2": {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 1)},
    "big TIFF": {"compression": "jpeg", "photometric": "ycbcr", "bigtiff": True},
    "wide tiles": {"compression": "zlib", "tile": (64, 256)},
}


def same(mine: Slide, other: Slide) -> None:
    """Whole levels, and regions across tiles and edges, are equal, and so is what is there."""
    assert [(v.width_px, v.height_px) for v in mine.levels] == [
        (v.width_px, v.height_px) for v in other.levels
    ]
    for number, level in enumerate(mine.levels):
        for box in ((0, 0, level.width_px, level.height_px), (-9, -7, 150, 140), (101, 77, 60, 90)):
            pixels, known = mine.region(number, *box)
            expected, there = other.region(number, *box)
            np.testing.assert_array_equal(pixels, expected)
            np.testing.assert_array_equal(known, there)


@pytest.mark.parametrize("form", FORMS)
def test_generic(tmp_path: Path, picture: Any, write_tiff: Any, reduced_by: Any, form: str) -> None:
    base = picture(700, 500)
    path = write_tiff(tmp_path / "s.tif", base, reduced_by(base), **FORMS[form])
    same(TiffSlide(path), VendorSlide(path))
