"""A hot patch at a known column and row lies at the right place in every file."""

from __future__ import annotations

import gzip
import json
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest
import tifffile

from eosin.scanning.areas import areas
from eosin.scanning.cells import boxes, foci, sides
from eosin.scanning.pictures import _painted, _view
from eosin.scanning.writing import write
from eosin.slides.slide import Box, Scale

F = Fraction
HOT = (7, 4)

#: What differs: step, field, slide, and where the box of the hot patch must be (level-0 pixels).
CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int, int]]] = {
    "plain": ({}, (1400, 800, 1600, 1000)),
    "overlapping": ({"step": 100, "field": 200}, (750, 450, 850, 550)),
    "a quarter of a step": ({"step": 50, "field": 200}, (425, 275, 475, 325)),
    "with gaps": ({"step": 300, "field": 200}, (2100, 1200, 2300, 1400)),
    "an odd scale": (
        {"step": F(1000, 3), "field": F(1000, 3)},
        (2333, 1333, 2667, 1667),
    ),
    "oblong pixels": (
        {
            "step": (F(200), F(100)),
            "field": (F(200), F(100)),
            "slide": {"scale": Scale(0.25, 0.5, "made up")},
        },
        (1400, 400, 1600, 500),
    ),
    "bounds": (
        {"slide": {"bounds": Box(1037, 411, 2600, 2400)}},
        (2437, 1211, 2637, 1411),
    ),
    "bounds and overlap": (
        {"slide": {"bounds": Box(1037, 411, 2600, 2400)}, "step": 100, "field": 200},
        (1787, 861, 1887, 961),
    ),
    "no scale": ({"slide": {"scale": None}}, (1400, 800, 1600, 1000)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hot_patch_lies_at_its_place_in_every_file(make_scan, tmp_path, case):
    more, (left, top, right, bottom) = CASES[case]
    cells = {(c, r): 0.1 for c in range(3, 11) for r in range(2, 7)} | {HOT: 0.9}
    scan = make_scan(cells, **more)
    folder = write(scan, tmp_path, "s")
    scale, bounds = scan.slide.scale, scan.slide.bounds

    # The table has the field that the patch shows; the box is its middle.
    table = pl.read_parquet(folder / "s.parquet")
    (hot,) = table.filter(pl.col("p_tumor") > 0.5).rows(named=True)
    assert (hot["column"], hot["row"]) == HOT
    assert hot["x"] + hot["width"] / 2 == pytest.approx((left + right) / 2, abs=1)
    assert hot["y"] + hot["height"] / 2 == pytest.approx((top + bottom) / 2, abs=1)
    if scale is None:
        assert hot["x_um"] is None
    else:
        assert hot["x_um"] == hot["x"] * scale.x_um
        assert hot["y_um"] == hot["y"] * scale.y_um

    # Both GeoJSON files count from the corner of the scanned part.
    ring = [[left, top], [right, top], [right, bottom], [left, bottom]]
    moved = {(x - bounds.x, y - bounds.y) for x, y in ring}
    (region,) = json.loads((folder / "s.geojson").read_text())["features"]
    assert {tuple(place) for place in region["geometry"]["coordinates"][0]} == moved
    with gzip.open(folder / "s.tiles.geojson.gz") as file:
        tiles = json.load(file)["features"]
    (tile,) = [t for t in tiles if t["properties"]["classification"]["name"] == "tumor"]
    assert {tuple(place) for place in tile["geometry"]["coordinates"][0]} == moved

    # The heatmap counts from the corner of level 0.
    with tifffile.TiffFile(folder / "s.heatmap.ome.tif") as file:
        pixels = file.asarray()
    pixel = json.loads((folder / "s.json").read_text())["grid"]["step_px"]
    parts = round(pixels.shape[2] / (scan.slide.width_px / pixel[0]))
    rows, columns = np.nonzero(pixels[0] == round(0.9 * 255))
    across, down = pixel[0] / parts, pixel[1] / parts
    found = (columns.min() * across, rows.min() * down, (columns.max() + 1) * across,
             (rows.max() + 1) * down)  # fmt: skip
    assert found == pytest.approx((left, top, right, bottom), abs=max(across, down) / 2 + 1)
    assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)

    # The picture is warm there and nowhere else.
    view = _view(scan)
    painted = _painted(scan, view).astype(int)
    warm = painted[..., 0] - painted[..., 2] > 40
    x, y = view.x[warm.any(axis=0)], view.y[warm.any(axis=1)]
    middle = ((left + right) / 2, (top + bottom) / 2)
    assert (x.min() + x.max()) / 2 == pytest.approx(middle[0], abs=view.step[0])
    assert (y.min() + y.max()) / 2 == pytest.approx(middle[1], abs=view.step[1])
    assert np.ptp(x) <= right - left + view.step[0]
    assert np.ptp(y) <= bottom - top + view.step[1]


def test_the_last_patch_of_a_very_wide_slide_does_not_drift(make_scan):
    step = F(4) / F("0.2527") * 50
    count = int(100_000 / step)
    slide = {"size": (100_000, 2000), "scale": Scale(0.2527, 0.2527, "made up")}
    scan = make_scan({(count - 1, 1): 0.9}, slide=slide, step=step)
    right = float(count * step)
    assert boxes(scan)[0, 2] == pytest.approx(right, abs=0.5)
    assert boxes(scan)[0, 0] == scan.grid.corners()[0][0]


def test_neighbors_share_a_side_and_never_overlap(make_scan):
    for step, field in ((F(1000, 3), F(1000, 3)), (F(100, 7), F(50)), (F(20), F(15))):
        scan = make_scan({(0, 0): 0.5}, step=step, field=field)
        begins, ends = sides(scan.grid, 0)
        if step <= field:
            assert (begins[1:] == ends[:-1]).all()
        else:
            assert (begins[1:] - ends[:-1] == step - field).all()


def test_overlapping_patches_count_no_area_twice(make_scan):
    every = {(c, r): 0.9 for c in range(8) for r in range(6)}
    apart = areas(make_scan(every, step=200, field=200))
    dense = {(c, r): 0.9 for c in range(16) for r in range(12)}
    overlapping = areas(make_scan(dense, step=100, field=200))
    assert apart.positive_mm2.value == pytest.approx(8 * 6 * 0.1 * 0.1)
    # The middles of the overlapping patches are as large together as the same number of steps.
    assert overlapping.positive_mm2.value == pytest.approx(16 * 12 * 0.05 * 0.05)
    assert overlapping.scanned_mm2 == overlapping.positive_mm2


def test_patches_beyond_the_edge_count_what_is_on_the_slide(make_scan):
    slide = {"size": (450, 300)}
    scan = make_scan({(2, 1): 0.9, (0, 0): 0.9}, slide=slide)
    assert boxes(scan).tolist() == [[0, 0, 200, 200], [400, 200, 450, 300]]
    assert areas(scan).positive_mm2.value == pytest.approx((200 * 200 + 50 * 100) * 0.25e-6)


def test_a_focus_is_connected_over_corners(make_scan):
    scan = make_scan({(0, 0): 0.9, (1, 1): 0.9, (3, 0): 0.9, (2, 0): 0.1})
    numbers = foci(scan.grid, scan.decided == 1)
    hot = {(c, r): n for c, r, n in zip(scan.grid.column, scan.grid.row, numbers, strict=True)}
    assert hot[0, 0] == hot[1, 1] != hot[3, 0]
    assert hot[2, 0] == 0
    figures = areas(scan)
    assert figures.classes[1].foci == 2
    assert figures.largest_focus_mm2.value == pytest.approx(2 * 0.01)
