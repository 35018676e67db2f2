"""What packing gives a model, predicting from the same files gives it as well."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from eosin.data.fit import FITS
from eosin.data.pack import pack
from eosin.data.store import PatchStore
from eosin.errors import UserError
from eosin.inference.images import picture_rule, predict_images
from eosin.inference.predictor import Predictor, load
from eosin.inference.sheet import explain_images
from eosin.inference.torch_predictor import TorchPredictor
from eosin.models.classifier import Classifier, save_classifier

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "idc-sample.zip"
#: Sizes of each kind of change to 32 x 32 pixels, and patches as they are.
SIZES = [(32, 32)] * 9 + [(64, 64), (50, 40), (20, 31), (9, 32), (16, 90), (70, 32), (32, 5)]


def odd_sizes(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for k, size in enumerate(SIZES):
        below = folder / ("negative", "positive")[k % 2]
        below.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(below / f"{k:02}.png"), rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    plain = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
    tiff = cv2.imencode(".tif", np.full((32, 32, 3), 7, np.uint8), plain)
    (folder / "positive" / "cut.tif").write_bytes(tiff[1].tobytes()[:-3])
    return folder


def model_of(store: PatchStore, folder: Path, **facts: object) -> Predictor:
    """An untrained model whose answers depend on every pixel, saved as training saves one."""
    torch.manual_seed(0)
    model = Classifier.build(
        "compact", classes=store.classes, patch_size=store.patch_size,
        arguments={"widths": [8, 16], "blocks": [0, 1]},
    )  # fmt: skip
    for parameter in model.network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    folder.mkdir()
    save_classifier(model, folder, model.facts(**facts))
    return load(folder)


@pytest.mark.parametrize("fit", FITS)
def test_files_of_any_size_are_answered_as_their_packed_patches(fit: str, tmp_path: Path) -> None:
    folder = odd_sizes(tmp_path / "images")
    store = pack(folder, tmp_path / "store", fit=fit, max_rejects=99)
    assert store.patch_size == (32, 32)
    assert store.fit == fit
    predictor = model_of(store, tmp_path / "run", fit=store.fit)
    packed = dict(zip(store.index["source"], predictor.predict(store.patches), strict=True))
    rejected = {row["source"]: row["reason"] for row in store.info["rejects"]}
    assert "positive/cut.tif" in rejected
    rows = {row.file.removeprefix(f"{folder}/"): row for row in predict_images(predictor, [folder])}
    assert rows.keys() == packed.keys() | rejected.keys()
    for name, reason in rejected.items():
        assert rows[name].error == reason
    for name, wanted in packed.items():
        assert list(rows[name].probabilities.values()) == pytest.approx(wanted, abs=1e-6), name
        other = rows[name].size != (32, 32)
        assert rows[name].change == ({"pad": "padded", "resize": "resized"}[fit] if other else "")
    changed = {row.change for row in rows.values()}
    assert changed == {"pad": {"", "padded"}, "resize": {"", "resized"}, "reject": {""}}[fit]


def test_a_model_without_a_recorded_fit_pads(tmp_path: Path) -> None:
    store = pack(odd_sizes(tmp_path / "images"), tmp_path / "store", max_rejects=99)
    predictor = model_of(store, tmp_path / "run")
    assert picture_rule(predictor).fit == "pad"
    assert picture_rule(predictor, fit="resize").fit == "resize"
    with pytest.raises(UserError, match="choose pad, resize, reject"):
        picture_rule(predictor, fit="stretch")


def test_maps_explain_the_patch_that_the_model_sees(tmp_path: Path) -> None:
    folder = odd_sizes(tmp_path / "images")
    store = pack(folder, tmp_path / "store", fit="resize", max_rejects=99)
    predictor = model_of(store, tmp_path / "run", fit="resize")
    assert isinstance(predictor, TorchPredictor)
    rows, left_out = explain_images(predictor, [folder], methods=["occlusion"])
    assert (len(rows), left_out) == (len(SIZES) + 1, 0)
    patches = dict(zip(store.index["source"], store.patches, strict=True))
    for row in rows:
        if row.prediction.error:
            assert row.patch is None
            continue
        name = row.prediction.file.removeprefix(f"{folder}/")
        assert np.array_equal(row.patch, patches[name])
        assert row.prediction.size is not None
        height, width = row.prediction.size
        peak = row.maps["occlusion"].place.peak
        if peak is not None:
            assert -0.5 <= peak[0] <= width - 0.5
            assert -0.5 <= peak[1] <= height - 0.5


@pytest.mark.real
def test_real_edge_patches_are_answered_as_they_are_packed(tmp_path: Path) -> None:
    if not SAMPLE.exists():
        pytest.skip("no real data beside the project")
    edges = tmp_path / "edges"
    with zipfile.ZipFile(SAMPLE) as archive:
        known = set()
        for info in archive.infolist():
            name = Path(info.filename).name
            if not name.endswith(".png") or name in known:
                continue
            data = archive.read(info)
            if int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big") < 2500:
                known.add(name)
                target = edges / name.partition("_")[0] / name[-5] / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
    assert len(known) == 111
    for fit in ("pad", "resize"):
        store = pack(edges, tmp_path / fit, size=(50, 50), fit=fit)
        assert store.info["other_sizes"] == 111
        predictor = model_of(store, tmp_path / f"run-{fit}", fit=store.fit)
        wanted = dict(zip(store.index["source"], predictor.predict(store.patches), strict=True))
        rows = list(predict_images(predictor, [edges]))
        assert len(rows) == 111
        for row in rows:
            packed = wanted[row.file.removeprefix(f"{edges}/")]
            assert list(row.probabilities.values()) == pytest.approx(packed, abs=1e-6)
