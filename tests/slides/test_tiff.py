"""The own tile path where OpenSlide cannot be its reference; what it refuses; how it is shared."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from eosin.errors import SlideError
from eosin.slides.codecs import refusal
from eosin.slides.opening import open_slide
from eosin.slides.tags import read_pages
from eosin.slides.tiff import TiffSlide

#: What OpenSlide refuses by the number of its compression, or does not know at all.
ONLY_HERE: dict[str, dict[str, Any]] = {
    "WebP": {"compression": "webp", "compressionargs": {"lossless": True}},
    "LZMA": {"compression": "lzma"},
    "JPEG 2000, 34712": {"compression": 34712, "compressionargs": {"reversible": True}},
    "JPEG 2000, 33005 without Aperio": {
        "compression": 33005, "compressionargs": {"reversible": True},
    },
    "JPEG XL": {"compression": "jpegxl", "compressionargs": {"lossless": True}},
    "LERC": {"compression": "lerc"},
    "big-endian": {"compression": "zlib", "byteorder": ">"},
}  # fmt: skip


@pytest.mark.parametrize("form", ONLY_HERE)
def test_what_only_this_reader_opens(
    tmp_path: Path, picture: Any, write_tiff: Any, reduced_by: Any, form: str
) -> None:
    base = picture(300, 200)
    path = write_tiff(tmp_path / "s.tif", base, reduced_by(base), **ONLY_HERE[form])
    with pytest.raises(SlideError):
        open_slide(path, reader="openslide")
    slide = open_slide(path)
    assert slide.reader.startswith("eosin")
    np.testing.assert_array_equal(slide.region(0, 0, 0, 300, 200)[0], base)
    np.testing.assert_array_equal(slide.region(1, 0, 0, 150, 100)[0], reduced_by(base))


def test_transparent_webp(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    base = picture(300, 200)
    clear = np.full((200, 300, 1), 255, np.uint8)
    clear[:, :150] = 0
    path = write_tiff(
        tmp_path / "s.tif", np.concatenate([base, clear], axis=2), extrasamples=["unassalpha"],
        compression="webp", compressionargs={"lossless": True},
    )  # fmt: skip
    pixels, known = open_slide(path).region(0, 0, 0, 300, 200)
    assert (pixels[:, :150] == 255).all()
    assert not known[:, :150].any()
    np.testing.assert_array_equal(pixels[:, 150:], base[:, 150:])
    assert known[:, 150:].all()


# Which pictures are levels


def pages(path: Path, *written: tuple[Any, int], **options: Any) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for pixels, kind in written:
            tiff.write(
                pixels, subfiletype=kind, metadata=None, photometric="rgb", tile=(128, 128),
                **options,
            )  # fmt: skip
    return path


def test_reduced_pages_that_are_not_marked(tmp_path: Path, picture: Any, reduced_by: Any) -> None:
    base = picture(700, 500)
    slide = open_slide(pages(tmp_path / "s.tif", (base, 0), (reduced_by(base), 0)))
    assert slide.reader.startswith("eosin")
    assert [level.width_px for level in slide.levels] == [700, 350]
    assert any("not marked as reduced" in note for note in slide.info.notes)


@pytest.mark.parametrize("marked", [0, 1])
def test_pages_in_any_order(tmp_path: Path, picture: Any, reduced_by: Any, marked: int) -> None:
    """OpenSlide would keep the first page, or lose the full one."""
    base = picture(1200, 900)
    small, middle = reduced_by(base, 4), reduced_by(base, 2)
    path = pages(tmp_path / "s.tif", (small, marked), (base, 0), (middle, marked))
    slide = open_slide(path)
    assert [level.width_px for level in slide.levels] == [1200, 600, 300]
    for number, expected in enumerate((base, middle, small)):
        high, wide = expected.shape[:2]
        np.testing.assert_array_equal(slide.region(number, 0, 0, wide, high)[0], expected)
    assert any("order 1, 2, 0" in note for note in slide.info.notes)
    assert slide.reader.startswith("eosin")


def test_openslide_is_not_used_where_it_loses_the_full_page(
    tmp_path: Path, picture: Any, reduced_by: Any
) -> None:
    base = picture(700, 500)
    path = pages(tmp_path / "s.tif", (reduced_by(base), 0), (base, 0))
    with pytest.raises(SlideError, match="350x250 px only, and the file has one of 700x500"):
        open_slide(path, reader="openslide")


@pytest.mark.parametrize("other", [(500, 700), (700, 500), (351, 200)])
def test_pages_that_are_no_levels(tmp_path: Path, picture: Any, other: tuple[int, int]) -> None:
    path = pages(tmp_path / "s.tif", (picture(700, 500), 0), (picture(*other), 0))
    with pytest.raises(SlideError, match=r"no levels of one slide|not the shape"):
        TiffSlide(path)


def test_a_level_32_times_smaller(tmp_path: Path, picture: Any, reduced_by: Any) -> None:
    base = picture(2048, 2048)
    slide = open_slide(pages(tmp_path / "s.tif", (base, 0), (reduced_by(base, 32), 1)))
    assert [level.width_px for level in slide.levels] == [2048, 64]


def test_ome_tiff_with_sub_ifds(tmp_path: Path, picture: Any, reduced_by: Any) -> None:
    """OpenSlide sees one level and no scale."""
    base = picture(700, 500)
    path = tmp_path / "s.ome.tif"
    about = {
        "axes": "YXS", "PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.0005,
        "PhysicalSizeYUnit": "mm",
    }  # fmt: skip
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb", "compression": "zlib"}
        tiff.write(base, subifds=1, metadata=about, **options)
        tiff.write(reduced_by(base), subfiletype=1, metadata=None, **options)
        tiff.write(picture(200, 100), metadata={"Name": "label"}, **options)
    slide = open_slide(path)
    assert (slide.reader[:5], slide.info.format) == ("eosin", "OME-TIFF")
    assert slide.scale is not None
    assert slide.scale == (0.5, 0.5, "OME-XML PhysicalSize")
    assert [level.width_px for level in slide.levels] == [700, 350]
    np.testing.assert_array_equal(slide.region(1, 0, 0, 350, 250)[0], reduced_by(base))
    assert slide.info.associated == ("label",)
    np.testing.assert_array_equal(slide.associated("label"), picture(200, 100))


@pytest.mark.parametrize("axes", ["ZYXS", "TYXS"])
def test_an_ome_stack_is_no_slide(tmp_path: Path, picture: Any, axes: str) -> None:
    path = tmp_path / "s.ome.tif"
    stack = np.stack([picture(300, 200, seed) for seed in range(3)])
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(stack, tile=(128, 128), photometric="rgb", metadata={"axes": axes})
    with pytest.raises(SlideError, match="only a flat image is a slide"):
        TiffSlide(path)


# What goes to another reader, and its pixels there


@pytest.mark.parametrize("kind", ["miniswhite", "palette", "planes", "16 bit"])
def test_what_openslide_is_left(tmp_path: Path, picture: Any, write_tiff: Any, kind: str) -> None:
    base = picture(300, 200)
    gray = np.repeat(base[..., :1], 3, axis=2)
    colors = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16)
    written, expected, options = {
        "miniswhite": (255 - base[..., 0], gray, {"photometric": "miniswhite"}),
        "palette": (
            base[..., 0], colors.T[base[..., 0]].astype(np.uint8),
            {"photometric": "palette", "colormap": colors * 257},
        ),
        "planes": (
            np.ascontiguousarray(base.transpose(2, 0, 1)), base, {"planarconfig": "separate"}
        ),
        "16 bit": (base.astype(np.uint16) * 257, base, {}),
    }[kind]  # fmt: skip
    slide = open_slide(write_tiff(tmp_path / "s.tif", written, **options))
    assert slide.reader.startswith("OpenSlide")
    np.testing.assert_array_equal(slide.region(0, 0, 0, 300, 200)[0], expected)
    assert any("16 bits" in note for note in slide.info.notes) == (kind == "16 bit")


def test_depth_16_is_divided_by_257(tmp_path: Path, write_tiff: Any) -> None:
    deep = np.full((200, 200, 3), 1000, np.uint16)
    slide = open_slide(write_tiff(tmp_path / "s.tif", deep))
    assert slide.region(0, 0, 0, 1, 1)[0].ravel().tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"extratags": [(274, 3, 1, 3, True)]}, "turned"),
        ({"extratags": [(305, 2, 0, "Philips DP v1.0", True)]}, "Philips TIFF has rules"),
        ({"extratags": [(65420, 4, 1, 1, True)]}, "Hamamatsu NDPI has rules"),
        ({"extratags": [(700, 1, 9, b"<iScan/>\0", True)]}, "Ventana BIF has rules"),
        ({"description": "<?xml?><scn xmlns='x'/>"}, "Leica SCN has rules"),
        ({"description": "<OME xmlns='x'><Image>"}, "OME-XML is damaged"),
        ({"compression": "png"}, "compression 34933"),
        ({"compression": 33003}, "compression JPEG 2000 33003"),
        ({"tile": None}, "not in tiles"),
    ],
)  # fmt: skip
def test_what_is_refused_has_a_reason(
    tmp_path: Path, picture: Any, write_tiff: Any, options: Any, reason: str
) -> None:
    options = {"software": False} | options
    path = write_tiff(tmp_path / "s.tif", picture(300, 200), **options)
    with pytest.raises(SlideError, match=reason):
        TiffSlide(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fill_order": 2}, "bits are in the other order"),
        ({"depth": 3}, "a volume"),
        ({"sample_format": 2}, "bits a sample"),
        ({"samples": 4, "bits": (8,) * 4, "extra": (0,)}, "not said to be alpha"),
        ({"predictor": 2}, "predictor 2 in none"),
        ({"predictor": 3, "compression": 8}, "predictor 3 in deflate"),
        ({"photometric": 5}, "photometric 5"),
        ({"photometric": 6, "compression": 5}, "YCbCr in LZW"),
        ({"tile_px": (16384, 16384)}, "too large"),
    ],
)
def test_tags_that_are_not_known_for_certain(
    tmp_path: Path, picture: Any, write_tiff: Any, change: Any, reason: str
) -> None:
    page = read_pages(write_tiff(tmp_path / "s.tif", picture(300, 200)))[0]
    assert refusal(page) == ""
    assert reason in refusal(dataclasses.replace(page, **change))
