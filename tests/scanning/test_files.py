"""Each file of a scan, read by another library than the one that wrote it."""

from __future__ import annotations

import gzip
import json
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import openslide
import polars as pl
import pytest
import shapely
import tifffile
from PIL import Image

from eosin.records.points import OUTSIDE, REFER
from eosin.scanning import areas as areas_
from eosin.scanning.areas import areas
from eosin.scanning.facts import unlike_training
from eosin.scanning.geojson import regions
from eosin.scanning.groovy import script
from eosin.scanning.ometiff import plan
from eosin.scanning.writing import read_result, write
from eosin.slides.opening import open_slide
from eosin.slides.polygons import valid
from eosin.slides.slide import Box, Scale

SCHEMA = json.loads((Path(__file__).parent / "qupath.schema.json").read_text("utf-8"))
CHECK = jsonschema.Draft202012Validator(SCHEMA)

#: A ring of hot patches around a cold one, one that touches it at a corner, and one apart.
RING = {(c, r): 0.9 for c in (2, 3, 4) for r in (2, 3, 4)}
CELLS = RING | {(3, 3): 0.1, (5, 5): 0.8, (9, 9): 0.95, (8, 2): 0.5, (0, 0): 0.2, (7, 7): 0.9}
FAR = {(7, 7): 5.0}


def objects(folder: Path, name: str = "s") -> tuple[list[Any], list[Any]]:
    """Features of the regions and of the tiles, checked by the schema."""
    with gzip.open(folder / f"{name}.tiles.geojson.gz", "rt", encoding="utf-8") as file:
        tiles = json.load(file)
    found = json.loads((folder / f"{name}.geojson").read_text("utf-8"))
    for each in (found, tiles):
        CHECK.validate(each)
    return found["features"], tiles["features"]


# The table


def test_the_table_has_a_row_a_patch(make_scan, tmp_path):
    scan = make_scan(CELLS, distances=FAR)
    path = write(scan, tmp_path, "s") / "s.parquet"
    table = pl.read_parquet(path)
    assert table.columns == [
        "x", "y", "width", "height", "x_um", "y_um", "p_benign", "p_tumor", "decision", "refer",
        "out_of_scope", "distance", "column", "row",
    ]  # fmt: skip
    assert len(table) == len(CELLS)
    by_cell = {(row["column"], row["row"]): row for row in table.rows(named=True)}
    words = {cell: by_cell[cell]["decision"] for cell in ((0, 0), (2, 2), (8, 2), (7, 7))}
    assert words == {(0, 0): "benign", (2, 2): "tumor", (8, 2): "refer", (7, 7): "out of scope"}
    assert [cell for cell, row in by_cell.items() if row["refer"]] == [(8, 2)]
    assert [cell for cell, row in by_cell.items() if row["out_of_scope"]] == [(7, 7)]
    assert by_cell[9, 9]["p_tumor"] == np.float32(0.95)
    assert by_cell[9, 9]["x_um"] == 9 * 200 * 0.5
    assert b"Research and education only" in path.read_bytes()


def test_the_table_of_a_model_without_a_check_has_no_distance(make_scan, tmp_path):
    path = write(make_scan({(1, 1): [0.2, 0.7, 0.1]}, classes=("a", "b", "c")), tmp_path, "s")
    table = pl.read_parquet(path / "s.parquet")
    assert "distance" not in table.columns
    assert table.row(0, named=True)["p_b"] == np.float32(0.7)
    assert table["decision"].to_list() == ["b"]


# The pyramid


def test_openslide_and_tifffile_agree_on_the_pyramid(tumor, tmp_path):
    scan = tumor(slide={"scale": Scale(0.5, 0.25, "made up")}, step=40, size=(16_000, 6000))
    path = write(scan, tmp_path, "s") / "s.heatmap.ome.tif"
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        levels = [level.asarray() for level in file.series[0].levels]
        about = file.ome_metadata
        text = tifffile.xml2dict(about)["OME"]["Image"]
        assert file.series[0].axes == "CYX"
        assert file.pages.first.tags["ResolutionUnit"].value == 3
    assert [level.shape for level in levels] == [(2, 150, 400), (2, 75, 200)]
    assert levels[0].dtype == np.uint8
    size = {key: text["Pixels"][key] for key in ("PhysicalSizeX", "PhysicalSizeY")}
    assert size == {"PhysicalSizeX": 20.0, "PhysicalSizeY": 10.0}
    assert text["Pixels"]["PhysicalSizeXUnit"] == text["Pixels"]["PhysicalSizeYUnit"] == "µm"
    names = [each["Name"] for each in text["Pixels"]["Channel"]]
    assert names == ["probability of tumor", "answer"]
    for words in ("0 no patch", "85 out of scope", "170 referred", "255 answered", "(0, 0)"):
        assert words in text["Description"]
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (400, 150)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(20.0)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(10.0)
        seen = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    assert (seen == levels[0][0][..., None]).all()
    # By value: each patch has its probability and its answer.
    column, row = scan.grid.column, scan.grid.row
    assert (levels[0][0][row, column] == np.rint(scan.probabilities[:, 1] * 255)).all()
    answer = np.where(scan.decided == REFER, 170, np.where(scan.decided == OUTSIDE, 85, 255))
    assert (levels[0][1][row, column] == answer).all()
    empty = np.ones((150, 400), bool)
    empty[row, column] = False
    assert empty.any()
    assert not levels[0][:, empty].any()


def test_eosin_finds_the_scale_of_its_own_pyramid(tumor, tmp_path):
    scan = tumor(slide={"scale": Scale(0.5, 0.25, "made up")}, step=40, size=(6000, 3000))
    slide = open_slide(write(scan, tmp_path, "s") / "s.heatmap.ome.tif")
    try:
        assert slide.scale[:2] == pytest.approx((20.0, 10.0))
        assert (slide.width_px, slide.height_px) == (150, 75)
    finally:
        slide.close()


def test_the_pyramid_tells_nothing_of_this_machine(make_scan, tmp_path):
    data = (write(make_scan(CELLS), tmp_path, "s") / "s.heatmap.ome.tif").read_bytes()
    number = uuid.UUID(re.search(rb"urn:uuid:([0-9a-f-]+)", data)[1].decode())
    assert number.version == 5
    assert b"/somewhere" not in data
    assert b"tifffile" not in data.split(b"</OME>")[-1]


def test_a_reduced_level_is_the_mean_of_the_patches_that_are_there(make_scan, tmp_path):
    cells = {(0, 0): 0.2, (1, 0): 0.6, (2, 2): 1.0}
    scan = make_scan(cells, slide={"size": (301 * 20, 20 * 20)}, step=20)
    with tifffile.TiffFile(write(scan, tmp_path, "s") / "s.heatmap.ome.tif") as file:
        low = file.series[0].levels[1].asarray()
    assert low.shape == (2, 10, 151)
    assert low[:, 0, 0].tolist() == [round(0.4 * 255), 255]
    assert low[:, 1, 1].tolist() == [255, 255]
    assert not low[:, 5:].any()


def test_more_classes_have_a_channel_each(make_scan, tmp_path):
    scan = make_scan({(3, 2): [0.2, 0.7, 0.1]}, classes=("a", "b", "c"))
    with tifffile.TiffFile(write(scan, tmp_path, "s") / "s.heatmap.ome.tif") as file:
        pixels = file.asarray()
    assert pixels[:, 2, 3].tolist() == [51, 178, 26, 255]


def test_without_a_scale_the_pyramid_claims_none(make_scan, tmp_path):
    folder = write(make_scan(CELLS, slide={"scale": None}), tmp_path, "s")
    with openslide.OpenSlide(folder / "s.heatmap.ome.tif") as slide:
        assert "openslide.mpp-x" not in slide.properties
    with tifffile.TiffFile(folder / "s.heatmap.ome.tif") as file:
        assert "PhysicalSize" not in file.ome_metadata


def test_a_slide_of_many_steps_keeps_the_pyramid_small(make_scan):
    bounds = Box(17, 3, 99_000, 80_000)
    facts = {"size": (100_000, 81_000), "bounds": bounds}
    planned = plan(make_scan({(0, 0): 0.5}, slide=facts, step=16, field=128))
    assert planned.width * planned.height < 1 << 26
    assert planned.off_px <= 8


# Regions and tiles


def test_qupath_gets_regions_with_holes_and_several_parts(make_scan, tmp_path):
    scan = make_scan(CELLS, distances=FAR)
    found, tiles = objects(write(scan, tmp_path, "s"))
    shapes = [shapely.geometry.shape(each["geometry"]) for each in found]
    assert [shape.geom_type for shape in shapes] == ["MultiPolygon", "Polygon"]
    assert all(shape.is_valid for shape in shapes)
    assert all(each["properties"]["objectType"] == "annotation" for each in found)
    (hole,) = [ring for part in shapes[0].geoms for ring in part.interiors]
    assert hole.bounds == (600, 600, 800, 800)
    assert shapes[0].bounds == (400, 400, 1200, 1200)
    assert [each["properties"]["measurements"]["Area mm2"] for each in found] == [0.09, 0.01]
    assert [shape.area * 0.25e-6 for shape in shapes] == pytest.approx([0.09, 0.01])
    figures = areas(scan)
    assert sum(shape.area for shape in shapes) * 0.25e-6 == pytest.approx(
        figures.positive_mm2.value
    )
    assert figures.largest_focus_mm2.value == pytest.approx(0.09)
    assert found[0]["properties"]["measurements"]["Patches"] == 9
    assert found[0]["properties"]["measurements"]["Highest probability"] == pytest.approx(0.9)
    # A patch that is referred or out of scope is in no region.
    assert not any(shape.covers(shapely.Point(1500, 1500)) for shape in shapes)
    assert len(tiles) == len(CELLS)
    assert {each["properties"]["objectType"] for each in tiles} == {"tile"}
    colors = {
        each["properties"]["classification"]["name"]: each["properties"]["classification"]["color"]
        for each in tiles
    }
    assert set(colors) == {"benign", "tumor", "refer", "out of scope"}
    assert colors["tumor"] == found[0]["properties"]["classification"]["color"]
    measured = tiles[0]["properties"]["measurements"]
    assert list(measured) == ["Probability benign", "Probability tumor", "Distance"]
    ids = [each["id"] for each in (*found, *tiles)]
    assert len(set(ids)) == len(ids)


def test_ids_are_the_same_each_time_and_others_for_other_answers(make_scan, tmp_path):
    one = objects(write(make_scan(CELLS), tmp_path / "1", "s"))
    two = objects(write(make_scan(CELLS), tmp_path / "2", "s"))
    other = objects(write(make_scan(CELLS | {(0, 0): 0.21}), tmp_path / "3", "s"))
    ids = [{each["id"] for part in parts for each in part} for parts in (one, two, other)]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]


def test_regions_of_more_classes_are_of_every_class(make_scan, tmp_path):
    cells = {(0, 0): [0.8, 0.1, 0.1], (1, 0): [0.1, 0.8, 0.1], (2, 0): [0.34, 0.33, 0.33]}
    found, tiles = objects(write(make_scan(cells, classes=("a", "b", "c")), tmp_path, "s"))
    assert [each["properties"]["name"] for each in found] == ["a 1", "b 1"]
    assert [each["properties"]["classification"]["name"] for each in tiles] == ["a", "b", "refer"]


def test_a_class_with_a_colon_is_no_derived_class(make_scan, tmp_path):
    cells = {(0, 0): [0.8, 0.1, 0.1]}
    names = ("tumor: \N{LATIN SMALL LETTER O WITH STROKE}\n1", "_b", "=c")
    found, _ = objects(write(make_scan(cells, classes=names), tmp_path, "s"))
    assert found[0]["properties"]["classification"]["name"] == "tumor - \xf8 1"


def test_probabilities_that_are_no_numbers_are_left_out(make_scan, tmp_path):
    folder = write(make_scan({(0, 0): float("nan"), (1, 0): 0.9}), tmp_path, "s")
    found, tiles = objects(folder)
    assert len(found) == 1
    assert tiles[0]["properties"]["measurements"] == {}
    assert tiles[0]["properties"]["classification"]["name"] == "refer"


def test_patches_outside_the_slide_are_no_objects(make_scan, tmp_path):
    scan = make_scan({(0, 0): 0.9, (2, 0): 0.9}, slide={"size": (300, 200)})
    scan = replace(scan, grid=replace(scan.grid, columns=5))
    found, tiles = objects(write(scan, tmp_path, "s"))
    assert len(found) == len(tiles) == 1


def test_a_ring_that_crosses_itself_is_made_valid():
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    assert not bow.is_valid
    assert valid(bow).is_valid
    assert valid(bow).area == 2.0
    line = shapely.Polygon([(0, 0), (1, 0), (0, 0)])
    assert valid(line).is_empty


# The script


def test_the_script_knows_region_and_channels(make_scan):
    scan = make_scan(CELLS, slide={"bounds": Box(1037, 411, 2600, 2400)})
    planned = plan(scan)
    text = script(scan, planned, "it's a\\b \N{GREEK SMALL LETTER MU}")
    assert "createInstance(-1037, -411, " in text
    x, y = planned.pixel_px
    region = re.search(r"ImageRegion.createInstance\((-?\d+), (-?\d+), (\d+), (\d+), 0, 0\)", text)
    assert int(region[3]) == round(planned.width * x) >= 4000
    assert int(region[4]) == round(planned.height * y) >= 3000
    assert r"def name = 'it\'s a\\b \u03bc.heatmap.ome.tif'" in text
    assert "nChannels() != 2" in text
    assert "@" not in text
    assert text.isascii()
    for left, right in ("()", "[]", "{}"):
        assert text.count(left) == text.count(right)


def test_a_class_cannot_end_a_comment_of_the_script(make_scan):
    names = ("a\\u000aevil()", "b\nevil()", "c")
    scan = make_scan({(0, 0): [1, 0, 0]}, classes=names)
    text = script(scan, plan(scan), "s")
    assert not [line for line in text.splitlines() if line.lstrip().startswith("evil")]
    assert "\\u" not in text


# Figures


def test_figures_by_value(make_scan):
    scan = make_scan(CELLS, distances=FAR)
    figures = areas(scan)
    assert figures.patches == 14
    assert figures.scanned_mm2.value == pytest.approx(0.14)
    assert figures.positive_mm2.value == pytest.approx(0.10)
    assert figures.positive_share.value == pytest.approx(10 / 14)
    assert figures.refer_share.value == pytest.approx(1 / 14)
    assert figures.out_of_scope_share.value == pytest.approx(1 / 14)
    shares = sum(each.share.value for each in figures.classes)
    assert shares + 2 / 14 == pytest.approx(1)
    tissue = (scan.tissue.labels == 1).mean() * 4000 * 3000 * 0.25e-6
    assert figures.tissue_mm2.value == pytest.approx(tissue)


def test_areas_without_a_scale_are_null_with_the_reason(make_scan):
    figures = areas(make_scan(CELLS, slide={"scale": None}))
    for each in (figures.tissue_mm2, figures.scanned_mm2, figures.positive_mm2):
        assert each.value is None
        assert each.note == areas_.NO_SCALE
    assert figures.largest_focus_mm2.value is None
    assert figures.positive_share.value == pytest.approx(11 / 14)


def test_shares_without_a_patch_are_null_with_the_reason(make_scan):
    figures = areas(make_scan({}))
    assert figures.positive_share.value is None
    assert figures.positive_share.note == areas_.NO_PATCH
    assert figures.positive_mm2.value == 0


def test_more_classes_have_figures_of_their_own(make_scan):
    cells = {(0, 0): [0.8, 0.1, 0.1], (1, 0): [0.1, 0.8, 0.1], (2, 0): [0.1, 0.8, 0.1]}
    figures = areas(make_scan(cells, classes=("a", "b", "c")))
    assert figures.positive_mm2.note == areas_.MORE_CLASSES
    assert [each.patches for each in figures.classes] == [1, 2, 0]
    assert figures.classes[1].largest_focus_mm2.value == pytest.approx(0.02)
    assert figures.classes[2].largest_focus_mm2.value == 0


def test_a_slide_unlike_the_training_data_is_flagged(make_scan, tmp_path):
    scan = make_scan(CELLS, distances=dict.fromkeys(list(CELLS)[:5], 9.0))
    assert unlike_training(areas(scan))
    result = read_result(write(scan, tmp_path, "s"))
    assert any("out of scope: the slide may be stained" in note for note in result.facts.notes)
    assert not unlike_training(areas(make_scan(CELLS, distances=FAR)))


# The record


def test_the_record_has_its_parts_and_a_schema(make_scan, tmp_path):
    slide = {"bounds": Box(1000, 400, 2600, 2400), "name": "a b.svs"}
    scan = make_scan(CELLS, slide=slide, distances=FAR, seconds=1.5)
    folder = write(scan, tmp_path, "a b")
    record = json.loads((folder / "a b.json").read_text("utf-8"))
    root = Path(__file__).parents[2]
    schema = json.loads((root / "docs/reference/schemas/scan.json").read_text("utf-8"))
    jsonschema.validate(record, schema)
    assert record["intended_use"] == "Research and education only, not for diagnosis."
    assert record["slide"]["file"] == "a b.svs"
    assert record["slide"]["reader"] == "fake 1.0"
    assert record["slide"]["mpp"] == [0.5, 0.5]
    assert record["slide"]["mpp_source"] == "made up"
    assert record["slide"]["bounds_px"] == [1000, 400, 2600, 2400]
    assert record["frame"]["geojson_minus_px"] == [1000, 400]
    assert record["settings"] == {"model": {"digest": "0f"}, "seconds": 1.5}
    assert "a note of the slide" in record["notes"]
    assert record["decision"]["positive"] == "tumor"
    assert "threshold 0.5000" in record["decision"]["words"]
    assert "/somewhere" not in json.dumps(record)
    for name, facts in record["files"].items():
        assert (folder / name).stat().st_size == facts["bytes"]
    assert len(record["files"]) == 7


# What is in the pictures


def test_referred_and_out_of_scope_are_told_apart_without_color(tumor):
    from eosin.scanning.cells import raster
    from eosin.scanning.pictures import _painted, _view

    scan = tumor(size=(6000, 4000), step=200)
    view = _view(scan)
    gray = _painted(scan, view).mean(axis=2)
    states = raster(scan.grid, scan.decided, 0, view.x, view.y)
    dark = gray < 110
    referred, outside = states == REFER, states == OUTSIDE
    # Stripes in one direction, and in both: the next pixel of a diagonal is as dark.
    assert 0.25 < dark[referred].mean() < 0.5
    assert 0.25 < dark[outside].mean() < 0.5
    slash = dark[1:, :-1] == dark[:-1, 1:]
    assert slash[referred[1:, :-1] & referred[:-1, 1:]].mean() > 0.93
    assert slash[outside[1:, :-1] & outside[:-1, 1:]].mean() < 0.85
    # What is out of scope has no tint.
    colors = _painted(scan, view)[outside].astype(int)
    assert np.ptp(colors, axis=1).max() < 25


def test_a_picture_for_every_kind_of_scan(make_scan, tmp_path):
    wide = {"size": (9000, 3000)}
    scans = {
        "none": make_scan({}),
        "three": make_scan({(3, 2): [0.2, 0.7, 0.1]}, classes=("a", "b", "c")),
        "wide": make_scan(CELLS, slide=wide),
        "no scale": make_scan(CELLS, slide={"scale": None}),
    }
    for name, scan in scans.items():
        folder = write(scan, tmp_path, name)
        with Image.open(folder / f"{name}.heatmap.png") as picture:
            picture.load()
            assert picture.width > 800
        with Image.open(folder / f"{name}.thumbnail.jpg") as picture:
            picture.load()
            assert picture.width <= 360
            assert picture.height <= 240


def test_regions_of_no_patch_are_none(make_scan):
    assert list(regions(make_scan({}), "s")) == []
