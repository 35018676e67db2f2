"""The leakage gap: splits of equal size, figures of both arms, the nested interval, the page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from eosin.config import Recipe
from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import UserError
from eosin.evaluation.ranking import auroc
from eosin.studies import gap as gap_module
from eosin.studies import study as study_module
from eosin.studies.answers import measured
from eosin.studies.crossval import crossval
from eosin.studies.gap import gap, splits_of_equal_size
from eosin.studies.gap_page import command, sentence
from eosin.studies.nested import Arm, nested_differences
from eosin.studies.study import StudyResult
from eosin.training.session import reopen


def test_parts_hold_exactly_as_many_patches(made_up_store: PatchStore) -> None:
    for seed in (0, 1, 7):
        made = splits_of_equal_size(made_up_store, seed=seed)
        sizes = {
            arm: {name: len(rows) for name, rows in split.parts(made_up_store).items()}
            for arm, split in made.items()
        }
        assert sizes["patch"] == sizes["case"]
        assert sum(sizes["case"].values()) == len(made_up_store)
        assert made["patch"].leaking
        assert not made["case"].leaking
        parts = made["case"].parts(made_up_store)
        train, test = (set(made_up_store.cases[parts[name]]) for name in ("train", "test"))
        assert not train & test
    one, two = (splits_of_equal_size(made_up_store, seed=seed)["patch"].codes for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_figures_are_those_of_the_runs(gapped: StudyResult, made_up_store: PatchStore) -> None:
    result = gapped.result
    assert result["seeds"] == [0, 1]
    network = result["methods"]["network"]
    for row in network["per_seed"]:
        for arm, key in (("patch", "patch_random"), ("case", "case_disjoint")):
            session = reopen(gapped.folder / f"seed{row['seed']}-{arm}")
            found = measured(session)["test"][:, 1]
            truth = made_up_store.labels[session.parts["test"]]
            assert row["auroc"][key] == pytest.approx(roc_auc_score(truth, found))
    values = [row["auroc"]["difference"] for row in network["per_seed"]]
    mean = network["differences"]["auroc"]
    assert mean["value"] == pytest.approx(np.mean(values))
    assert mean["low"] <= mean["value"] <= mean["high"]
    assert set(result["methods"]) == {"network", "color_histogram", "nearest_neighbors"}
    assert any("made-up" in mark for mark in result["marks"])
    assert not any("patch-random" in mark for mark in result["marks"])
    text = (gapped.folder / "gap.json").read_text()
    assert json.loads(text)["methods"] == result["methods"]
    assert "NaN" not in text


def test_the_page_can_stand_alone(gapped: StudyResult) -> None:
    page = (gapped.folder / "gap.md").read_text()
    assert gapped.result["sentence"] in page
    assert "![" in page
    assert "nested bootstrap" in page
    assert "eosin gap X.store" in page, "no folder of the machine it was made on"
    for row in gapped.result["sizes"]:
        assert f"| {row['seed']} | {row['train']} | {row['val']} | {row['test']} |" in page
    picture = cv2.imread(str(gapped.folder / "gap.png"))
    assert picture.shape[1] > 900
    assert picture.std() > 5


def test_called_again_it_trains_nothing_and_finds_the_same(
    gapped: StudyResult, made_up_store: PatchStore, tiny: Recipe, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = tmp_path / "gap"
    shutil.copytree(gapped.folder, folder)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr(study_module, "fit", never)
    for name in ("color_histogram", "nearest_neighbors"):
        monkeypatch.setitem(gap_module.BASELINES, name, never)
    monkeypatch.setattr("eosin.studies.gap.gap_dots", lambda path, result: path)
    found = gap(made_up_store, tiny, folder, seeds=2, replicates=100)
    assert found.result["methods"] == gapped.result["methods"]
    with pytest.raises(UserError, match="epochs of the recipe was 2, now 3"):
        gap(made_up_store, tiny.changed(epochs=3), folder, seeds=2)
    with pytest.raises(UserError, match="kind gap, not crossval"):
        crossval(made_up_store, tiny, folder, k=3)


def test_a_seed_that_lost_a_run_is_left_out_and_said(
    gapped: StudyResult, made_up_store: PatchStore, tiny: Recipe, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = tmp_path / "gap"
    shutil.copytree(gapped.folder, folder)
    shutil.rmtree(folder / "seed1-case")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(study_module, "fit", full)
    found = gap(made_up_store, tiny, folder, seeds=2, replicates=20)
    assert found.result["seeds"] == [0]
    assert any("seed1-case failed" in mark for mark in found.result["marks"])
    note = found.result["methods"]["network"]["differences"]["auroc"]["note"]
    assert "only cases were drawn" in note


@pytest.mark.parametrize(
    ("cases", "labels", "said"),
    [
        ([], [], "has no patches"),
        (["a"] * 8, [0, 1] * 4, "has 1 case;"),
        (["", *"aabbccd"], [0, 1] * 4, "does not have the case"),
        (list("aabbccdd"), [0] * 8, "all 8 patches .* are negative"),
    ],
)
def test_what_no_run_could_mend_is_said_at_once(
    tiny: Recipe, tmp_path: Path, cases: list[str], labels: list[int], said: str
) -> None:
    path = tmp_path / "s.store"
    with StoreWriter(path, classes=["negative", "positive"], patch_size=(4, 4)) as writer:
        if cases:
            patches = np.random.default_rng(0).integers(0, 255, (len(cases), 4, 4, 3), np.uint8)
            rows = [{"label": y, "case": c} for y, c in zip(labels, cases, strict=True)]
            writer.append(patches, rows)
    with pytest.raises(UserError, match=said):
        gap(PatchStore.open(path), tiny, tmp_path / "gap")
    assert not (tmp_path / "gap").exists()


def arm(seed: int, gain: float, cases: int = 12, each: int = 10) -> Arm:
    rng = np.random.default_rng(seed)
    names = np.repeat([f"c{k}" for k in range(cases)], each)
    truth = rng.integers(0, 2, len(names))
    logit = gain * (truth - 0.5) + np.repeat(rng.normal(0, 0.5, cases), each)
    prob = 1 / (1 + np.exp(-(logit + rng.normal(0, 1, len(names)))))
    return Arm(truth, np.stack([1 - prob, prob], axis=1), names)


def test_the_nested_interval_is_that_of_a_plain_loop() -> None:
    pairs = [(arm(2 * s, 3.0), arm(2 * s + 1, 1.0)) for s in range(3)]
    found = nested_differences(pairs, ["auroc"], replicates=2000, seed=1)["auroc"]
    rng = np.random.default_rng(5)
    plain = []
    for _ in range(1000):
        each = []
        for s in rng.integers(0, 3, 3):
            aurocs = []
            for one in pairs[s]:
                names = list(dict.fromkeys(one.cases.tolist()))
                drawn = rng.integers(0, len(names), len(names))
                # Ten patches a case, one case after the other.
                rows = (10 * drawn[:, None] + np.arange(10)).ravel()
                aurocs.append(auroc(one.truth[rows], one.prob[rows, 1]))
            each.append(aurocs[0] - aurocs[1])
        plain.append(np.mean(each))
    low, high = np.quantile(plain, [0.025, 0.975])
    assert found.low is not None
    assert found.high is not None
    width = high - low
    assert found.low == pytest.approx(low, abs=0.12 * width)
    assert found.high == pytest.approx(high, abs=0.12 * width)
    assert found.value == pytest.approx(
        np.mean([a.value("auroc") - b.value("auroc") for a, b in pairs])
    )


def test_nested_degenerate_input_gives_a_note() -> None:
    good = arm(0, 3.0)
    one_class = Arm(np.ones_like(good.truth), good.prob, good.cases)
    found = nested_differences([(good, one_class)], ["auroc"], replicates=10)["auroc"]
    assert found.value is None
    assert "1 of 1 pairs" in found.note
    small = arm(1, 1.0, cases=2)
    found = nested_differences([(good, small)] * 2, ["auroc"], replicates=10)["auroc"]
    assert found.low is None
    assert "at least 3" in found.note
    assert nested_differences([], ["auroc"])["auroc"].value is None


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ((0.05, 0.02, 0.08), "0.050 higher"),
        ((0.05, -0.02, 0.12), "the interval includes 0"),
        ((-0.05, -0.08, -0.02), "not the more optimistic"),
        ((0.05, None, None), "nothing more can be concluded"),
        ((None, None, None), "has no value"),
    ],
)
def test_what_may_be_said(difference: tuple[Any, ...], said: str) -> None:
    result = {
        "figures": ["auroc"], "seeds": [0, 1], "n_patches": 1000, "n_cases": 10,
        "methods": {"network": {"differences": {"auroc": dict(
            zip(("value", "low", "high", "note"), (*difference, "too few"), strict=True))}}},
    }  # fmt: skip
    text = sentence(result, "compact")
    assert said in text
    assert text.endswith(".")


def test_the_command_names_no_folder_of_the_machine() -> None:
    said = command({"command": "eosin gap /a/b/idc.store -r compact -o /c/d"})
    assert said == "eosin gap idc.store -r compact -o d"
