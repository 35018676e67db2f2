"""Plain pictures as slides of one level, turned once and on white."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from eosin.errors import SlideError
from eosin.slides.flat import turned
from eosin.slides.opening import open_slide


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".webp"])
def test_a_plain_picture(tmp_path: Path, picture: Any, ending: str) -> None:
    path = tmp_path / f"s{ending}"
    options = {"lossless": True} if ending == ".webp" else {}
    Image.fromarray(picture(300, 200)).save(path, **options)
    slide = open_slide(path)
    assert slide.reader.startswith("Pillow")
    assert slide.info.format.startswith("flat ")
    assert len(slide.levels) == 1
    assert slide.bounds == (0, 0, 300, 200)
    np.testing.assert_array_equal(slide.region(0, 0, 0, 300, 200)[0], picture(300, 200))
    pixels, known = slide.region(0, -5, 190, 20, 20)
    np.testing.assert_array_equal(pixels[:10, 5:], picture(300, 200)[190:, :15])
    assert known.sum() == 150
    assert "give them with --mpp" in slide.info.notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_turned_once(tmp_path: Path, picture: Any, orientation: int) -> None:
    """OpenCV turns, Pillow does not; the reference is Pillow's exif_transpose."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "s.jpg"
    Image.fromarray(picture(300, 200)).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    slide = open_slide(path)
    pixels, _ = slide.region(0, 0, 0, slide.width_px, slide.height_px)
    np.testing.assert_array_equal(pixels, expected)
    assert any("turned" in note for note in slide.info.notes) == (orientation != 1)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("compression", ["zlib", "jpeg"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_tiff_is_turned_as_a_whole(
    tmp_path: Path, picture: Any, write_tiff: Any, orientation: int, compression: str, tiled: bool
) -> None:
    """OpenSlide turns the inside of each lossless tile, so it is not asked."""
    base = picture(300, 200)
    path = write_tiff(
        tmp_path / "s.tif", base, compression=compression, tile=(128, 128) if tiled else None,
        resolution=(20000, 40000), resolutionunit="CENTIMETER",
        extratags=[(274, 3, 1, orientation, True)],
    )  # fmt: skip
    slide = open_slide(path)
    assert slide.reader.startswith("Pillow")
    pixels, _ = slide.region(0, 0, 0, slide.width_px, slide.height_px)
    expected = turned(base, orientation)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= (0 if compression == "zlib" else 60)
    assert slide.scale is not None
    assert slide.scale[:2] == ((0.5, 0.25) if orientation < 5 else (0.25, 0.5))


def test_alpha_is_on_white(tmp_path: Path, picture: Any) -> None:
    base = picture(300, 200)
    alpha = np.full((200, 300, 1), 255, np.uint8)
    alpha[:, :100] = 0
    Image.fromarray(np.concatenate([base, alpha], axis=2)).save(tmp_path / "s.png")
    pixels, known = open_slide(tmp_path / "s.png").region(0, 0, 0, 300, 200)
    assert (pixels[:, :100] == 255).all()
    assert not known[:, :100].any()
    assert known[:, 100:].all()
    np.testing.assert_array_equal(pixels[:, 100:], base[:, 100:])


def test_a_stripped_tiff_with_aperio_text_has_its_scale(
    tmp_path: Path, picture: Any, write_tiff: Any, aperio: Any
) -> None:
    path = write_tiff(
        tmp_path / "s.svs", picture(300, 200), tile=None, description=aperio(300, 200)
    )
    slide = open_slide(path)
    assert slide.reader.startswith("Pillow")
    assert slide.scale is not None
    assert slide.scale[:2] == (0.499, 0.499)
    assert slide.info.objective == 20


def test_the_icc_profile_is_recorded_and_not_applied(tmp_path: Path, picture: Any) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(picture(30, 20)).save(tmp_path / "s.png", icc_profile=profile)
    slide = open_slide(tmp_path / "s.png")
    assert len(slide.info.icc) == 32
    np.testing.assert_array_equal(slide.region(0, 0, 0, 30, 20)[0], picture(30, 20))


def test_several_pages_are_said(tmp_path: Path, picture: Any) -> None:
    first, second = (Image.fromarray(picture(30, 20, seed)) for seed in (0, 1))
    first.save(tmp_path / "s.tif", save_all=True, append_images=[second])
    slide = open_slide(tmp_path / "s.tif")
    assert "of 2 pictures in the file, the first is used" in slide.info.notes


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path, picture: Any) -> None:
    """Pillow's own limit is 2 x 89 million; this one is on purpose."""
    data = io.BytesIO()
    Image.fromarray(picture(30, 20)).save(data, "PNG")
    header = bytearray(data.getvalue())
    header[16:24] = (30_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    (tmp_path / "s.png").write_bytes(header)
    with pytest.raises(SlideError, match="more than 268,435,456 pixels; make a tiled pyramid"):
        open_slide(tmp_path / "s.png")


def test_a_closed_picture(tmp_path: Path, picture: Any) -> None:
    Image.fromarray(picture(30, 20)).save(tmp_path / "s.png")
    slide = open_slide(tmp_path / "s.png")
    with pytest.raises(SlideError, match="no level 1"):
        slide.region(1, 0, 0, 1, 1)
    with pytest.raises(SlideError, match="no picture 'label' beside the slide; it has none"):
        slide.associated("label")
    slide.close()
    with pytest.raises(SlideError, match="is closed"):
        slide.region(0, 0, 0, 1, 1)
