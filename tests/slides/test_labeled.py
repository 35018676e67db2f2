"""Annotations become labeled patches: by share of overlap, with holes, classes and cases."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fakes import FakeSlide

from eosin.data.store import PatchStore
from eosin.errors import RejectsError, SlideError, SourceError, UserError
from eosin.slides.annotations import by_class, file_for, read_annotations
from eosin.slides.geojson import Area
from eosin.slides.labeled import MIXED, NO_TISSUE, Cut, Places, place_patches
from eosin.slides.packing import pack_slides
from eosin.slides.slide import Box, Scale
from eosin.slides.tissue import GLASS, PEN, TISSUE, Tissue

shapely = pytest.importorskip("shapely")
tifffile = pytest.importorskip("tifffile")

ALL = Box(0, 0, 400, 200)


def tissue(label: int = TISSUE) -> Tissue:
    return Tissue(np.full((20, 40), label, np.uint8), (5.0, 5.0), "a test")


def places(areas: list[Area], mask: Tissue | None = None, **cut: Any) -> Places:
    """Patches of 50 level-0 pixels on a slide of 400 x 200: 8 x 4 of them."""
    within = cut.pop("within", None)
    slide = FakeSlide(np.zeros((200, 400, 3), np.uint8), Scale(0.5, 0.5, ""), within=within)
    asked = Cut((25, 25), 1.0, **cut)
    return place_patches(slide, by_class(areas, asked.classes), mask or tissue(), asked)


def at(found: Places) -> dict[tuple[int, int], str]:
    return {(int(x), int(y)): n for x, y, n in zip(found.x, found.y, found.names, strict=True)}


def box(name: str, *corners: float) -> Area:
    return Area(name, shapely.box(*corners))


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(name: str, coordinates: Any, kind: str = "Polygon") -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", "classification": {"name": name}},
    }


def write(path: Path, *features: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_slide(path: Path, *, mpp: float | None = 1.0, seed: int = 0) -> np.ndarray:
    """200 x 150 pixels of stained noise as a tiled TIFF."""
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(seed).integers(-15, 15, (150, 200, 3))
    image = np.asarray(np.array([210, 120, 160]) + noise, np.uint8)
    scale = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"} if mpp else {}
    tifffile.imwrite(path, image, tile=(64, 64), photometric="rgb", metadata=None, **scale)
    return image


def test_a_patch_has_the_class_that_half_of_it_lies_in() -> None:
    # 50 pixels wide: the second column is covered by 24 and 25 of them.
    assert at(places([box("tumor", 0, 0, 74, 50)])) == {(0, 0): "tumor"}
    assert at(places([box("tumor", 0, 0, 75, 50)])) == {(0, 0): "tumor", (50, 0): "tumor"}
    found = at(places([box("tumor", 0, 0, 60, 50)], overlap=0.2))
    assert found == {(0, 0): "tumor", (50, 0): "tumor"}
    # A quarter of the area: half of the width and of the height.
    assert at(places([box("a", 25, 25, 50, 50)], overlap=0.25)) == {(0, 0): "a"}
    assert not at(places([box("a", 25, 25, 50, 49)], overlap=0.25))


def test_holes_and_multi_polygons_count_as_they_are_drawn() -> None:
    holed = shapely.Polygon(square(0, 0, 150), [square(50, 50, 50)])
    found = at(places([Area("tumor", holed)]))
    assert set(found) == {(x, y) for x in (0, 50, 100) for y in (0, 50, 100)} - {(50, 50)}
    parts = shapely.MultiPolygon([shapely.box(0, 0, 20, 50), shapely.box(30, 0, 50, 50)])
    assert at(places([Area("tumor", parts)], overlap=0.8)) == {(0, 0): "tumor"}
    assert not at(places([Area("tumor", parts)], overlap=0.81))


def test_the_background_is_what_nobody_marked() -> None:
    found = places([box("tumor", 0, 0, 80, 50)], background="normal")
    names = at(found)
    assert len(names) == 32
    assert names[0, 0] == names[50, 0] == "tumor"
    assert list(names.values()).count("normal") == 30
    # With a higher share the patch between them is neither.
    found = places([box("tumor", 0, 0, 80, 50)], background="normal", overlap=0.7)
    assert len(at(found)) == 31
    assert (50, 0) not in at(found)
    assert found.left_out == {NO_TISSUE: 0, MIXED: 1}
    # A class may be marked and be the background as well: 0.3 and 0.3 of it are 0.6.
    two = [box("tumor", 0, 0, 20, 50), box("normal", 20, 0, 35, 50)]
    assert at(places(two, background="normal"))[0, 0] == "normal"
    assert at(places(two, background="normal", overlap=0.3))[0, 0] == "tumor"


def test_classes_are_mapped_and_what_nobody_asked_for_is_no_background() -> None:
    areas = [
        box("Tumor: grade 3", 0, 0, 50, 50), box("tumor", 50, 0, 100, 50),
        box("Necrosis", 100, 0, 150, 50), box("Ignore*", 150, 0, 200, 50),
        box("", 200, 0, 250, 50), box("Artefact", 250, 0, 300, 50),
    ]  # fmt: skip
    classes = {"TUMOR": "positive", "artefact": ""}
    found = at(places(areas, background="negative", classes=classes))
    assert found[0, 0] == found[50, 0] == "positive"
    assert found[300, 0] == "negative"
    assert not {(100, 0), (150, 0), (200, 0), (250, 0)} & set(found)
    known = by_class(areas, classes)
    assert known.unknown_names == ("Necrosis", "")
    # Without a map every class keeps its name.
    assert set(at(places(areas)).values()) == {"Tumor: grade 3", "tumor", "Necrosis", "Artefact"}


def test_an_area_inside_another_decides_and_what_is_cut_out_is_gone() -> None:
    areas = [
        box("stroma", 0, 0, 200, 200), box("tumor", 0, 0, 50, 50),
        box("Ignore*", 50, 0, 400, 200),
    ]  # fmt: skip
    assert at(places(areas)) == {
        (0, 0): "tumor", (0, 50): "stroma", (0, 100): "stroma", (0, 150): "stroma",
    }  # fmt: skip
    assert by_class(list(reversed(areas)), {}).shapes["stroma"].area == 7500


def test_patches_on_glass_are_left_out_and_a_mark_beats_a_rule() -> None:
    areas = [box("tumor", 0, 0, 50, 200)]
    found = places(areas, tissue(GLASS), background="normal")
    assert not at(found)
    assert found.left_out == {NO_TISSUE: 32, MIXED: 0}
    found = places(areas, tissue(PEN), background="normal")
    assert set(at(found)) == {(0, y) for y in (0, 50, 100, 150)}


def test_the_grid_begins_at_the_scanned_part_and_has_no_drift() -> None:
    # 25 pixels of 1.01 um are 50.5 level-0 pixels.
    slide = FakeSlide(
        np.zeros((120, 20_000, 3), np.uint8), Scale(0.5, 0.5, ""), within=Box(7, 11, 19_000, 60)
    )
    asked = Cut((25, 25), 1.01)
    found = place_patches(slide, by_class([box("a", 0, 0, 20_000, 120)], {}), tissue(), asked)
    assert found.x.tolist() == [7 + int(k * 50.5 + 0.5) for k in range(376)]
    assert set(found.y.tolist()) == {11}
    apart = Cut((25, 25), 1.0, stride_um=100)
    found = place_patches(slide, by_class([box("a", 0, 0, 500, 120)], {}), tissue(), apart)
    assert found.x.tolist() == [7, 207, 407]
    no_scale = FakeSlide(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(SlideError, match="has no scale; give it in the column mpp"):
        place_patches(no_scale, by_class([], {}), tissue(), asked)


ASAP = """<?xml version="1.0"?>
<ASAP_Annotations><Annotations>
<Annotation Name="A 0" Type="Polygon" PartOfGroup="Tumor" Color="#F4FA58"><Coordinates>
<Coordinate Order="1" X="50" Y="0"/><Coordinate Order="0" X="0,0" Y="0"/>
<Coordinate Order="2" X="50" Y="40.5"/><Coordinate Order="3" X="0" Y="40.5"/>
</Coordinates></Annotation>
<Annotation Name="Stroma" Type="Rectangle" PartOfGroup="None" Color="#F4FA58"><Coordinates>
<Coordinate Order="0" X="50" Y="0"/><Coordinate Order="1" X="90" Y="0"/>
<Coordinate Order="2" X="90" Y="10"/><Coordinate Order="3" X="50" Y="10"/>
</Coordinates></Annotation>
<Annotation Name="d" Type="Dot" PartOfGroup="Tumor"><Coordinates>
<Coordinate Order="0" X="5" Y="5"/></Coordinates></Annotation>
</Annotations><AnnotationGroups><Group Name="Tumor" PartOfGroup="None" Color="#64FE2E"/>
</AnnotationGroups></ASAP_Annotations>"""


def test_asap_is_read_from_the_corner_of_level_0(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(ASAP)
    found = read_annotations(tmp_path / "a.xml", Box(7, 7, 100, 100))
    assert [(area.name, area.shape.area) for area in found.areas] == [
        ("Tumor", 2025.0), ("Stroma", 400.0),
    ]  # fmt: skip
    assert found.areas[0].shape.bounds == (0, 0, 50, 40.5)
    assert found.notes == ("a.xml: 1 annotations have no area (dots, points)",)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.xml", "<a><b></a>", "is no XML"),
        ("a.xml", "<Annotations/>", "not ASAP's"),
        ("a.xml", ASAP.replace('X="90"', 'X="east"'), "annotation 2 are damaged"),
        ("a.xml", ASAP.replace('X="90"', 'X="1e99"'), "too large"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "b">]><ASAP_Annotations/>', "document type"),
        ("a.geojson", "{", "is no GeoJSON"),
        ("a.geojson", "[1]", "no collection of features"),
    ],
)
def test_damaged_annotations_are_a_sentence(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=reason) as caught:
        read_annotations(tmp_path / name, ALL)
    assert str(tmp_path / name) in str(caught.value)


def test_the_file_of_a_slide_has_its_name(tmp_path: Path) -> None:
    for name in ("a.geojson", "b.svs.json", "c.xml", "d.geojson", "d.xml"):
        (tmp_path / name).write_text("")
    found = [file_for(Path(name), tmp_path) for name in ("a.svs", "b.svs", "c.ome.tif", "e.svs")]
    assert [each and each.name for each in found] == ["a.geojson", "b.svs.json", "c.xml", None]
    with pytest.raises(SourceError, match=r"2 files of annotations for d\.svs"):
        file_for(Path("d.svs"), tmp_path)


def test_slides_and_annotations_become_a_store(tmp_path: Path) -> None:
    slides, drawn = tmp_path / "slides", tmp_path / "drawn"
    first = write_slide(slides / "P1_a.tif")
    write_slide(slides / "P1_b.tif", seed=1)
    write_slide(slides / "P2_a.tif", seed=2)
    write_slide(slides / "P3_a.tif", seed=3)
    write(drawn / "P1_a.geojson", feature("Tumor", [square(0, 0, 50)]))
    write(drawn / "P1_b.geojson", feature("Stroma", [[square(0, 0, 50)]], "MultiPolygon"))
    (drawn / "P2_a.xml").write_text(ASAP)
    seen: list[tuple[int, int]] = []
    made = pack_slides(
        slides, drawn, tmp_path / "s.store", Cut((25, 25), 2.0, background="normal", classes={
            "tumor": "tumor", "stroma": "normal"}), case_pattern=r"^(P\d+)_",
        progress=lambda *step: seen.append(step),
    )  # fmt: skip
    assert len(made) == 36
    assert made.classes == ("normal", "tumor")
    assert made.mpp == 2.0
    assert made.patch_size == (25, 25)
    assert made.index["case"].to_list() == ["P1"] * 24 + ["P2"] * 12
    assert made.index["slide"].unique(maintain_order=True).to_list() == ["P1_a", "P1_b", "P2_a"]
    assert made.labels.tolist() == [1] + 23 * [0] + [1] + 11 * [0]
    assert made.index["x"].to_list()[:5] == [0, 50, 100, 150, 0]
    assert made.index["y"].to_list()[:5] == [0, 0, 0, 0, 50]
    assert made.index["source"][1] == "P1_a.tif [x=50,y=0]"
    # Half the scale is the mean of 2 x 2 pixels.
    mean = first[:50, 50:100].reshape(25, 2, 25, 2, 3).mean(axis=(1, 3))
    assert np.abs(mean - made.patches[1]).max() <= 0.5
    assert made.info["layout"] == "slides"
    assert "at least 50 % of a patch" in made.info["reading"]["text"]
    assert "1 slides have no file of annotations: P3_a.tif" in made.info["notes"]
    assert seen[-1] == (36, 36)
    assert not made.info["rejects"]
    # The grid's step is known by the store, for its mosaics.
    from eosin.data.grid import field_px

    assert field_px(made) == 50
    assert made.info["reading"]["fields_px"] == {"P1_a": 50, "P1_b": 50, "P2_a": 50}


def test_the_mosaic_of_a_slide_at_an_odd_scale_has_no_gaps(tmp_path: Path) -> None:
    from eosin.data.grid import field_px
    from eosin.data.mosaic import EMPTY, mosaic_image

    write_slide(tmp_path / "slides" / "a.tif", mpp=0.499)
    write_slide(tmp_path / "slides" / "b.tif", mpp=0.25)
    for name in "ab":
        write(tmp_path / "drawn" / f"{name}.geojson", feature("Tumor", [square(0, 0, 200)]))
    made = pack_slides(
        tmp_path / "slides", tmp_path / "drawn", tmp_path / "s.store", Cut((20, 20), 1.0)
    )
    rows = np.flatnonzero(made.cases == "a")
    assert (field_px(made, rows), field_px(made)) == (40, 80)
    assert len(rows) == 15
    # Patches begin at the nearest pixel, so a column of the picture may stay between two.
    image = mosaic_image(made, rows).image
    assert (image == EMPTY).all(axis=2).mean() < 0.06


def test_cases_and_scales_come_from_a_table(tmp_path: Path) -> None:
    write_slide(tmp_path / "slides" / "a.tif", mpp=None)
    write_slide(tmp_path / "slides" / "b.tif", seed=1)
    write_slide(tmp_path / "slides" / "c.tif", seed=2)
    for name in "abc":
        write(tmp_path / "drawn" / f"{name}.geojson", feature("Tumor", [square(0, 0, 100)]))
    table = tmp_path / "cases.csv"
    table.write_text("slide;patient;split;mpp\na.tif;7;train;0.5\nx/b.tif;8;testing;\n")
    made = pack_slides(
        tmp_path / "slides", tmp_path / "drawn", tmp_path / "s.store", Cut((50, 50), 1.0),
        table=table, max_rejects=1,
    )  # fmt: skip
    assert made.index["case"].to_list() == ["7"] + ["8"] * 4
    assert made.index["part"].to_list() == ["train"] + ["test"] * 4
    assert made.info["rejects"] == [
        {"source": "c.tif", "reason": "unknown case: cases.csv has no row for it"}
    ]
    for text, reason in {
        "slide,mpp\na.tif,99\n": "has the mpp 99", "name,b\n1,2\n": "slide and case",
        "slide,case\na,1\na,2\n": "a second time",
    }.items():  # fmt: skip
        table.write_text(text)
        with pytest.raises(SourceError, match=reason):
            pack_slides(
                tmp_path / "slides", tmp_path / "drawn", tmp_path / "t.store", Cut((50, 50), 1.0),
                table=table,
            )  # fmt: skip
        assert not (tmp_path / "t.store").exists()


def test_a_slide_that_fails_is_a_reject_and_the_rest_goes_on(tmp_path: Path) -> None:
    slides, drawn = tmp_path / "slides", tmp_path / "drawn"
    write_slide(slides / "a.tif")
    write_slide(slides / "b.tif", mpp=None)
    (slides / "c.tif").write_bytes((slides / "a.tif").read_bytes()[:300])
    write_slide(slides / "d.tif")
    for name in "abc":
        write(drawn / f"{name}.geojson", feature("Tumor", [square(0, 0, 100)]))
    (drawn / "d.geojson").write_text("{")
    pack = {"source": slides, "annotations": drawn, "cut": Cut((50, 50), 1.0)}
    with pytest.raises(RejectsError, match="3 of 7 images"):
        pack_slides(store=tmp_path / "s.store", **pack)
    assert not (tmp_path / "s.store").exists()
    made = pack_slides(store=tmp_path / "s.store", max_rejects=3, **pack)
    assert len(made) == 4
    reasons = {each["source"]: each["reason"] for each in made.info["rejects"]}
    assert "has no scale" in reasons["b.tif"]
    assert set(reasons) == {"b.tif", "c.tif", "d.tif"}
    assert all(reason.startswith("unusable slide: ") for reason in reasons.values())
    # By themselves, with no pattern, slides are cases, and a note says so.
    assert made.index["case"].unique().to_list() == ["a"]
    assert any("taken for a case each" in note for note in made.info["notes"])


def test_a_tile_that_cannot_be_decoded_is_a_reject(tmp_path: Path) -> None:
    path = tmp_path / "slides" / "a.tif"
    path.parent.mkdir()
    image = np.full((512, 512, 3), (210, 120, 160), np.uint8)
    tifffile.imwrite(
        path, image, tile=(256, 256), photometric="rgb", metadata=None, compression="zlib",
        resolution=(1e4, 1e4), resolutionunit="CENTIMETER",
    )  # fmt: skip
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        offset, size = page.dataoffsets[3], page.databytecounts[3]
    data = bytearray(path.read_bytes())
    data[offset : offset + size] = b"\xff" * size
    write(tmp_path / "drawn" / "a.geojson", feature("Tumor", [square(0, 0, 512)]))
    cut = Cut((128, 128), 1.0)
    made = pack_slides(path, tmp_path / "drawn", tmp_path / "s.store", cut)
    assert len(made) == 16
    path.write_bytes(data)
    with pytest.raises((SourceError, RejectsError), match=r"damaged|cannot"):
        pack_slides(path, tmp_path / "drawn", tmp_path / "t.store", cut)
    assert not (tmp_path / "t.store").exists()


def test_what_cannot_be_asked_for_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    slides, drawn = tmp_path / "slides", tmp_path / "drawn"
    write_slide(slides / "a.tif")
    write(drawn / "other.geojson", feature("Tumor", [square(0, 0, 100)]))
    cut = Cut((50, 50), 1.0)
    with pytest.raises(SourceError, match=r"no annotations for a\.tif"):
        pack_slides(slides, drawn, tmp_path / "s.store", cut)
    with pytest.raises(SourceError, match="is no folder"):
        pack_slides(slides, drawn / "other.geojson", tmp_path / "s.store", cut)
    with pytest.raises(SourceError, match="no slide in it"):
        pack_slides(drawn, drawn, tmp_path / "s.store", cut)
    with pytest.raises(SourceError, match="does not exist"):
        pack_slides(tmp_path / "none", drawn, tmp_path / "s.store", cut)
    write_slide(slides / "below" / "a.tif")
    with pytest.raises(SourceError, match="there twice, such as a"):
        pack_slides(slides, drawn, tmp_path / "s.store", cut)
    (slides / "below" / "a.tif").unlink()
    with pytest.raises(UserError, match="--annotations"):
        pack_slides(slides, drawn, drawn, cut)
    write(drawn / "a.geojson", feature("Tumor", [square(0, 0, 100)]))
    mapped = Cut((50, 50), 1.0, classes={"stroma": "x"})
    with pytest.raises(SourceError, match="classes not asked for: Tumor"):
        pack_slides(slides, drawn, tmp_path / "s.store", mapped)
    assert not (tmp_path / "s.store").exists()
    assert isinstance(pack_slides(slides, drawn, tmp_path / "s.store", cut), PatchStore)
