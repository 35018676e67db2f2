"""Levels that the JPEG codec makes: only where tiles of this slide prove them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from eosin.slides import reduced
from eosin.slides.opening import open_slide
from eosin.slides.reading import factors

JPEG: dict[str, Any] = {"compression": "jpeg"}
RGB: dict[str, Any] = {"compression": "jpeg", "compressionargs": {"outcolorspace": "rgb"}}


def sizes(slide: Any) -> list[tuple[int, int, int]]:
    return [(level.width_px, level.stored, level.reduce) for level in slide.levels]


@pytest.mark.parametrize(
    ("options", "made"),
    [
        (RGB, True),
        (JPEG | {"subsampling": (1, 1)}, True),
        (JPEG | {"subsampling": (2, 2)}, True),
        (JPEG | {"subsampling": (2, 1)}, False),  # 4:2:2 differs by 1.6 gray levels
        ({"compression": "zlib"}, False),
    ],
    ids=["RGB", "4:4:4", "4:2:0", "4:2:2", "deflate"],
)
def test_which_slides_have_them(
    tmp_path: Path, smooth: Any, write_tiff: Any, options: Any, made: bool
) -> None:
    slide = open_slide(write_tiff(tmp_path / "s.tif", smooth, **options))
    found = reduced.with_reduced(slide)
    expected = [(1000, 0, 1), (500, 0, 2), (250, 0, 4), (125, 0, 8)]
    assert sizes(found) == expected[: 4 if made else 1]
    assert sizes(slide) == expected[:1]


@pytest.fixture
def smooth(picture: Any) -> Any:
    """A picture as soft as tissue in a scanner's optics, and of its colors."""
    soft = cv2.GaussianBlur(picture(1000, 700), (0, 0), 2).astype(float)
    gray = soft.mean(axis=2, keepdims=True)
    return (0.8 * gray + 0.2 * soft).astype(np.uint8)


@pytest.mark.parametrize("part", [2, 4, 8])
def test_their_pixels_lie_where_area_reduction_puts_them(
    tmp_path: Path, smooth: Any, write_tiff: Any, part: int
) -> None:
    slide = open_slide(write_tiff(tmp_path / "s.tif", smooth, **RGB))
    with_more = reduced.with_reduced(slide)
    number = [level.reduce for level in with_more.levels].index(part)
    level = with_more.levels[number]
    assert factors(slide, level) == (part, part)
    pixels, known = with_more.region(number, 0, 0, level.width_px, level.height_px)
    assert known.all()
    full = slide.region(0, 0, 0, level.width_px * part, level.height_px * part)[0]
    area = cv2.resize(full, (level.width_px, level.height_px), interpolation=cv2.INTER_AREA)
    assert np.abs(pixels.astype(float) - area).mean() <= 0.5
    across, _ = with_more.region(number, 13, 7, 70, 60)
    np.testing.assert_array_equal(across, pixels[7:67, 13:83])


def test_none_where_the_file_has_a_level(
    tmp_path: Path, smooth: Any, write_tiff: Any, reduced_by: Any
) -> None:
    slide = open_slide(write_tiff(tmp_path / "s.tif", smooth, reduced_by(smooth, 4), **RGB))
    found = sizes(reduced.with_reduced(slide))
    assert found == [(1000, 0, 1), (500, 0, 2), (250, 1, 1), (125, 1, 2), (62, 1, 4), (31, 1, 8)]


def test_none_where_tiles_of_the_slide_differ(tmp_path: Path, write_tiff: Any) -> None:
    """The gate decides by the slide's own tiles."""
    options = JPEG | {"subsampling": (2, 2), "compressionargs": {"level": 98}}
    noise = np.random.default_rng(0).integers(0, 256, (500, 700, 3)).astype(np.uint8)
    slide = open_slide(write_tiff(tmp_path / "s.tif", noise, **options))
    for part in (2, 4, 8):
        assert reduced.difference(slide, 0, part) > reduced.MOST_MEAN
    assert sizes(reduced.with_reduced(slide)) == [(700, 0, 1)]


def test_another_reader_has_none(tmp_path: Path, smooth: Any, write_tiff: Any) -> None:
    slide = open_slide(write_tiff(tmp_path / "s.tif", smooth, **RGB), reader="openslide")
    assert reduced.with_reduced(slide) is slide


@pytest.mark.real
def test_the_real_slide(real_wsi: Path) -> None:
    slide = open_slide(real_wsi / "CMU-1-Small-Region.svs")
    found = reduced.with_reduced(slide)
    assert [level.reduce for level in found.levels] == [1, 2, 4, 8]
    for part in (2, 4, 8):
        assert reduced.difference(slide, 0, part) < 0.3
