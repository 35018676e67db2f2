"""The own tile path gives OpenSlide's pixels, bit for bit, in every form that both open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import ImageCms

from eosin.slides.slide import Slide
from eosin.slides.tiff import TiffSlide
from eosin.slides.vendor import VendorSlide

JPEG: dict[str, Any] = {"compression": "jpeg"}
#: What is written -> options for tifffile.
FORMS: dict[str, dict[str, Any]] = {
    "uncompressed": {},
    "deflate": {"compression": "zlib"},
    "deflate, predictor": {"compression": "zlib", "predictor": True},
    "LZW": {"compression": "lzw"},
    "LZW, predictor": {"compression": "lzw", "predictor": True},
    "zstd": {"compression": "zstd"},
    "PackBits": {"compression": "packbits"},
    "JPEG, RGB": {"compression": "jpeg", "compressionargs": {"level": 95, "outcolorspace": "rgb"}},
    "JPEG, 4:4:4": JPEG | {"subsampling": (1, 1)},
    "JPEG, 4:2:0": JPEG | {"subsampling": (2, 2)},
    "JPEG, 4:2:2": JPEG | {"subsampling": (2, 1)},
    "JPEG, 4:2:0, quality 75": JPEG | {"subsampling": (2, 2), "compressionargs": {"level": 75}},
    "big TIFF": JPEG | {"bigtiff": True},
    "big-endian big TIFF": {"compression": "lzw", "byteorder": ">", "bigtiff": True},
    "wide tiles": {"compression": "zlib", "tile": (64, 256)},
}


def same(mine: Slide, other: Slide) -> None:
    """Whole levels, and regions across tiles and edges, are equal, and so is what is there."""
    assert [(v.width_px, v.height_px) for v in mine.levels] == [
        (v.width_px, v.height_px) for v in other.levels
    ]
    assert mine.bounds == other.bounds
    assert mine.info.icc == other.info.icc
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
    mine, other = TiffSlide(path), VendorSlide(path)
    same(mine, other)
    difference = np.abs(mine.region(0, 0, 0, 700, 500)[0].astype(int) - base)
    assert difference.mean() < 8
    assert (difference.max() == 0) == (FORMS[form].get("compression") != "jpeg")


@pytest.mark.parametrize("kind", ["gray", "gray JPEG"])
def test_gray(tmp_path: Path, picture: Any, write_tiff: Any, kind: str) -> None:
    options = {"compression": "jpeg"} if "JPEG" in kind else {}
    path = write_tiff(
        tmp_path / "s.tif", picture(300, 200)[..., 0], photometric="minisblack", **options
    )
    same(TiffSlide(path), VendorSlide(path))


def test_svs_in_jpeg_with_all_that_belongs_to_it(
    tmp_path: Path, picture: Any, write_tiff: Any, reduced_by: Any, aperio: Any
) -> None:
    base = picture(1100, 900)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = write_tiff(
        tmp_path / "s.svs", base, reduced_by(base, 4), marked=False, description=aperio(1100, 900),
        compression="jpeg", compressionargs={"outcolorspace": "rgb"}, tile=(240, 240),
        extratags=[(34675, 7, len(icc), icc, True)],
    )  # fmt: skip
    mine, other = TiffSlide(path), VendorSlide(path)
    same(mine, other)
    assert mine.scale is not None
    assert other.scale is not None
    assert mine.scale[:2] == other.scale[:2] == (0.499, 0.499)
    assert mine.info.objective == other.info.objective == 20


def tiles(pixels: Any, encode: Any, side: int = 128) -> Any:
    """The tiles of a picture, each encoded."""
    high, wide = pixels.shape[:2]
    filled = np.pad(pixels, ((0, -high % side), (0, -wide % side), (0, 0)), mode="edge")
    for y in range(0, filled.shape[0], side):
        for x in range(0, filled.shape[1], side):
            yield encode(np.ascontiguousarray(filled[y : y + side, x : x + side]))


def write_encoded(path: Path, pixels: Any, encode: Any, **options: Any) -> Path:
    tifffile.imwrite(
        path, tiles(pixels, encode), shape=pixels.shape, dtype=np.uint8, tile=(128, 128),
        metadata=None, **options,
    )  # fmt: skip
    return path


def test_svs_in_jpeg_2000(tmp_path: Path, picture: Any, aperio: Any) -> None:
    path = write_encoded(
        tmp_path / "s.svs", picture(400, 300),
        lambda tile: imagecodecs.jpeg2k_encode(tile, level=40, codecformat="j2k"),
        photometric="rgb", compression=33005, description=aperio(400, 300),
    )  # fmt: skip
    same(TiffSlide(path), VendorSlide(path))


def test_svs_in_planes_of_ycbcr_goes_to_openslide(
    tmp_path: Path, picture: Any, aperio: Any
) -> None:
    from eosin.slides.opening import open_slide

    base = picture(400, 300)
    planes = cv2.cvtColor(base, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    path = write_encoded(
        tmp_path / "s.svs", planes,
        lambda tile: imagecodecs.jpeg2k_encode(tile, mct=False, reversible=True, codecformat="j2k"),
        photometric="rgb", compression=33003, description=aperio(400, 300),
    )  # fmt: skip
    slide = open_slide(path)
    assert slide.reader == "OpenSlide 4.0.1"
    assert np.abs(slide.region(0, 0, 0, 400, 300)[0].astype(int) - base).max() <= 2


@pytest.mark.parametrize("sign", ["JFIF", "Adobe", "none"])
@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_the_photometric_decides_and_no_sign_in_the_jpeg(
    tmp_path: Path, picture: Any, sign: str, photometric: str
) -> None:
    """JFIF says YCbCr and Adobe may say RGB; OpenSlide believes the TIFF."""
    segment = {
        "JFIF": b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0",
        "Adobe": b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + bytes([photometric == "rgb"]),
        "none": b"",
    }[sign]

    def encode(tile: Any) -> bytes:
        made = imagecodecs.jpeg8_encode(tile, level=90, outcolorspace=photometric)
        at = 2
        while made[at + 1] in range(0xE0, 0xF0):
            at += 2 + int.from_bytes(made[at + 2 : at + 4], "big")
        return b"\xff\xd8" + segment + bytes(made[at:])

    base = picture(300, 200)
    path = write_encoded(
        tmp_path / "s.tif", base, encode, photometric=photometric, compression="jpeg",
        compressionargs={"outcolorspace": photometric},
    )  # fmt: skip
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].photometric == {"rgb": 2, "ycbcr": 6}[photometric]
    mine = TiffSlide(path)
    same(mine, VendorSlide(path))
    assert np.abs(mine.region(0, 0, 0, 300, 200)[0].astype(int) - base).mean() < 6


def without_tiles(path: Path, page: int, numbers: list[int]) -> Path:
    """Tiles of a page taken out of its directory."""
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = tiff.pages[page].tags[name]
            tag.overwrite(tuple(0 if k in numbers else v for k, v in enumerate(tag.value)))
    return path


@pytest.mark.parametrize("left_out", [[7], [0, 1, 2, 3, 4, 5, 6, 12, 18]], ids=["one", "border"])
def test_tiles_that_are_left_out(
    tmp_path: Path, picture: Any, write_tiff: Any, left_out: list[int]
) -> None:
    """They are glass, and the bounds are those of what is there."""
    path = write_tiff(tmp_path / "s.tif", picture(700, 500), compression="zlib")
    without_tiles(path, 0, left_out)
    mine = TiffSlide(path)
    same(mine, VendorSlide(path))
    pixels, known = mine.region(0, 128, 128, 128, 128)
    assert known.all() == (left_out != [7])
    if left_out == [7]:
        assert not known.any()
        assert (pixels == 255).all()
        assert mine.bounds[:2] == (0, 0)
    else:
        assert mine.bounds == (128, 128, 572, 372)


def test_svs_with_tiles_left_out_goes_to_openslide(
    tmp_path: Path, picture: Any, write_tiff: Any, aperio: Any
) -> None:
    """Aperio makes them of another level."""
    from eosin.slides.opening import open_slide

    path = write_tiff(
        tmp_path / "s.svs", picture(700, 500), description=aperio(700, 500), compression="jpeg"
    )
    assert open_slide(without_tiles(path, 0, [3])).reader.startswith("OpenSlide")


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_on_white_and_what_is_clear_is_not_there(
    tmp_path: Path, picture: Any, write_tiff: Any, kind: str
) -> None:
    base = picture(300, 200)
    alpha = np.full((200, 300, 1), 255, np.uint8)
    alpha[:, :100] = 0
    alpha[:, 100:200] = 128
    share = alpha / 255
    colors = base if kind == "unassalpha" else np.rint(base * share).astype(np.uint8)
    path = write_tiff(
        tmp_path / "s.tif", np.concatenate([colors, alpha], axis=2), extrasamples=[kind],
        compression="zlib",
    )  # fmt: skip
    pixels, known = TiffSlide(path).region(0, 0, 0, 300, 200)
    expected = base * share + 255 * (1 - share)
    assert np.abs(pixels - expected).max() <= 1
    np.testing.assert_array_equal(known, alpha[..., 0] > 0)
    others, there = VendorSlide(path).region(0, 0, 0, 300, 200)
    np.testing.assert_array_equal(there, known)
    if kind == "unassalpha":
        # OpenSlide multiplies and divides by alpha, so its colors are one off.
        assert np.abs(others.astype(int) - pixels).max() <= 1


@pytest.mark.real
def test_the_real_slide(real_wsi: Path) -> None:
    path = real_wsi / "CMU-1-Small-Region.svs"
    mine, other = TiffSlide(path), VendorSlide(path)
    same(mine, other)
    assert mine.info.associated == other.info.associated == ("label", "macro", "thumbnail")
    for name in mine.info.associated:
        np.testing.assert_array_equal(mine.associated(name), other.associated(name))


@pytest.mark.real
def test_the_real_pyramid(real_wsi: Path) -> None:
    path = real_wsi / "openslide-python-boxes.tiff"
    same(TiffSlide(path), VendorSlide(path))
