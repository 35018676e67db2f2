"""Slides that are damaged or absurd: a sentence each, and never much memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from eosin.errors import SlideError
from eosin.slides.opening import open_slide
from eosin.slides.tiff import TiffSlide


def test_a_file_that_is_cut_off(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    path = write_tiff(tmp_path / "s.tif", picture(700, 500))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SlideError, match=r"cut off"):
        TiffSlide(path)


def damaged(path: Path, number: int, data: bytes) -> Path:
    """The first bytes of a tile overwritten."""
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[number], tiff.pages[0].databytecounts[number]
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data[:count])
    return path


@pytest.mark.parametrize("compression", ["jpeg", "zlib", "lzw", "zstd", "webp", "jpegxl"])
def test_a_damaged_tile_is_an_error_that_names_its_place(
    tmp_path: Path, picture: Any, write_tiff: Any, compression: str
) -> None:
    path = write_tiff(tmp_path / "s.tif", picture(700, 500), compression=compression)
    slide = TiffSlide(damaged(path, 8, bytes(range(256)) * 40))
    slide.region(0, 0, 0, 128, 128)
    with pytest.raises(SlideError, match="picture 0, column 2, row 1; the file is damaged"):
        slide.region(0, 256, 128, 10, 10)
    slide.region(0, 0, 128, 128, 128)  # the rest is still read


def test_a_tile_that_declares_another_size_is_not_decoded(
    tmp_path: Path, picture: Any, write_tiff: Any
) -> None:
    """A JPEG of 65,500 x 65,500 pixels in a tile would fill the memory."""
    path = write_tiff(tmp_path / "s.tif", picture(700, 500), compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[8], tiff.pages[0].databytecounts[8]
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0", offset, offset + count)
    data[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"
    path.write_bytes(data)
    with pytest.raises(SlideError, match="65500x65500"):
        TiffSlide(path).region(0, 256, 128, 10, 10)


def test_a_tile_that_inflates_to_more_than_a_tile(tmp_path: Path, picture: Any) -> None:
    import zlib

    bomb = zlib.compress(bytes(1 << 26))
    path = tmp_path / "s.tif"
    tifffile.imwrite(
        path, iter([bomb] * 6), shape=(200, 300, 3), dtype=np.uint8, tile=(128, 128),
        metadata=None, photometric="rgb", compression="zlib",
    )  # fmt: skip
    with pytest.raises(SlideError, match="damaged"):
        TiffSlide(path)


def patched(path: Path, page: int, **tags: Any) -> Path:
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name, value in tags.items():
            tiff.pages[page].tags[name].overwrite(value)
    return path


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageWidth": 0}, {"TileWidth": 0}, {"ImageWidth": 60_000}, {"TileLength": 65_520},
        {"SamplesPerPixel": 200}, {"BitsPerSample": (0, 0, 0)}, {"PlanarConfiguration": 9},
        {"Compression": 60_000}, {"PhotometricInterpretation": 300},
    ],
    ids=str,
)  # fmt: skip
def test_absurd_tags(tmp_path: Path, picture: Any, write_tiff: Any, tags: Any) -> None:
    path = patched(write_tiff(tmp_path / "s.tif", picture(300, 200)), 0, **tags)
    with pytest.raises(SlideError):
        TiffSlide(path)


def test_a_huge_declared_size_with_few_tiles(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    path = write_tiff(tmp_path / "s.tif", picture(300, 200), bigtiff=True)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("ImageWidth", "ImageLength"):
            tiff.pages[0].tags[name].overwrite(2**31 - 1, dtype="I")
    with pytest.raises(SlideError, match="the number of its tiles does not fit its size"):
        TiffSlide(path)


def test_directories_in_a_circle(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    path = write_tiff(tmp_path / "s.tif", picture(300, 200), picture(150, 100))
    with tifffile.TiffFile(path) as tiff:
        second = tiff.pages[1].offset
    data = bytearray(path.read_bytes())
    count = int.from_bytes(data[second : second + 2], "little")
    at = second + 2 + 12 * count
    data[at : at + 4] = second.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SlideError, match="more than 256 TIFF directories"):
        TiffSlide(path)


@pytest.mark.parametrize("number", [34712, 33005])
def test_a_jpeg_2000_tile_of_another_size(
    tmp_path: Path, picture: Any, write_tiff: Any, number: int
) -> None:
    """OpenJPEG would decode all of it before it looks at what it is to fill."""
    path = write_tiff(tmp_path / "s.tif", picture(300, 200), compression=number)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = data.index(b"\xff\x4f\xff\x51", tiff.pages[0].dataoffsets[0])
    data[at + 8 : at + 16] = (30_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    with pytest.raises(SlideError, match="a JPEG 2000 of another size"):
        TiffSlide(path)


def test_openslide_is_not_asked_for_a_tile_that_fills_the_memory(
    tmp_path: Path, picture: Any, write_tiff: Any
) -> None:
    """It ends the whole process where it gets no memory."""
    path = write_tiff(tmp_path / "s.tif", picture(300, 200))
    patched(path, 0, TileWidth=65_520, TileLength=65_520)
    with pytest.raises(SlideError, match=r"eosin: .*; openslide: its tiles are too large"):
        open_slide(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(SlideError, match="cannot be opened"):
        open_slide(path)
