"""Micrometers a pixel from every kind of metadata, and what is refused."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest
import tifffile

from eosin.errors import SlideError, UserError
from eosin.slides import scale as scales
from eosin.slides.opening import open_slide
from eosin.slides.pyramid import scale_of
from eosin.slides.tags import read_pages

READERS = ("eosin", "openslide")


def opened(path: Path, reader: str, **options: Any) -> Any:
    slide = open_slide(path, reader=reader, **options)
    return None if slide.scale is None else slide.scale[:2], " ".join(slide.info.notes)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("text", "mpp", "note"),
    [
        ("|AppMag = 20|MPP = 0.499", 0.499, ""),
        ("|AppMag = 40|MPP = 0,2520", 0.252, ""),
        ("|AppMag = 40,0|MPP = 0,2520", 0.252, ""),
        ("|AppMag = 40", None, "objective power 40 is often 0.25: give --mpp 0.25"),
        ("|AppMag = 20", None, "objective power 20 is often 0.5: give --mpp 0.5"),
        ("|AppMag = 40|MPP = 0", None, "objective power 40 is often 0.25"),
        ("|AppMag = 40|MPP = nan", None, "objective power 40 is often 0.25"),
        ("|MPP = 499", None, "499 micrometers a pixel, which no slide has"),
        ("|MPP = 0.01", None, "0.01 micrometers a pixel, which no slide has"),
        ("", None, "no micrometers a pixel; give them with --mpp"),
    ],
)
def test_aperio(
    tmp_path: Path, picture: Any, write_tiff: Any, text: str, mpp: float | None, note: str,
    reader: str,
) -> None:  # fmt: skip
    path = write_tiff(
        tmp_path / "s.svs", picture(300, 200), compression="jpeg",
        description=f"Aperio Image Library v11.2.1\n300x200{text}",
    )  # fmt: skip
    scale, notes = opened(path, reader)
    assert scale == (None if mpp is None else (mpp, mpp))
    assert note in notes
    assert bool(notes) == (mpp is None)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("pixels", "unit", "mpp", "note"),
    [
        ((20000, 20000), "CENTIMETER", (0.5, 0.5), ""),
        ((50800, 50800), "INCH", (0.5, 0.5), ""),
        ((50800, 50800), "NONE", None, "no micrometers"),
        ((50800, 50800), None, (0.5, 0.5), ""),  # no unit is the inch (TIFF 6.0)
        ((20000, 40000), "CENTIMETER", (0.5, 0.25), "not square: 0.5 by 0.25 micrometers"),
        ((25.4, 25.4), "INCH", None, "1000 micrometers a pixel, which no slide has"),
        ((72, 72), "INCH", None, "352.778 micrometers a pixel, which no slide has"),
        ((0, 0), "INCH", None, "no micrometers"),
    ],
)
def test_tiff_resolution(
    tmp_path: Path, picture: Any, write_tiff: Any, pixels: Any, unit: str | None, mpp: Any,
    note: str, reader: str,
) -> None:  # fmt: skip
    path = write_tiff(
        tmp_path / "s.tif", picture(300, 200), resolution=pixels, resolutionunit=unit or "INCH"
    )
    if unit is None:
        without_unit(path)
    scale, notes = opened(path, reader)
    assert scale == (None if mpp is None else pytest.approx(mpp))
    assert note in notes


def without_unit(path: Path) -> None:
    """The tag of the unit becomes one that nobody knows."""
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[296].offset
    data = bytearray(path.read_bytes())
    data[at : at + 2] = struct.pack("<H", 65_123)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("attributes", "mpp"),
    [
        ({"X": "500", "XUnit": "nm", "Y": "0.0005", "YUnit": "mm"}, (0.5, 0.5)),
        ({"X": "0.5", "Y": "0.5"}, (0.5, 0.5)),  # micrometers where there is no unit
        ({"X": "0.5", "XUnit": "µm", "Y": "0.5", "YUnit": "um"}, (0.5, 0.5)),
        ({"X": "0.00005", "XUnit": "cm", "Y": "0.5"}, (0.5, 0.5)),
        ({"X": "2E-5", "XUnit": "in", "Y": "0.5"}, (0.508, 0.5)),
        ({"X": "1", "XUnit": "pixel", "Y": "1", "YUnit": "pixel"}, None),
        ({"XUnit": "µm", "YUnit": "µm"}, None),  # a unit without a size
        ({"X": "0.5"}, None),
        ({"X": "500", "Y": "500"}, None),
    ],
    ids=str,
)
def test_ome(attributes: dict[str, str], mpp: Any) -> None:
    named = {f"PhysicalSize{name}": value for name, value in attributes.items()}
    scale, _ = scales.ome(named)
    assert (None if scale is None else scale[:2]) == (None if mpp is None else pytest.approx(mpp))


def test_the_resolution_of_an_ome_tiff_means_nothing(tmp_path: Path, picture: Any) -> None:
    path = tmp_path / "s.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(
            picture(300, 200), tile=(128, 128), photometric="rgb", resolution=(20000, 20000),
            resolutionunit="CENTIMETER", metadata={"axes": "YXS"},
        )  # fmt: skip
    scale, _, note = scale_of(read_pages(path)[0])
    assert (scale, note) == (None, "")


def test_ome_text_with_entities_is_not_parsed() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><OME>&b;</OME>'
    assert scales.ome_root(bomb) is None
    with pytest.raises(SlideError, match="damaged"):
        scales.ome_root("<OME><Image></OME>")


@pytest.mark.parametrize("first", [0, 1])
def test_the_resolution_of_the_page_that_is_level_0(
    tmp_path: Path, picture: Any, reduced_by: Any, first: int
) -> None:
    """OpenSlide takes page 0's even where that is a small level."""
    base = picture(700, 500)
    written = [(base, 20000, 0), (reduced_by(base), 10000, 1)]
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as tiff:
        for pixels, resolution, kind in written if first == 0 else reversed(written):
            tiff.write(
                pixels, tile=(128, 128), metadata=None, photometric="rgb", subfiletype=kind,
                resolution=(resolution, resolution), resolutionunit="CENTIMETER",
            )  # fmt: skip
    assert opened(path, "eosin")[0] == (0.5, 0.5)


# What a user gives


@pytest.mark.parametrize("reader", READERS)
def test_mpp_is_used_instead_of_the_files(
    tmp_path: Path, picture: Any, write_tiff: Any, reader: str
) -> None:
    path = write_tiff(
        tmp_path / "s.tif", picture(300, 200), resolution=(72, 72), resolutionunit="INCH"
    )
    slide = open_slide(path, reader=reader, mpp=0.25)
    assert slide.scale == (0.25, 0.25, "--mpp")
    assert slide.info.notes == ()


@pytest.mark.parametrize("mpp", [0.0, 0.04, 21, -1, float("nan")])
def test_mpp_that_no_slide_has(tmp_path: Path, picture: Any, write_tiff: Any, mpp: float) -> None:
    path = write_tiff(tmp_path / "s.tif", picture(300, 200))
    with pytest.raises(UserError, match=r"--mpp .* is no scale of a slide"):
        open_slide(path, mpp=mpp)


def test_a_table_of_scales(tmp_path: Path) -> None:
    table = tmp_path / "scales.csv"
    table.write_text("\ufeffslide,mpp,more\nfolder/A.svs,0.25,x\nB,0.5,\n", "utf-8")
    ask = scales.asked(str(table))
    assert [ask(Path(name)) for name in ("A.svs", "else/A.svs", "B.ndpi", "C.svs")] == [
        0.25, 0.25, 0.5, None,
    ]  # fmt: skip
    table.write_text("slide;mpp\nA.svs;0,25\n", "utf-8")
    assert scales.asked(str(table))(Path("A.svs")) == 0.25
    assert scales.asked("0.5")(Path("any")) == 0.5
    assert scales.asked(None)(Path("any")) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("slide,um\nA,0.25\n", "no slide and mpp; the columns are slide,mpp"),
        ("slide,mpp\nA,forty\n", "line 2 has mpp 'forty'"),
        ("slide,mpp\nA,40\n", "line 2 has mpp '40'; micrometers a pixel are 0.05 to 20"),
        ("slide,mpp\nA,0.25\nA,0.5\n", "line 3 gives A a second mpp"),
        ("slide,mpp\n", "has no slides"),
        ("", "has no slides"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, content: str, words: str) -> None:
    table = tmp_path / "scales.csv"
    table.write_text(content, "utf-8")
    with pytest.raises(UserError, match=re.escape(words)):
        scales.asked(str(table))


@pytest.mark.parametrize("text", ["quarter", "0", "-1", "30", "missing.csv"])
def test_what_is_no_mpp(text: str) -> None:
    with pytest.raises(UserError):
        scales.asked(text)
