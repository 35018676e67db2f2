"""DICOM slides: OpenSlide first, wsidicom for what it refuses; one file or the folder."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from eosin.errors import SlideError
from eosin.slides.opening import icc_digest, open_slide

sys.path.insert(0, str(Path(__file__).parent))
from dicoms import ICC, write_slide


@pytest.fixture(scope="module")
def write_series(picture: Any, reduced_by: Any) -> Any:
    """A function that writes a slide of 700 x 500 pixels into a folder; factors of its levels."""

    def write(
        folder: Path, syntax: Any = ExplicitVRLittleEndian, factors: tuple[int, ...] = (1, 2),
        spacing: tuple[float, float] = (0.0010, 0.0005),
    ) -> Path:  # fmt: skip
        base = picture(700, 500)
        levels = [base if factor == 1 else reduced_by(base, factor) for factor in factors]
        return write_slide(folder, levels, spacing, syntax)

    return write


@pytest.mark.parametrize("reader", ["openslide", "wsidicom"])
@pytest.mark.parametrize("what", ["folder", "first", "last"])
def test_one_frame_from_a_file_or_the_folder(
    tmp_path: Path, picture: Any, reduced_by: Any, write_series: Any, reader: str, what: str
) -> None:
    folder = write_series(tmp_path / "d", factors=(1, 2))
    files = sorted(folder.iterdir())
    path = {"folder": folder, "first": files[0], "last": files[-1]}[what]
    slide = open_slide(path, reader=reader)
    assert [level.width_px for level in slide.levels] == [700, 350]
    base = picture(700, 500)
    np.testing.assert_array_equal(slide.region(0, 0, 0, 700, 500)[0], base)
    np.testing.assert_array_equal(slide.region(1, 101, 77, 60, 90)[0],
                                  reduced_by(base)[77:167, 101:161])  # fmt: skip
    pixels, known = slide.region(0, -5, 495, 20, 20)
    np.testing.assert_array_equal(pixels[:5, 5:], base[495:, :15])
    assert known.sum() == 5 * 15
    assert (pixels[~known] == 255).all()
    # PixelSpacing is of rows, then of columns; the origin on the glass means nothing.
    assert slide.scale is not None
    assert slide.scale[:2] == (0.5, 1.0)
    assert slide.scale.anisotropic
    assert any("not square" in note for note in slide.info.notes)
    assert slide.info.objective == 20
    assert slide.info.icc == icc_digest(ICC)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless], ids=["JPEG-LS", "RLE"])
def test_wsidicom_reads_what_openslide_refuses(
    tmp_path: Path, picture: Any, write_series: Any, syntax: Any
) -> None:
    folder = write_series(tmp_path / "d", syntax, spacing=(0.0005, 0.0005))
    with pytest.raises(SlideError, match="openslide: "):
        open_slide(folder, reader="openslide")
    slide = open_slide(folder)
    assert slide.reader.startswith("wsidicom")
    np.testing.assert_array_equal(slide.region(0, 0, 0, 700, 500)[0], picture(700, 500))
    assert slide.info.notes == ()


def test_levels_of_1_4_16(tmp_path: Path, picture: Any, reduced_by: Any, write_series: Any) -> None:
    """wsidicom's level is the exponent of 2; a missing one would be made by scaling."""
    slide = open_slide(write_series(tmp_path / "d", factors=(1, 4, 16)), reader="wsidicom")
    assert [level.width_px for level in slide.levels] == [700, 175, 43]
    for number, factor in enumerate((1, 4, 16)):
        level = slide.levels[number]
        pixels, _ = slide.region(number, 0, 0, level.width_px, level.height_px)
        expected = picture(700, 500) if factor == 1 else reduced_by(picture(700, 500), factor)
        np.testing.assert_array_equal(pixels, expected)


def test_openslide_opens_levels_that_are_no_power_of_two(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "d", factors=(1, 3))
    slide = open_slide(folder)
    assert slide.reader.startswith("OpenSlide")
    assert [level.width_px for level in slide.levels] == [700, 233]
    with pytest.raises(SlideError):
        open_slide(folder, reader="wsidicom")


def test_jpeg_frames_are_the_same_in_both(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "d", JPEGBaseline8Bit)
    regions = [
        open_slide(folder, reader=reader).region(0, 0, 0, 700, 500)[0]
        for reader in ("openslide", "wsidicom")
    ]
    np.testing.assert_array_equal(*regions)


def test_a_folder_of_two_slides(tmp_path: Path, write_series: Any) -> None:
    write_series(tmp_path / "d")
    first = next((tmp_path / "d").iterdir())
    write_series(tmp_path / "d")
    with pytest.raises(SlideError, match="the folder has 2 slides; name a file of one of them"):
        open_slide(tmp_path / "d")
    assert len(open_slide(first, reader="wsidicom").levels) == 2


def test_a_folder_without_a_slide(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(SlideError, match="no DICOM slide is there"):
        open_slide(tmp_path)


def test_dicom_that_is_no_slide_or_is_cut(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "d", JPEGLSLossless)
    files = sorted(folder.iterdir())
    data = pydicom.dcmread(files[0])
    data.Modality = "CT"
    data.save_as(tmp_path / "ct.dcm")
    with pytest.raises(SlideError, match="no slide"):
        open_slide(tmp_path / "ct.dcm")
    shutil.copy(files[0], tmp_path / "whole.dcm")
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SlideError, match="wsidicom"):
        open_slide(folder)


def test_openslide_is_not_asked_for_frames_outside_of_the_file(
    tmp_path: Path, write_series: Any
) -> None:
    """It follows a damaged table of frames anywhere, and the process ends."""
    folder = write_series(tmp_path / "d", JPEGBaseline8Bit, factors=(1,))
    file = next(folder.iterdir())
    data = bytearray(file.read_bytes())
    at = data.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 20
    data[at : at + 4] = (0x7F0000).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(SlideError, match="a table of frames that leads out of the file"):
        open_slide(file, reader="openslide")
