"""One frame: level-0 pixels; starts at whole level pixels, factors that do not drift."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from eosin.slides.opening import open_slide
from eosin.slides.reading import best_level, factors, overview, read, span
from eosin.slides.slide import Level
from eosin.slides.tiff import TiffSlide

READERS = ("eosin", "openslide")


class Sizes:
    """Only the sizes of a slide."""

    def __init__(self, *sizes: tuple[int, int]) -> None:
        self.levels = tuple(Level(*size, number) for number, size in enumerate(sizes))
        self.width_px, self.height_px = sizes[0]


def halves(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """A size halved and rounded down again and again, as libvips does."""
    sizes = [size]
    for _ in range(times):
        sizes.append((max(1, sizes[-1][0] // 2), max(1, sizes[-1][1] // 2)))
    return sizes


def test_the_factor_of_a_halved_level_is_a_power_of_two() -> None:
    """OpenSlide's mean of both ratios is 32.56 here, and a bar at 8000 lands 141 pixels off."""
    slide: Any = Sizes(*halves((8191, 1023), 5))
    assert slide.levels[5].width_px == 255
    assert [factors(slide, level)[0] for level in slide.levels] == [1, 2, 4, 8, 16, 32]
    bar = 8000 / factors(slide, slide.levels[5])[0]
    assert round(bar) * factors(slide, slide.levels[5])[0] == pytest.approx(8000, abs=16)


@pytest.mark.parametrize(
    "sizes", [((3000, 2000), (1000, 667)), ((1000, 1000), (400, 400)), ((900, 600), (300, 200))]
)
def test_the_factor_of_another_level_is_that_of_each_side(sizes: Any) -> None:
    slide: Any = Sizes(*sizes)
    wide, high = factors(slide, slide.levels[1])
    assert (wide, high) == (
        Fraction(sizes[0][0], sizes[1][0]), Fraction(sizes[0][1], sizes[1][1])
    )  # fmt: skip


def test_a_level_of_2_0003_is_one_of_2() -> None:
    slide: Any = Sizes((6667, 6667), (3333, 3333))
    assert best_level(slide, (Fraction(2), Fraction(2))) == 1
    assert best_level(slide, (Fraction(198, 100), Fraction(198, 100))) == 0
    assert best_level(slide, (Fraction(3), Fraction(3))) == 1
    assert best_level(slide, (Fraction(1, 2), Fraction(1, 2))) == 0


def test_sides_of_other_scales_use_the_level_that_fits_both() -> None:
    slide: Any = Sizes((4000, 4000), (2000, 2000))
    assert best_level(slide, (Fraction(2), Fraction(1))) == 0


def ramp(width: int, height: int) -> Any:
    """A picture whose columns are numbered in two of its colors."""
    columns = np.arange(width)
    line = np.stack([columns % 256, columns // 256, np.zeros_like(columns)], axis=1)
    return np.broadcast_to(line.astype(np.uint8), (height, width, 3)).copy()


@pytest.mark.parametrize("reader", READERS)
def test_a_start_is_a_whole_pixel_of_the_level(
    tmp_path: Path, write_tiff: Any, reader: str
) -> None:
    """OpenSlide would blend two pixels for a start between them, and the other rounds down."""
    path = write_tiff(tmp_path / "s.tif", np.zeros((400, 1200, 3), np.uint8), ramp(600, 200))
    slide = open_slide(path, reader=reader)
    for x in (0, 1, 2, 301, 599):
        pixels = read(slide, x, 0, 4, 2, (Fraction(2), Fraction(2)))
        first = span(Fraction(x), 4, Fraction(2), Fraction(2))[0]
        inside = pixels[0, : max(0, 600 - first)]
        np.testing.assert_array_equal(inside, ramp(600, 1)[0, first : first + 4])


@pytest.mark.parametrize("reader", READERS)
def test_starts_before_the_slide(tmp_path: Path, write_tiff: Any, reader: str) -> None:
    """OpenSlide gives one picture for the starts -31 to 0 at a factor of 32."""
    path = write_tiff(tmp_path / "s.tif", np.zeros((640, 3200, 3), np.uint8), ramp(100, 20))
    slide = open_slide(path, reader=reader)
    for start in (-3, -1, 0, 95):
        pixels, known = slide.region(1, start, -2, 10, 30)
        expected = np.full((30, 10, 3), 255, np.uint8)
        there = np.zeros((30, 10), bool)
        low, high = max(start, 0), min(start + 10, 100)
        expected[2:22, low - start : high - start] = ramp(100, 20)[:, low:high]
        there[2:22, low - start : high - start] = True
        np.testing.assert_array_equal(pixels, expected)
        np.testing.assert_array_equal(known, there)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("box", [(-50, 0, 20, 20), (5000, 5000, 10, 10), (0, -20, 10, 20)])
def test_a_region_outside_is_glass(
    tmp_path: Path, picture: Any, write_tiff: Any, reader: str, box: Any
) -> None:
    slide = open_slide(write_tiff(tmp_path / "s.tif", picture(300, 200)), reader=reader)
    pixels, known = slide.region(0, *box)
    assert (pixels == 255).all()
    assert not known.any()


@pytest.mark.parametrize("reader", READERS)
def test_more_than_4096_pixels_in_one_read(tmp_path: Path, write_tiff: Any, reader: str) -> None:
    """At a factor of 2.0001 OpenSlide blends all from column 4096 on where it cuts itself."""
    level = ramp(4500, 130)
    path = write_tiff(
        tmp_path / "s.tif", np.zeros((260, 9001, 3), np.uint8), level, compression="zlib"
    )
    pixels, _ = open_slide(path, reader=reader).region(1, 0, 0, 4500, 130)
    np.testing.assert_array_equal(pixels[:, :4096], level[:, :4096])
    if reader == "eosin":
        np.testing.assert_array_equal(pixels, level)
    else:
        assert np.abs(pixels[..., 1].astype(int) - level[..., 1]).max() <= 1


def wide_slide(path: Path, width: int, bar: int) -> Path:
    """A slide of one row of tiles, glass but for a dark bar at a column: few of its tiles exist."""
    tile = np.full((256, 256, 3), 255, np.uint8)
    tile[:, bar % 256] = 0

    def tiles() -> Any:
        for column in range(-(-width // 256)):
            yield zlib.compress(tile.tobytes()) if column == bar // 256 else b""

    tifffile.imwrite(
        path, tiles(), shape=(256, width, 3), dtype=np.uint8, tile=(256, 256), photometric="rgb",
        metadata=None, compression="zlib", resolution=(1e4 / 0.2527, 1e4 / 0.2527),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def test_nothing_drifts_on_100_000_pixels(tmp_path: Path) -> None:
    """The last tile at an odd mpp lies within one level-0 pixel."""
    width, mpp, side = 100_003, 0.7311, 224
    slide = open_slide(wide_slide(tmp_path / "s.tif", width, 99_900))
    assert slide.reader.startswith("eosin")
    assert slide.scale is not None
    step = Fraction(mpp) / Fraction(slide.scale.x_um)
    column = int(width / (side * step)) - 1
    found = None
    for number in (column, column + 1):
        start = number * side * step
        pixels = read(slide, start, 0, side, 8, (step, step))
        dark = 255 - pixels[0, :, 0].astype(float)
        if dark.any():
            middle = (dark * (np.arange(side) + 0.5)).sum() / dark.sum()
            found = float(start) + middle * float(step) - 0.5
    assert found is not None
    assert abs(found - 99_900) <= 1


@pytest.mark.parametrize("reader", READERS)
def test_an_overview_of_any_size(
    tmp_path: Path, picture: Any, write_tiff: Any, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = picture(1200, 800)
    slide = open_slide(write_tiff(tmp_path / "s.tif", base), reader=reader)
    whole, known = overview(slide, 300)
    assert whole.shape == (200, 300, 3)
    assert known.all()
    area = cv2.resize(base, (300, 200), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(whole, area)
    monkeypatch.setattr("eosin.slides.reading.BLOCK_PX", 256)
    np.testing.assert_array_equal(overview(slide, 300)[0], area)
    assert overview(slide, 5000)[0].shape == (800, 1200, 3)


def test_an_overview_of_odd_sizes_shows_all(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    slide = open_slide(write_tiff(tmp_path / "s.tif", picture(1201, 37)))
    whole, known = overview(slide, 100)
    assert whole.shape == (3, 100, 3)
    assert known.all()


def test_a_region_may_be_larger_than_the_slide(
    tmp_path: Path, picture: Any, write_tiff: Any
) -> None:
    slide = TiffSlide(write_tiff(tmp_path / "s.tif", picture(30, 20)))
    pixels, known = slide.region(0, -10, -10, 60, 50)
    np.testing.assert_array_equal(pixels[10:30, 10:40], picture(30, 20))
    assert known.sum() == 30 * 20
