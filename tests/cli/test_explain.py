"""`eosin explain` as a user meets it."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from eosin.cli.main import COMMANDS, app
from eosin.inference.predictor import load
from eosin.inference.sheet import covered, draw_sheet, explain_images
from eosin.inference.torch_predictor import TorchPredictor
from eosin.models.classifier import Classifier, save_classifier

Run = Callable[..., Any]
MARK = "made-up data: figures say nothing about tissue"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is there whether the program lists it already or not."""
    if "explain" not in COMMANDS:
        from eosin.cli.explain import explain

        monkeypatch.setattr(app, "registered_commands", [])
        monkeypatch.setitem(COMMANDS, "explain", "Models")
        assert explain.__doc__


def save(folder: Path, name: str = "compact", **options: Any) -> Path:
    torch.manual_seed(0)
    folder.mkdir()
    arguments = {"compact": {"widths": [8, 16], "blocks": [0, 1]}}.get(name, {"width": 4})
    model = Classifier.build(
        name, classes=["negative", "positive"], patch_size=(32, 32), arguments=arguments
    )
    for parameter in model.network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_classifier(model, folder, model.facts(marks=[MARK], **options))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save(tmp_path / "run")


def images(folder: Path, count: int, *, side: int = 32) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(count):
        cv2.imwrite(
            str(folder / f"{k:03}.png"), rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        )
    return folder


def test_a_sheet_and_its_numbers(eosin: Run, run: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "patches", 3)
    cv2.imwrite(str(folder / "wide.png"), np.full((40, 90, 3), 120, np.uint8))
    out = tmp_path / "new" / "sheet.png"
    found = eosin("explain", run, folder, "-o", out, "--fit", "resize", "--json")
    assert "1 image(s) of another size were resized to 32x32 px" in found.err
    assert "the training patches were not resized" in found.err
    assert found.code == 0, found.err
    result = json.loads(found.out)
    assert result["sheet"] == str(out)
    assert result["methods"] == ["grad-cam", "occlusion"]
    assert result["marks"] == [MARK]
    assert "not where tumor is" in result["caveat"]
    assert "not for diagnosis" in result["intended_use"]
    said = json.loads(eosin("predict", run, folder, "--fit", "resize", "--json").out)["predictions"]
    for row, other in zip(result["images"], said, strict=True):
        assert {key: row[key] for key in other} == other
        assert row["target"] == row["decision"]
        for drawn in row["maps"].values():
            if drawn["note"]:
                assert drawn["peak"] is None
                continue
            for place in (drawn["peak"], drawn["centroid"]):
                assert 0 <= place["x"] <= row["width"] - 1
                assert 0 <= place["y"] <= row["height"] - 1
            assert 0 <= drawn["central_share"] <= 1
            assert drawn["largest"] > 0
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape[0] > 4 * 220
    assert list(out.parent.iterdir()) == [out]


def test_one_method_and_a_chosen_class(eosin: Run, run: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "patches", 2)
    words = ["-o", tmp_path / "a.png", "--method", "occlusion", "--target", "negative"]
    found = eosin("explain", run, folder, *words, "--json")
    rows = json.loads(found.out)["images"]
    assert all(set(row["maps"]) == {"occlusion"} and row["target"] == "negative" for row in rows)
    found = eosin("explain", run, folder, *words)
    assert found.code == 0
    assert f"sheet: {tmp_path / 'a.png'}" in found.out
    assert "not where tumor is" in found.err
    assert MARK in found.err
    assert re.search(r"x \d+, y \d+|empty map", found.out)


def test_bad_files_are_rows_and_the_others_go_on(eosin: Run, run: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "patches", 2)
    (folder / "broken.png").write_bytes(b"nothing")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(folder / "000.png", "in/zip.png")
    out = tmp_path / "sheet.png"
    words = [folder, tmp_path / "gone.png", tmp_path / "more.zip", "-o", out]
    found = eosin("explain", run, *words, "--json")
    assert found.code == 1
    result = json.loads(found.out)
    assert result["errors"] == 2
    assert [bool(row["error"]) for row in result["images"]] == [False, False, True, True, False]
    assert out.exists()
    found = eosin("explain", run, *words)
    assert found.code == 1
    assert "2 of 5 image(s) could not be explained" in found.err
    out.unlink()
    assert eosin("explain", run, folder / "broken.png", "-o", out).code == 1
    assert not out.exists()


def test_more_images_than_a_sheet_holds(eosin: Run, run: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "patches", 67)
    words = [folder, "-o", tmp_path / "a.png", "--method", "grad-cam"]
    found = eosin("explain", run, *words, "--json")
    assert found.code == 0
    result = json.loads(found.out)
    assert len(result["images"]) == 64
    assert result["left_out"] == 3
    assert "3 image(s) were left out" in found.err


def test_a_dead_model_is_drawn_with_its_reason(eosin: Run, tmp_path: Path) -> None:
    run = save(tmp_path / "dead", "article-verbatim", diagnoses=[{"sentence": "a dead model"}])
    folder = images(tmp_path / "patches", 1)
    found = eosin("explain", run, folder, "-o", tmp_path / "a.png", "--json")
    assert found.code == 0, found.err
    result = json.loads(found.out)
    assert result["marks"] == [MARK, "a dead model"]
    for drawn in result["images"][0]["maps"].values():
        assert drawn["note"].startswith("the map is empty")
        assert drawn["peak"] is None
        assert drawn["largest"] == 0
    assert "empty map" in eosin("explain", run, folder, "-o", tmp_path / "a.png").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none", "x.png"], "does not exist"),
        (["RUN", "FOLDER", "--method", "lime"], "choose grad-cam, occlusion or both"),
        (["RUN", "FOLDER", "--target", "positiv"], "did you mean positive?"),
        (["RUN", "FOLDER", "-o", "sheet.jpg"], "ends with .png"),
        (["RUN", "EMPTY"], "contains no image files"),
    ],
)
def test_mistakes_are_sentences(
    eosin: Run, run: Path, tmp_path: Path, words: list[str], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    named = {"RUN": run, "EMPTY": tmp_path / "empty"}
    if "FOLDER" in words:
        named["FOLDER"] = images(tmp_path / "patches", 1)
    found = eosin("explain", *(named.get(word, word) for word in words))
    assert found.code == 2
    assert sentence in found.err
    assert "Traceback" not in found.err


def test_a_network_without_a_feature_map_is_occluded(
    eosin: Run, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eosin.inference.explain._same_form", lambda *_: False)
    folder = images(tmp_path / "patches", 1)
    found = eosin("explain", run, folder, "-o", tmp_path / "a.png", "--json")
    assert found.code == 0, found.err
    result = json.loads(found.out)
    assert result["methods"] == ["occlusion"]
    assert "use occlusion" in result["notes"][0]
    found = eosin("explain", run, folder, "--method", "grad-cam", "-o", tmp_path / "b.png")
    assert found.code == 2
    assert "use occlusion" in found.err


def test_a_decision_that_is_no_class_explains_the_most_probable_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = images(tmp_path / "patches", 3)
    predictor = load(run)
    assert isinstance(predictor, TorchPredictor)
    from eosin.inference import images as reading

    original = reading.classify

    def refer(*arguments: Any) -> Any:
        pairs = original(*arguments)
        return [(picture, replace(row, decision="refer")) for picture, row in pairs]

    monkeypatch.setattr("eosin.inference.sheet.classify", refer)
    rows, left_out = explain_images(predictor, [folder], methods=["grad-cam"], most=2)
    assert left_out == 1
    for row in rows:
        chances = row.prediction.probabilities
        assert row.target == max(chances, key=lambda name: chances[name])
    again = draw_sheet(
        rows, tmp_path / "a.png", predictor=predictor, name="run", methods=["grad-cam"]
    )
    first = again.read_bytes()
    draw_sheet(rows, again, predictor=predictor, name="run", methods=["grad-cam"])
    assert again.read_bytes() == first


def test_odd_names_are_drawn(eosin: Run, run: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "$x_1^{2}$ \t päivä 病理", 1)
    (folder / "000.png").rename(folder / "$x_1^{2$ \t 病理 \\frac.png")
    found = eosin("explain", run, folder, "-o", tmp_path / "a.png")
    assert found.code == 0, found.err


def test_covered_is_finite_at_the_ends() -> None:
    assert covered(1.0, 1e6) == pytest.approx(0.0)
    assert covered(0.0, 0.0) == pytest.approx(0.0, abs=1e-6)
    assert covered(0.9, 0.0) == pytest.approx(0.9)
