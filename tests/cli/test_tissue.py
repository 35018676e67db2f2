"""tissue, and pack with --annotations, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.data.store import PatchStore
from eosin.synthetic.archive import make_case

shapely = pytest.importorskip("shapely")
tifffile = pytest.importorskip("tifffile")

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up case of 320 x 240 pixels at 4 micrometers, with a line of blue ink."""
    import cv2

    image = make_case("90002", 0, width_px=320, height_px=240).image.copy()
    cv2.line(image, (10, 20), (60, 230), (30, 60, 170), 14)
    path = tmp_path_factory.mktemp("slides") / "S1.tif"
    tifffile.imwrite(
        path, image, tile=(128, 128), photometric="rgb", metadata=None,
        resolution=(2500.0, 2500.0), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def test_a_picture_and_masks_are_written_and_areas_shown(
    eosin: Run, slide: Path, tmp_path: Path
) -> None:
    from PIL import Image

    names = ("mask.png", "mask.geojson", "mask.ome.tif")
    out = [word for name in names for word in ("-o", tmp_path / name)]
    done = eosin("tissue", slide, *out)
    assert done.code == 0
    for words in ("tissue", "pen", "left out", "% of the slide", "used as tissue", "wrote"):
        assert words in done.out
    assert "sharpness is not judged" in done.err
    picture = np.asarray(Image.open(tmp_path / "mask.png"))
    assert picture.shape[1] > 1600
    # The legend has the color of ink and of tissue.
    for color in ((15, 92, 156), (27, 138, 107)):
        assert (picture == color).all(axis=2).sum() > 500
    found = json.loads((tmp_path / "mask.geojson").read_text())["features"]
    assert [each["properties"]["classification"]["name"] for each in found] == ["tissue", "pen"]
    assert tifffile.imread(tmp_path / "mask.ome.tif").shape == (120, 160)


def test_json_has_areas_and_shares_by_kind(eosin: Run, slide: Path, tmp_path: Path) -> None:
    facts = json.loads(eosin("tissue", slide, "--json").out)
    assert facts["size_px"] == [320, 240]
    assert facts["mpp"] == [4.0, 4.0]
    assert facts["mask"] == {"width": 160, "height": 120, "mpp": [8.0, 8.0]}
    assert sum(facts["shares"].values()) == pytest.approx(1)
    assert sum(facts["areas_mm2"].values()) == pytest.approx(320 * 240 * 16e-6)
    assert facts["shares"]["pen"] > 0.02
    assert facts["used_share"] == facts["shares"]["tissue"]
    assert facts["used_mm2"] == pytest.approx(facts["areas_mm2"]["tissue"])
    assert facts["reader"]
    kept = json.loads(eosin("tissue", slide, "--qc", "none", "--json").out)
    assert kept["used_share"] == pytest.approx(kept["shares"]["tissue"] + kept["shares"]["pen"])
    assert kept["shares"] == facts["shares"]


def test_a_mask_of_others_is_shown_and_measured(eosin: Run, slide: Path, tmp_path: Path) -> None:
    values = np.full((60, 80), 7, np.uint8)
    values[:30, :40], values[30:, :40] = 1, 2
    tifffile.imwrite(tmp_path / "grandqc.tif", values)
    done = eosin(
        "tissue", slide, "--mask", tmp_path / "grandqc.tif", "-o", tmp_path / "m.png", "--json"
    )
    facts = json.loads(done.out)
    assert facts["shares"]["tissue"] == facts["shares"]["fold"] == 0.25
    assert facts["source"] == "grandqc.tif (numbers of GrandQC)"
    assert (tmp_path / "m.png").is_file()


def test_what_cannot_be_is_one_sentence_and_leaves_nothing(
    eosin: Run, slide: Path, tmp_path: Path
) -> None:
    for words, reason in (
        ((slide, "-o", tmp_path / "m.bmp"), "give a name that ends with .png"),
        ((slide, "--qc", "ink"), "--qc ink"),
        ((slide, "--mask", tmp_path / "no.png"), "cannot be read as a mask"),
        ((tmp_path / "no.svs",), "no such file"),
        ((slide, "--mpp", "500"), "is no scale of a slide"),
    ):
        done = eosin("tissue", *words)
        assert done.code == 2, words
        assert reason in done.err
        assert done.err.count("error:") == 1
    mask = tmp_path / "m.geojson"
    assert eosin("tissue", slide, "-o", mask).code == 0
    done = eosin("tissue", slide, "--mask", mask, "-o", mask)
    assert done.code == 2
    assert "also the input of --mask" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.geojson"]


def test_slides_with_annotations_are_packed(eosin: Run, slide: Path, tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    folder.mkdir()
    corners = [[0, 0], [320, 0], [320, 120], [0, 120], [0, 0]]
    drawn = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {"objectType": "annotation", "classification": {"name": "Tumor"}},
    }
    features = {"type": "FeatureCollection", "features": [drawn]}
    (folder / "S1.geojson").write_text(json.dumps(features))
    words = ("--annotations", folder, "--size", "20", "--mpp", "8")
    done = eosin(
        "pack", slide, tmp_path / "s.store", *words, "--class", "tumor=positive",
        "--background", "negative",
    )  # fmt: skip
    assert done.code == 0
    assert "read as slides" in done.out
    store = PatchStore.open(tmp_path / "s.store")
    assert store.classes == ("negative", "positive")
    assert store.patch_size == (20, 20)
    assert store.mpp == 8
    assert set(store.cases.tolist()) == {"S1"}
    y = store.index["y"].to_numpy()
    assert (store.labels[y < 120] == 1).all()
    assert (store.labels[y >= 120] == 0).all()
    for more, reason in (
        (("--annotations", folder, "--size", "20"), "--size 224 --mpp 0.5"),
        ((*words, "--levels", "label"), "--levels is about patches in files"),
        ((*words, "--class", "tumor"), "use NAME=CLASS"),
        (("--background", "x"), "about --annotations"),
    ):
        done = eosin("pack", slide, tmp_path / "t.store", *more)
        assert done.code == 2, more
        assert reason in done.err
    done = eosin("pack", slide, tmp_path / "t.store")
    assert done.code == 2
    assert not (tmp_path / "t.store").exists()


def test_a_slide_alone_says_what_would_pack_it(eosin: Run, tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"II*\0")
    done = eosin("pack", tmp_path / "a.svs", tmp_path / "s.store")
    assert "--annotations" in done.err
