"""OpenSlide for what has rules of its own: frames, bounds, handles."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from eosin.errors import SlideError
from eosin.slides.opening import open_slide
from eosin.slides.vendor import VendorSlide

JPEG: dict[str, Any] = {"photometric": "rgb", "metadata": None, "compression": "jpeg"}

_VIEW = """<image name="{name}" uuid="{name}"><device model="Leica SCN400" version="1.5"/>
<pixels sizeX="{w}" sizeY="{h}">{levels}</pixels>
<view sizeX="{wide}" sizeY="{high}" offsetX="{x}" offsetY="{y}" spacingZ="0"/>
<scanSettings><objectiveSettings><objective>{power}</objective></objectiveSettings>
<illuminationSettings><numericalAperture>0.4</numericalAperture>
<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>"""
_LEVEL = '<dimension sizeX="{w}" sizeY="{h}" r="{number}" ifd="{page}"/>'


@pytest.fixture
def scn(tmp_path: Path, picture: Any, reduced_by: Any) -> Path:
    """A carrier of 5000 x 4000 pixels of 500 nm, with 1000 x 800 scanned from (2000, 1500)."""
    base = picture(1000, 800)
    one = _LEVEL.format(w=256, h=256, number=0, page=0)
    two = "".join(
        _LEVEL.format(w=w, h=h, number=k, page=k + 1)
        for k, (w, h) in enumerate([(1000, 800), (250, 200)])
    )
    whole = _VIEW.format(
        name="m", w=256, h=256, levels=one, wide=2_500_000, high=2_000_000, x=0, y=0, power=1
    )
    part = _VIEW.format(
        name="i", w=1000, h=800, levels=two, wide=500_000, high=400_000, x=1_000_000, y=750_000,
        power=20,
    )  # fmt: skip
    text = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" uuid="u" sizeX="2500000" sizeY="2000000"><barcode>MQ==</barcode>'
        f"{whole}{part}</collection></scn>"
    )
    path = tmp_path / "s.scn"
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(picture(256, 256), description=text, tile=(128, 128), **JPEG)
        scale = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
        tiff.write(base, tile=(128, 128), **JPEG, **scale)
        tiff.write(reduced_by(base, 4), tile=(128, 128), **JPEG)
    return path


def test_leica_scn_has_bounds_in_the_frame_of_the_carrier(scn: Path, picture: Any) -> None:
    slide = open_slide(scn)
    assert (slide.reader, slide.info.format) == ("OpenSlide 4.0.1", "Leica SCN")
    assert (slide.width_px, slide.height_px) == (5000, 4000)
    assert slide.bounds == (2000, 1500, 1000, 800)
    assert slide.scale is not None
    assert slide.scale[:2] == (0.5, 0.5)
    assert slide.info.objective == 20
    assert slide.info.associated == ("macro",)
    pixels, known = slide.region(0, 1990, 1490, 30, 30)
    assert not known[:10].any()
    assert (pixels[:10] == 255).all()
    assert known[10:, 10:].all()
    assert np.abs(pixels[10:, 10:].astype(int) - picture(1000, 800)[:20, :20]).mean() < 8


_PHILIPS = """<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">
<Attribute Name="PIM_DP_SCANNED_IMAGES" PMSVR="IDataObjectArray"><Array>
<DataObject ObjectType="DPScannedImage">
<Attribute Name="PIM_DP_IMAGE_TYPE" PMSVR="IString">WSI</Attribute>
<Attribute Name="DICOM_PIXEL_SPACING">&quot;0.00025&quot; &quot;0.00025&quot;</Attribute>
<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE" PMSVR="IDataObjectArray"><Array>
<DataObject ObjectType="PixelDataRepresentation">
<Attribute Name="DICOM_PIXEL_SPACING">&quot;0.00025&quot; &quot;0.00025&quot;</Attribute>
</DataObject>
<DataObject ObjectType="PixelDataRepresentation">
<Attribute Name="DICOM_PIXEL_SPACING">&quot;0.0005&quot; &quot;0.0005&quot;</Attribute>
</DataObject>
</Array></Attribute></DataObject></Array></Attribute></DataObject>"""


def test_philips_tiff(tmp_path: Path, picture: Any, reduced_by: Any) -> None:
    base = picture(1024, 1024)
    path = tmp_path / "s.tiff"
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        options = JPEG | {"tile": (512, 512), "software": "Philips DP v1.0"}
        tiff.write(base, description=_PHILIPS, **options)
        tiff.write(reduced_by(base), description="level=1", subfiletype=1, **options)
    slide = open_slide(path)
    assert (slide.reader, slide.info.format) == ("OpenSlide 4.0.1", "Philips TIFF")
    assert slide.scale is not None
    assert slide.scale[:2] == (0.25, 0.25)
    assert [level.width_px for level in slide.levels] == [1024, 512]


def test_each_thread_has_its_own_handle(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    base = picture(300, 200)
    slide = VendorSlide(write_tiff(tmp_path / "s.tif", base))
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(slide._handles.get())) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
        thread.join()
    assert len({id(handle) for handle in (*found, slide._handles.get())}) == 4
    slide.close()
    for handle in found:
        with pytest.raises(Exception, match="closed"):
            handle.read_region((0, 0), 0, (1, 1))


def test_a_damaged_tile_is_a_sentence(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    path = write_tiff(tmp_path / "s.tif", picture(700, 500), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(bytes(100))
    slide = VendorSlide(path)
    with pytest.raises(SlideError, match="is damaged"):
        slide.region(0, 0, 0, 10, 10)


@pytest.mark.real
def test_a_file_that_opens_and_cannot_be_read(real_wsi: Path) -> None:
    with pytest.raises(SlideError, match="openslide: is damaged"):
        open_slide(real_wsi / "openslide-python-unreadable.svs")


def test_pictures_beside_the_slide(scn: Path) -> None:
    slide = open_slide(scn)
    assert slide.associated("macro").shape == (256, 256, 3)
    with pytest.raises(SlideError, match="no picture 'label' beside the slide; known: macro"):
        slide.associated("label")
