"""Which reader opens what, and a sentence for what none opens."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eosin.errors import MissingExtraError, SlideError, UserError
from eosin.slides.opening import READERS, open_slide
from eosin.slides.slide import Slide


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.svs", b"", "is empty"),
        ("a.svs", b"hello, this is no slide at all" * 9, "cannot be opened as a slide"),
        ("a.tif", b"II*\0\x08\0\0\0", "cannot be opened"),
        ("a.tif", b"II*\0\xff\xff\xff\x7f" + bytes(90), "cannot be opened"),
        ("a.tif", b"II+\0\x08\0\0\0" + b"\xff" * 90, "cannot be opened"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "cannot be opened"),
        ("a.mrxs", b"", "is empty"),
        ("a.dcm", bytes(128) + b"DICM" + bytes(90), "cannot be opened"),
    ],
)
def test_what_is_no_slide(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SlideError, match=words) as raised:
        open_slide(tmp_path / name)
    assert "\n" not in str(raised.value)
    assert str(raised.value).count(str(tmp_path)) == 1


def test_each_readers_reason_is_in_the_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"no slide" * 20)
    with pytest.raises(SlideError) as raised:
        open_slide(tmp_path / "a.svs")
    assert str(raised.value) == (
        f"{tmp_path}/a.svs cannot be opened as a slide (eosin: it is not a TIFF; openslide: "
        "OpenSlide does not know its format; wsidicom: it is not DICOM; flat: not an image: it "
        "begins with b'no slide')"
    )


def test_a_missing_file_and_an_unknown_reader(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="no such file"):
        open_slide(tmp_path / "a.svs")
    with pytest.raises(UserError, match="no reader 'openslid'; did you mean openslide"):
        open_slide(tmp_path / "a.svs", reader="openslid")


@pytest.mark.parametrize("reader", ["eosin", "openslide", "flat"])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 200)])
def test_the_smallest_slides(
    tmp_path: Path, write_tiff: Any, reader: str, size: tuple[int, int]
) -> None:
    pixels = np.full((size[1], size[0], 3), 77, np.uint8)
    slide = open_slide(write_tiff(tmp_path / "s.tif", pixels), reader=reader)
    assert (slide.width_px, slide.height_px) == size
    np.testing.assert_array_equal(slide.region(0, 0, 0, *size)[0], pixels)


@pytest.mark.parametrize("reader", ["eosin", "openslide"])
def test_an_all_white_slide(tmp_path: Path, write_tiff: Any, reader: str) -> None:
    white = np.full((300, 400, 3), 255, np.uint8)
    slide = open_slide(write_tiff(tmp_path / "s.tif", white, compression="jpeg"), reader=reader)
    pixels, known = slide.region(0, 0, 0, 400, 300)
    assert (pixels == 255).all()
    assert known.all()


def test_a_slide_without_any_tile(tmp_path: Path, write_tiff: Any) -> None:
    import tifffile

    path = write_tiff(tmp_path / "s.tif", np.zeros((300, 400, 3), np.uint8))
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = tiff.pages[0].tags[name]
            tag.overwrite(tuple(0 for _ in tag.value))
    slide = open_slide(path)
    pixels, known = slide.region(0, 0, 0, 400, 300)
    assert (pixels == 255).all()
    assert not known.any()


def test_every_reader_keeps_the_contract(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    path = write_tiff(tmp_path / "s.tif", picture(300, 200))
    for reader in ("eosin", "openslide", "flat"):
        slide: Slide = open_slide(path, reader=reader)
        assert slide.levels[0] == (slide.levels[0].__class__(300, 200))
        pixels, known = slide.region(0, 10, 20, 30, 40)
        assert (pixels.shape, pixels.dtype) == ((40, 30, 3), np.uint8)
        assert (known.shape, known.dtype) == ((40, 30), np.bool_)
        np.testing.assert_array_equal(pixels, picture(300, 200)[20:60, 10:40])
        assert slide.path == path
        assert slide.info.format
        slide.close()


@pytest.mark.parametrize("missing", ["tifffile", "imagecodecs", "openslide"])
def test_a_missing_part_says_what_to_install(
    tmp_path: Path, picture: Any, write_tiff: Any, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Never a worse reader instead: Pillow would open an SVS without its scale."""
    path = write_tiff(tmp_path / "s.tif", picture(300, 200), compression="zlib")
    monkeypatch.setitem(sys.modules, missing, None)
    reader = "openslide" if missing == "openslide" else None
    with pytest.raises(MissingExtraError, match=r"eosin\[slides\]"):
        open_slide(path, reader=reader)


def test_a_flat_picture_needs_no_part(
    tmp_path: Path, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tifffile", "imagecodecs", "openslide", "wsidicom", "pydicom"):
        monkeypatch.setitem(sys.modules, name, None)
    Image.fromarray(picture(30, 20)).save(tmp_path / "s.png")
    assert open_slide(tmp_path / "s.png").width_px == 30


def test_importing_the_room_loads_no_reader() -> None:
    heavy = ("openslide", "tifffile", "imagecodecs", "wsidicom", "pydicom", "cv2", "PIL")
    code = (
        "import sys, eosin.slides.opening as o, eosin.slides.slide, eosin.slides.scale\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert list(READERS) == ["eosin", "openslide", "wsidicom", "flat", "fastslide"]


def test_fastslide_is_asked_for_by_name_and_its_output_says_so(
    tmp_path: Path, picture: Any, write_tiff: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = picture(300, 200)
    path = write_tiff(tmp_path / "s.tif", base)
    monkeypatch.setitem(sys.modules, "fastslide", None)
    with pytest.raises(UserError, match="pip install fastslide"):
        open_slide(path, reader="fastslide")

    class Made:
        """As fastslide 0.8.1 answers: in the frame of the level, smaller at the edge."""

        level_dimensions, bounds = ((300, 200),), ((0, 0), (300, 200))
        mpp, icc_profile, format = (0.0, 0.0), None, "Aperio"
        properties, associated_images = {"objective_magnification": 20.0}, {}

        def read_region(self, start: Any, level: int, size: Any) -> Any:
            part = base[start[1] : start[1] + size[1], start[0] : start[0] + size[0]]
            return types.SimpleNamespace(numpy=lambda: part)

        def close(self) -> None:
            pass

    made = types.SimpleNamespace(
        __version__="0.8.1", FastSlide=types.SimpleNamespace(from_file_path=lambda path: Made())
    )
    monkeypatch.setitem(sys.modules, "fastslide", made)
    slide = open_slide(path, reader="fastslide")
    assert slide.reader == "fastslide 0.8.1, not exact"
    assert "not exact" in slide.info.notes[0]
    assert slide.scale is None  # 0.0 is none
    pixels, known = slide.region(0, 290, -5, 20, 20)
    np.testing.assert_array_equal(pixels[5:, :10], base[:15, 290:])
    assert known.sum() == 150


@pytest.mark.real
def test_the_real_files(real_wsi: Path) -> None:
    slide = open_slide(real_wsi / "CMU-1-Small-Region.svs")
    assert slide.reader.startswith("eosin (OpenCV")
    assert (slide.width_px, slide.height_px) == (2220, 2967)
    assert slide.scale == (0.499, 0.499, "ImageDescription: MPP")
    assert len(open_slide(real_wsi / "openslide-python-boxes.tiff").levels) == 4
    assert open_slide(real_wsi / "pathml-smalltif.tif").reader.startswith("Pillow")
    for name in ("openslide-python-unopenable.tiff", "openslide-python-unreadable.svs"):
        with pytest.raises(SlideError, match="cannot be opened as a slide"):
            open_slide(real_wsi / name)
