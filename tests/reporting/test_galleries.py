"""Galleries: the surest errors, few a case, with maps where there is a model that sees."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
import torch

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import UserError
from eosin.models.classifier import Classifier
from eosin.records.trust import Suspects
from eosin.reporting.galleries import PER_CASE, TILE_PX, error_gallery, suspect_gallery

SIZE = 32


@pytest.fixture(scope="module")
def model() -> Classifier:
    torch.manual_seed(0)
    return Classifier.build("compact", classes=["no", "yes"], patch_size=(SIZE, SIZE)).eval()


def make(path: Path, *, cases: int = 5, classes: int = 2, size: Any = (SIZE, SIZE),
         **row: Any) -> PatchStore:  # fmt: skip
    """Cases of 5 x 5 patches, each of one color, labels in turn."""
    names = ["no", "yes", *[f"k{k}" for k in range(2, classes)]]
    rows = [
        {"label": k % classes, "case": f"c{case}", "x": SIZE * (k % 5), "y": SIZE * (k // 5), **row}
        for case in range(cases) for k in range(25)
    ]  # fmt: skip
    patches = np.zeros((len(rows), *size, 3), np.uint8)
    patches[:] = np.random.default_rng(0).integers(60, 256, (len(rows), 1, 1, 3))
    with StoreWriter(path / "s.store", classes=names, patch_size=size) as writer:
        writer.append(patches, rows)
    return PatchStore.open(path / "s.store")


def table(store: PatchStore, errors: dict[int, float]) -> pl.DataFrame:
    """Right calls, but for these rows, which get the next class with this probability."""
    called, sure = store.labels.copy(), np.full(len(store), 0.9)
    for row, value in errors.items():
        called[row], sure[row] = (called[row] + 1) % len(store.classes), value
    values = np.repeat(((1 - sure) / (len(store.classes) - 1))[:, None], len(store.classes), 1)
    values[np.arange(len(store)), called] = sure
    return pl.DataFrame(
        {
            "patch": np.arange(len(store)),
            **{f"p_{name}": values[:, k] for k, name in enumerate(store.classes)},
            "decision": [store.classes[k] for k in called],
        }
    )


def tiles(uri: str) -> int:
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    return round(image.shape[1] / TILE_PX)


def test_the_surest_errors_half_of_each_kind(tmp_path: Path, model: Classifier) -> None:
    store = make(tmp_path)
    wrong = {25 * case + k: 0.6 + 0.01 * k + 0.002 * case for case in range(5) for k in range(20)}
    found = error_gallery(store, table(store, wrong), model, most=6)
    assert len(found.items) == 6
    assert sum("called yes" in each.caption for each in found.items) == 3
    assert "most confident of 100 errors" in found.note
    # The surest wrong "yes" of a case is of its last even patch but one.
    assert found.items[0].caption == "case c4, x 96 y 96: called yes (0.79), labeled no"
    assert [tiles(each.data_uri) for each in found.items] == [3] * 6
    assert "occlusion" in found.note and "not where tumor is" in found.note  # noqa: PT018


def test_one_bad_case_does_not_fill_the_gallery(tmp_path: Path) -> None:
    store = make(tmp_path)
    wrong = {**dict.fromkeys(range(25), 0.99), 30: 0.6, 31: 0.6}
    found = error_gallery(store, table(store, wrong), most=12)
    cases = [each.title.partition(",")[0] for each in found.items]
    assert max(cases.count(case) for case in cases) == 2 * PER_CASE
    assert {"case c0", "case c1"} == set(cases)


def test_where_one_kind_of_error_is_rare_the_other_fills(tmp_path: Path) -> None:
    store = make(tmp_path)
    wrong = {25 * case + k: 0.8 for case in range(5) for k in (0, 2)} | {1: 0.7}
    found = error_gallery(store, table(store, wrong), most=8)
    assert sum("called yes" in each.caption for each in found.items) == 7
    assert sum("called no" in each.caption for each in found.items) == 1


def test_more_classes_show_the_surest_wrong_calls(tmp_path: Path) -> None:
    store = make(tmp_path, classes=4)
    found = error_gallery(store, table(store, {0: 0.7, 26: 0.95, 52: 0.8}))
    assert [each.caption.partition(": ")[2] for each in found.items] == [
        "called k2 (0.95), labeled yes",
        "called k3 (0.80), labeled k2",
        "called yes (0.70), labeled no",
    ]
    assert found.note.startswith("All 3 errors.")


def test_without_a_model_there_are_no_maps_and_a_sentence(tmp_path: Path) -> None:
    store = make(tmp_path)
    found = error_gallery(store, table(store, {7: 0.9}), None)
    assert [tiles(each.data_uri) for each in found.items] == [2]
    assert "The only error." in found.note
    assert "the model is not there" in found.note


def test_a_dead_model_gives_no_maps_and_a_sentence(tmp_path: Path, model: Classifier) -> None:
    store = make(tmp_path)
    dead = Classifier.build("compact", classes=["no", "yes"], patch_size=(SIZE, SIZE))
    for weights in dead.network.parameters():
        torch.nn.init.zeros_(weights)
    found = error_gallery(store, table(store, {7: 0.9}), dead)
    assert [tiles(each.data_uri) for each in found.items] == [2]
    assert "no part of these patches moves the model's score" in found.note


def test_grad_cam_where_its_map_shows_a_place_else_occlusion(
    tmp_path: Path, model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path)
    # compact ends in a map of a few cells; one pooling leaves a map that shows a place.
    torch.manual_seed(0)
    fine = Classifier.build(
        "compact",
        classes=["no", "yes"],
        patch_size=(SIZE, SIZE),
        arguments={"widths": [8, 16], "blocks": [0, 1]},
    ).eval()
    assert "(Grad-CAM:" in error_gallery(store, table(store, {7: 0.9}), fine).note
    found = error_gallery(store, table(store, {7: 0.9}), model)
    assert "(occlusion:" in found.note
    assert "occlusion" in found.items[0].alt

    def without_map(_: Classifier) -> Any:
        raise UserError("no feature map")

    monkeypatch.setattr("eosin.inference.explain.feature_layer", without_map)
    assert "(occlusion:" in error_gallery(store, table(store, {7: 0.9}), fine).note


def test_referred_patches_and_scores_that_are_no_numbers_are_no_errors(tmp_path: Path) -> None:
    store = make(tmp_path)
    given = table(store, {7: 0.9, 8: 0.8, 9: 0.7})
    words = given["decision"].to_list()
    words[7], words[8] = "refer", "out of scope"
    given = given.with_columns(decision=pl.Series(words))
    assert len(error_gallery(store, given).items) == 1
    blank = given.with_columns(p_no=pl.lit(float("nan")), p_yes=pl.lit(float("nan")))
    assert error_gallery(store, blank).items == []


def test_no_errors_and_no_predictions(tmp_path: Path) -> None:
    store = make(tmp_path)
    assert "there is no error" in error_gallery(store, table(store, {})).note
    assert "no predictions" in error_gallery(store, table(store, {})[:0]).note
    with pytest.raises(ValueError, match="the store has 125"):
        error_gallery(store, table(store, {7: 0.9}).with_columns(patch=pl.lit(125)))


def test_surroundings_are_the_neighbors(tmp_path: Path) -> None:
    from eosin.reporting.galleries import _Places

    store = make(tmp_path)
    image = _Places(store).around(12)
    third = image.shape[0] // 3
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            middle = image[round((dy + 1.5) * third), round((dx + 1.5) * third)].astype(int)
            assert (abs(middle - store.patches[12 + dx + 5 * dy, 0, 0]) <= 1).all()
    corner = _Places(store).around(0)
    assert (corner[third // 2, third // 2] == 240).all()


@pytest.mark.parametrize("unknown", [{"x": None, "y": None}, {"case": "", "slide": ""}])
def test_without_positions_or_cases_there_are_no_surroundings(
    tmp_path: Path, unknown: dict[str, Any]
) -> None:
    store = make(tmp_path, **unknown)
    found = error_gallery(store, table(store, {7: 0.9, 8: 0.8}))
    assert [tiles(each.data_uri) for each in found.items] == [1, 1]
    assert "surroundings" not in found.note
    assert "None" not in found.items[0].caption


@pytest.mark.parametrize("size", [(20, 60), (60, 20), (12, 120)])
def test_patches_that_are_not_square(
    tmp_path: Path, model: Classifier, size: tuple[int, int]
) -> None:
    store = make(tmp_path, cases=1, size=size)
    found = error_gallery(store, table(store, {7: 0.9, 8: 0.8}), model)
    assert all(each.height_px == TILE_PX for each in found.items)


def test_edge_patches_are_shown_without_their_padding(tmp_path: Path, model: Classifier) -> None:
    store = make(tmp_path, cases=1, width=9)
    assert len(error_gallery(store, table(store, {7: 0.9}), model).items) == 1


def test_suspects(tmp_path: Path, model: Classifier) -> None:
    store = make(tmp_path)
    rows = [
        {"patch": k, "case": "c0", "label": "no", "suggested": "yes", "probability": 0.98}
        for k in (0, 2, 4, 26, 125, None)
    ]
    found = suspect_gallery(
        store, Suspects.model_validate({"of": 125, "total": 40, "rows": rows}), model
    )
    assert [each.title for each in found.items] == [
        "case c0, x 0 y 0", "case c0, x 64 y 0", "case c1, x 32 y 0",
    ]  # fmt: skip
    assert found.items[0].caption.endswith("labeled no, the model suggests yes (0.98)")
    assert found.note.startswith("3 of 40 labels in doubt among 125 patches")
    assert "2 more are not in this store" in found.note
    assert [tiles(each.data_uri) for each in found.items] == [3] * 3


def test_no_suspects(tmp_path: Path) -> None:
    store = make(tmp_path)
    assert suspect_gallery(store, Suspects()).note == "No suspect is in this store."
    assert suspect_gallery(store, Suspects(note="Too few cases.")).note == "Too few cases."


def test_hostile_names_stay_on_one_line(tmp_path: Path) -> None:
    store = make(tmp_path, case="<script>\n" + "x" * 500)
    found = error_gallery(store, table(store, {7: 0.9}))
    assert "\n" not in found.items[0].caption
    assert len(found.items[0].caption) < 150


def test_a_small_budget_is_kept(tmp_path: Path, model: Classifier) -> None:
    store = make(tmp_path)
    given = table(store, dict.fromkeys(range(125), 0.9))
    found = error_gallery(store, given, model, budget_bytes=12_000)
    assert 0 < sum(len(each.data_uri) for each in found.items) <= 12_000
