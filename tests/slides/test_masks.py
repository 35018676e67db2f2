"""Masks go out to QuPath and others, and come back from them."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fakes import FakeSlide

from eosin.errors import SourceError, UserError
from eosin.slides.masks import read_mask, write_mask
from eosin.slides.polygons import inside, outline, valid
from eosin.slides.slide import Box, Scale
from eosin.slides.tissue import BLUR, BUBBLE, FOLD, GLASS, NAMES, PEN, TISSUE, Tissue

shapely = pytest.importorskip("shapely")
tifffile = pytest.importorskip("tifffile")


def slide(width: int = 400, height: int = 320, within: Box | None = None) -> FakeSlide:
    """At 2 micrometers a pixel, so a mask of outlines has a quarter of its sides."""
    return FakeSlide(np.full((height, width, 3), 255, np.uint8), Scale(2.0, 2.0, ""), within=within)


def drawn(shape: tuple[int, int] = (80, 100)) -> Tissue:
    """A mask with a hole, parts that touch at a corner only, and every flaw."""
    labels = np.zeros(shape, np.uint8)
    labels[10:60, 10:70] = TISSUE
    labels[20:30, 20:40] = GLASS
    labels[24:26, 24:26] = TISSUE
    labels[60:64, 70:75] = TISSUE
    for number, left in zip((PEN, FOLD, BLUR, BUBBLE), (0, 30, 60, 90), strict=True):
        labels[66:76, left : left + 9] = number
    return Tissue(labels, (8.0, 8.0), "drawn")


def features(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text())["features"])


def feature(name: str | None, coordinates: Any, kind: str = "Polygon", **more: Any) -> Any:
    classified = {} if name is None else {"classification": {"name": name}}
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", **classified, **more},
    }


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def write(path: Path, *found: Any) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(found)}))
    return path


@pytest.mark.parametrize("name", ["m.geojson", "m.ome.tif", "M.OME.TIFF"])
def test_a_mask_comes_back_as_it_went(tmp_path: Path, name: str) -> None:
    mask = drawn()
    write_mask(mask, slide(), tmp_path / name)
    again = read_mask(tmp_path / name, slide())
    assert np.array_equal(again.labels, mask.labels)
    assert again.mpp == (8.0, 8.0)
    assert not again.notes


def test_geojson_is_as_qupath_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "m.geojson"
    write_mask(drawn(), slide(), path)
    found = features(path)
    assert [each["properties"]["classification"]["name"] for each in found] == [*NAMES[1:]]
    for each in found:
        uuid.UUID(each["id"])
        assert each["properties"]["objectType"] == "annotation"
        assert all(0 <= part <= 255 for part in each["properties"]["classification"]["color"])
        assert len(each["properties"]["classification"]["color"]) == 3
        shape = shapely.geometry.shape(each["geometry"])
        assert shape.is_valid
        for ring in shapely.get_rings(shapely.get_parts(shape)):
            assert ring.coords[0] == ring.coords[-1]
    assert len({each["id"] for each in found}) == 5
    tissue = shapely.geometry.shape(found[0]["geometry"])
    assert tissue.geom_type == "MultiPolygon"
    assert sum(len(part.interiors) for part in tissue.geoms) == 1
    # Level-0 pixels: 4 for each of the mask's, so 16 times the area.
    assert tissue.area == 16 * (drawn().labels == TISSUE).sum()
    assert tissue.bounds == (40, 40, 300, 256)
    # The same mask gives the same bytes.
    before = path.read_bytes()
    write_mask(drawn(), slide(), path)
    assert path.read_bytes() == before


def test_coordinates_count_from_the_scanned_part(tmp_path: Path) -> None:
    there = slide(within=Box(40, 20, 300, 240))
    write_mask(drawn(), there, tmp_path / "m.geojson")
    shape = shapely.geometry.shape(features(tmp_path / "m.geojson")[0]["geometry"])
    assert shape.bounds == (0, 20, 260, 236)
    assert np.array_equal(read_mask(tmp_path / "m.geojson", there).labels, drawn().labels)


def test_the_tiff_has_its_scale_where_readers_look(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    mask = Tissue(drawn().labels, (8.0, 8.5), "drawn")
    write_mask(mask, slide(), path)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.dtype == np.uint8
        assert page.tags["ResolutionUnit"].value == 3
        x, y = (page.tags[f"{axis}Resolution"].value for axis in "XY")
        assert x[0] / x[1] == pytest.approx(1e4 / 8)
        assert y[0] / y[1] == pytest.approx(1e4 / 8.5)
        assert 'PhysicalSizeX="8.0"' in file.ome_metadata
        assert 'PhysicalSizeY="8.5"' in file.ome_metadata
        assert "2 pen, 3 fold" in file.ome_metadata
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(path) as opened:
        assert float(opened.properties["openslide.mpp-x"]) == pytest.approx(8.0)
        assert float(opened.properties["openslide.mpp-y"]) == pytest.approx(8.5)


def test_a_mask_of_grandqc_is_understood(tmp_path: Path) -> None:
    from PIL import Image

    values = np.full((80, 100), 7, np.uint8)
    for number in range(1, 7):
        values[10 * number : 10 * number + 8, 10:90] = number
    Image.fromarray(values).save(tmp_path / "a.png")
    palette = Image.fromarray(values).convert("P")
    palette.putdata(values.ravel().tolist())
    palette.save(tmp_path / "b.png")
    tifffile.imwrite(tmp_path / "c.tif", values)
    for name in ("a.png", "b.png", "c.tif"):
        mask = read_mask(tmp_path / name, slide())
        assert mask.labels[[5, 14, 24, 34, 44, 54, 64], 50].tolist() == [
            GLASS, TISSUE, FOLD, GLASS, PEN, BUBBLE, BLUR,
        ]  # fmt: skip
        assert "GrandQC" in mask.source
    names = ["PenMarking", "Edge & Air Bubble", "OOF", "Fold", "Darkspot & Foreign Object"]
    path = write(
        tmp_path / "g.geojson",
        *(feature(name, [square(80 * k, 0, 40)]) for k, name in enumerate(names)),
        feature("Tissue", [square(0, 80, 80)]),
    )
    labels = read_mask(path, slide()).labels
    assert labels[4, [4, 24, 44, 64, 84]].tolist() == [PEN, BUBBLE, BLUR, FOLD, GLASS]
    assert labels[30, 4] == TISSUE


def test_masks_of_two_values_are_tissue_and_glass(tmp_path: Path) -> None:
    from PIL import Image

    for high in (1, 255):
        values = np.zeros((160, 200), np.uint8)
        values[40:80] = high
        Image.fromarray(values).save(tmp_path / "m.png")
        mask = read_mask(tmp_path / "m.png", slide())
        assert mask.labels.shape == (160, 200)
        assert (mask.labels[40:80] == TISSUE).all()
        assert mask.labels.sum() == 40 * 200
        assert mask.mpp == (4.0, 4.0)


def test_annotations_of_qupath_with_any_name_are_tissue(tmp_path: Path) -> None:
    ring = [square(40, 40, 160), square(80, 80, 40)]
    parts = [[square(240, 40, 40)], [square(320, 40, 40)]]
    path = write(
        tmp_path / "q.geojson",
        feature("Region*", ring),
        feature(None, parts, "MultiPolygon"),
        feature("Tumor", [1, 2], "Point"),
        feature("Tumor", [square(0, 240, 40)]) | {"properties": {"objectType": "detection"}},
    )
    mask = read_mask(path, slide())
    expected = np.zeros((80, 100), np.uint8)
    expected[10:50, 10:50] = TISSUE
    expected[20:30, 20:30] = GLASS
    expected[10:20, 60:70] = expected[10:20, 80:90] = TISSUE
    assert np.array_equal(mask.labels, expected)
    assert mask.notes == (
        "q.geojson: 1 detections, cells or tiles are no annotations",
        "q.geojson: 1 annotations have no area (points, lines)",
        "q.geojson: Region*, (no class) taken for tissue",
    )
    beside = write(tmp_path / "t.geojson", feature("tissue", ring), feature("Tumor", parts[0]))
    mask = read_mask(beside, slide())
    assert (mask.labels > 0).sum() == 1500
    assert mask.notes == ("t.geojson: Tumor not used",)


def test_a_mask_of_the_scanned_part_is_put_in_its_place(tmp_path: Path) -> None:
    there = slide(400, 320, within=Box(100, 40, 200, 80))
    tifffile.imwrite(tmp_path / "m.tif", np.ones((20, 50), np.uint8))
    labels = read_mask(tmp_path / "m.tif", there).labels
    assert labels.shape == (80, 100)
    expected = np.zeros_like(labels)
    expected[10:30, 25:75] = TISSUE
    assert np.array_equal(labels, expected)


def test_what_is_no_mask_is_refused_with_a_sentence(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (100, 80)).save(tmp_path / "overlay.png")
    Image.fromarray(np.full((80, 100), 99, np.uint8)).save(tmp_path / "values.png")
    Image.fromarray(np.ones((80, 200), np.uint8)).save(tmp_path / "wide.png")
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((80, 100, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((80, 100), np.float32))
    (tmp_path / "cut.tif").write_bytes(b"II*\0\x08\0\0\0")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.geojson").write_text("tissue")
    (tmp_path / "other.geojson").write_text('{"type": "Topology"}')
    write(tmp_path / "none.geojson")
    write(tmp_path / "bad.geojson", feature("Tissue", [[["a", "b"]]]))
    write(tmp_path / "far.geojson", feature("Tissue", [square(1e12, 0, 9)]))
    reasons = {
        "overlay.png": "picture in color", "values.png": "has the values 99",
        "wide.png": "not the same proportions", "rgb.tif": "one whole number",
        "float.tif": "one whole number", "cut.tif": "cannot be read", "empty.png": "cannot be read",
        "text.geojson": "is no GeoJSON", "other.geojson": "no collection of features",
        "none.geojson": "no annotation with an area", "bad.geojson": "feature 1 is damaged",
        "far.geojson": "too large", "missing.geojson": "no such file", "missing.png": "cannot",
        "m.svs": "a file that ends with",
    }  # fmt: skip
    for name, reason in reasons.items():
        with pytest.raises(SourceError, match=reason) as caught:
            read_mask(tmp_path / name, slide())
        assert name in str(caught.value)
    with pytest.raises(UserError, match=r"ends with \.geojson"):
        write_mask(drawn(), slide(), tmp_path / "mask.bmp")


def test_outlines_and_their_inside_agree_for_any_mask() -> None:
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        mask = rng.random((37, 53)) < share
        shape = outline(mask, (3, 2.5))
        assert shape.is_valid
        assert shape.area == pytest.approx(mask.sum() * 7.5)
        assert np.array_equal(inside(shape, mask.shape, (3, 2.5)), mask)
    assert outline(np.zeros((4, 4), bool)).is_empty
    assert not inside(shapely.Polygon(), (3, 3)).any()


def test_a_ring_that_crosses_itself_keeps_all_of_its_parts() -> None:
    bow = valid(shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)]))
    assert bow.area == 50
    # What is beyond the mask is cut.
    assert inside(shapely.box(-5, -5, 2, 99), (3, 3)).sum() == 6


def test_a_small_file_that_unpacks_to_more_than_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    import eosin.slides.geojson as geojson

    monkeypatch.setattr(geojson, "MOST_BYTES", 10_000)
    path = tmp_path / "a.geojson.gz"
    path.write_bytes(gzip.compress(b" " * 20_000))
    with pytest.raises(SourceError, match="too many bytes: more than 10,000 when unpacked"):
        geojson.read_geojson(path, Box(0, 0, 10, 10))
