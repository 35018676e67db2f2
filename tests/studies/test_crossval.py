"""Cross-validation: what it writes is right, complete, the same however often it stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from eosin.config import Recipe
from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import DiskError, EosinError, FailureError, SplitError, StoppedError, UserError
from eosin.evaluation.decisions import choose_threshold
from eosin.records.scored import Scored
from eosin.runs import RunFolder
from eosin.studies import study as study_module
from eosin.studies.answers import measured
from eosin.studies.compare import compare
from eosin.studies.crossval import crossval
from eosin.studies.plan import earlier_plan
from eosin.studies.study import StudyResult
from eosin.training.loop import Reporter
from eosin.training.session import Session, reopen
from eosin.trust.suspects import find_suspects

RUNS = ["seed0-fold0", "seed0-fold1", "seed0-fold2"]


def predictions(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "predictions.parquet")


def copied(folds: StudyResult, path: Path, without: str | None = None) -> Path:
    shutil.copytree(folds.folder, path)
    if without:
        shutil.rmtree(path / without)
    return path


def test_every_patch_is_judged_once_by_a_model_that_never_saw_its_case(
    folds: StudyResult, made_up_store: PatchStore
) -> None:
    table = predictions(folds.folder)
    assert table["patch"].to_list() == list(range(len(made_up_store)))
    assert {
        "patch", "source", "case", "slide", "x", "y", "label", "fold", "p_negative", "p_positive",
        "p_negative_seed0", "p_positive_seed0",
    } <= set(table.columns)  # fmt: skip
    assert table["label"].to_list() == made_up_store.labels.tolist()
    for fold in range(3):
        seen = pl.read_parquet(folds.folder / f"seed0-fold{fold}" / "seen.parquet")
        judged = table.filter(pl.col("fold") == fold)
        assert not set(judged["case"]) & set(seen["case"])
    assert table.group_by("case").agg(pl.col("fold").n_unique())["fold"].max() == 1


def test_figures_are_those_of_the_predictions(
    folds: StudyResult, made_up_store: PatchStore
) -> None:
    result, table = folds.result, predictions(folds.folder)
    assert json.loads((folds.folder / "crossval.json").read_text())["pooled"] == result["pooled"]
    pooled = result["pooled"]
    assert pooled["auroc"]["value"] == pytest.approx(
        roc_auc_score(table["label"], table["p_positive"])
    )
    called = (table["decision"] == "positive").cast(pl.Int8)
    assert pooled["balanced_accuracy"]["value"] == pytest.approx(
        balanced_accuracy_score(table["label"], called)
    )
    for name in ("auroc", "balanced_accuracy", "f1", "brier"):
        assert pooled[name]["low"] <= pooled[name]["value"] <= pooled[name]["high"]
    assert (called == (table["p_positive"] >= table["threshold"]).cast(pl.Int8)).all()
    assert len(result["per_fold"]) == 3
    assert sum(row["patches"] for row in result["per_fold"]) == len(table)
    spread = result["spread"]["folds"]["auroc"]
    values = [row["figures"]["auroc"]["value"] for row in result["per_fold"]]
    assert spread["mean"] == pytest.approx(np.mean(values))
    assert spread["sd"] == pytest.approx(np.std(values, ddof=1))
    assert result["n_cases"] == 16
    assert any("made-up" in mark for mark in result["marks"])
    assert result["store"]["digest"] == made_up_store.digest


def test_thresholds_come_from_the_folds_own_validation_part(
    folds: StudyResult, made_up_store: PatchStore
) -> None:
    for row in folds.result["per_fold"]:
        session = reopen(folds.folder / f"seed0-fold{row['fold']}")
        found = measured(session)
        chosen = choose_threshold(made_up_store.labels[session.parts["val"]], found["val"])
        assert row["threshold"]["value"] == float(chosen)
        test = predictions(folds.folder).filter(pl.col("fold") == row["fold"])
        np.testing.assert_allclose(test["p_positive"], found["test"][:, 1], rtol=1e-6)


def test_suspects_are_listed_drawn_and_not_removed(
    folds: StudyResult, made_up_store: PatchStore
) -> None:
    table, suspects = predictions(folds.folder), folds.result["suspects"]
    found = find_suspects(
        Scored.of(table["label"], table.select("p_negative", "p_positive").to_numpy())
    )
    assert suspects["total"] == found.total
    listed = pl.read_csv(folds.folder / "suspects.csv", schema_overrides={"case": pl.String})
    assert len(listed) == found.total > 0
    rows = [row["patch"] for row in suspects["rows"]]
    assert rows == listed["patch"].to_list()[:60]
    for row in suspects["rows"][:5]:
        assert made_up_store.classes[made_up_store.labels[row["patch"]]] == row["label"]
        assert row["source"] == made_up_store.index["source"][row["patch"]]
    assert len(table) == len(made_up_store)
    picture = cv2.imread(str(folds.folder / "suspects.png"))
    assert picture.shape[0] > 300
    assert picture.std() > 10


class Stopper:
    """Watches runs, and asks to stop after some steps in all."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @contextmanager
    def __call__(self, session: Session) -> Iterator[Reporter]:
        def stepped(epoch: int, step: int, loss: float) -> None:
            self.left -= 1

        yield Reporter(stepped=stepped, stop=lambda: self.left <= 0)


def test_stopped_anywhere_it_goes_on_to_the_same_predictions(
    folds: StudyResult,
    made_up_store: PatchStore,
    tiny: Recipe,
    tmp_path: Path,
    no_pictures: None,
) -> None:
    folder = tmp_path / "folds"
    told: list[str] = []

    def go(steps: int) -> StudyResult:
        return crossval(
            made_up_store, tiny, folder, k=3, replicates=20, again="eosin crossval AGAIN",
            watch=Stopper(steps), note=told.append,
        )  # fmt: skip

    with pytest.raises(StoppedError, match=r"seed 0, fold 0; 0 of 3 .* eosin crossval AGAIN"):
        go(2)
    assert (folder / "seed0-fold0" / "resume.pt").exists()
    # Killed while the next folder was being made.
    (folder / "seed0-fold1").mkdir()
    (folder / "seed0-fold1" / "recipe.toml").write_text("half")
    steps = 0

    class Counting(Stopper):
        @contextmanager
        def __call__(self, session: Session) -> Iterator[Reporter]:
            def stepped(epoch: int, step: int, loss: float) -> None:
                nonlocal steps
                steps += 1

            yield Reporter(stepped=stepped)

    found = crossval(
        made_up_store, tiny, folder, k=3, replicates=20, watch=Counting(0), note=told.append
    )
    whole = sum(2 * (reopen(folder / run).parts["train"].size // tiny.batch_size) for run in RUNS)
    assert steps == whole - 2, "what was trained before is not trained again"
    assert predictions(folder).drop("marks").equals(predictions(folds.folder).drop("marks"))
    assert found.result["pooled"]["auroc"]["value"] == folds.result["pooled"]["auroc"]["value"]
    assert any("run 2 of 3" in text for text in told)
    assert any("about" in text for text in told)


def test_a_finished_study_is_not_trained_again(
    folds: StudyResult, made_up_store: PatchStore, tiny: Recipe, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, no_pictures: None,
) -> None:  # fmt: skip
    folder = copied(folds, tmp_path / "folds")

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained or predicted again")

    monkeypatch.setattr(study_module, "fit", never)
    monkeypatch.setattr("eosin.inference.predictor.predict_rows", never)
    found = crossval(made_up_store, tiny, folder, k=3, replicates=100)
    assert found.result["pooled"] == folds.result["pooled"]


def test_a_run_that_fails_does_not_lose_the_others(
    folds: StudyResult, made_up_store: PatchStore, tiny: Recipe, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, no_pictures: None,
) -> None:  # fmt: skip
    folder = copied(folds, tmp_path / "folds", without="seed0-fold1")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(study_module, "fit", full)
        found = crossval(made_up_store, tiny, folder, k=3, replicates=20)
    assert list(found.failed) == ["seed0-fold1"]
    assert "No space left" in found.failed["seed0-fold1"]
    assert len(found.result["per_fold"]) == 2
    assert any("fold 1 are missing" in mark for mark in found.result["marks"])
    assert set(predictions(folder)["fold"]) == {0, 2}

    def no_room(*_: Any, **__: Any) -> None:
        raise DiskError("resume.pt cannot be written: the disk is full")

    with monkeypatch.context() as patch:
        # Every other run would meet it.
        patch.setattr(study_module, "fit", no_room)
        with pytest.raises(DiskError, match="the disk is full, then resume with: eosin crossval"):
            crossval(made_up_store, tiny, folder, k=3, replicates=20)
    mended = crossval(made_up_store, tiny, folder, k=3, replicates=20)
    assert not mended.failed
    assert predictions(folder).equals(predictions(folds.folder))


def test_a_damaged_model_costs_its_own_run_only(
    folds: StudyResult, made_up_store: PatchStore, tiny: Recipe, tmp_path: Path,
    no_pictures: None,
) -> None:  # fmt: skip
    folder = copied(folds, tmp_path / "folds")
    (folder / "seed0-fold1" / "model.safetensors").write_bytes(b"short")
    (folder / "seed0-fold1" / "measured.npz").write_bytes(b"PK damaged")
    # What was kept of another one is damaged as well, but can be made again.
    (folder / "seed0-fold2" / "measured.npz").write_bytes(b"PK damaged")
    found = crossval(made_up_store, tiny, folder, k=3, replicates=20)
    assert list(found.failed) == ["seed0-fold1"]
    assert "remove" in found.failed["seed0-fold1"]
    assert [row["fold"] for row in found.result["per_fold"]] == [0, 2]
    whole = predictions(folds.folder).filter(pl.col("fold") != 1)
    assert predictions(folder).drop("marks").equals(whole.drop("marks"))


def test_three_classes(tiny: Recipe, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(3), 36)
    patches = rng.integers(0, 120, (108, 50, 50, 3)).astype(np.uint8)
    patches += (50 * labels[:, None, None, None]).astype(np.uint8)
    rows = [{"label": y, "case": f"c{k // 12}"} for k, y in enumerate(labels.tolist())]
    with StoreWriter(tmp_path / "s", classes=["a", "b", "c"], patch_size=(50, 50)) as writer:
        writer.append(patches, rows)
    found = crossval(PatchStore.open(tmp_path / "s"), tiny, tmp_path / "f", k=3, replicates=20)
    assert "macro_auroc" in found.result["pooled"]
    assert found.result["per_fold"][0]["threshold"] is None
    table = predictions(tmp_path / "f")
    named = table.select("p_a", "p_b", "p_c").to_numpy().argmax(axis=1)
    assert ["abc"[k] for k in named] == table["decision"].to_list()
    json.dumps(found.result, allow_nan=False)
    pair = compare([tmp_path / "f", shutil.copytree(tmp_path / "f", tmp_path / "g")], replicates=20)
    assert pair["differences"]["g"]["macro_auroc"]["value"] == 0
    assert "the same AUROC, mean of classes" in pair["sentences"][0]


def test_more_seeds_are_added(
    folds: StudyResult, made_up_store: PatchStore, tiny: Recipe, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, no_pictures: None,
) -> None:  # fmt: skip
    folder = copied(folds, tmp_path / "folds")
    before = (folder / "seed0-fold0" / "model.safetensors").stat().st_mtime_ns
    found = crossval(made_up_store, tiny, folder, k=3, seeds=2, replicates=20)
    assert (folder / "seed0-fold0" / "model.safetensors").stat().st_mtime_ns == before
    assert found.result["seeds"] == [0, 1]
    assert [row["seed"] for row in found.result["per_seed"]] == [0, 1]
    table = predictions(folder)
    mean = (table["p_positive_seed0"] + table["p_positive_seed1"]) / 2
    np.testing.assert_allclose(table["p_positive"], mean)
    assert not np.allclose(table["p_positive_seed0"], table["p_positive_seed1"])
    assert found.result["spread"]["seeds"]["auroc"]["n"] == 2
    with pytest.raises(UserError, match="seeds was 2, now 1"):
        crossval(made_up_store, tiny, folder, k=3, seeds=1)
    # One seed of one fold lost for good: the others stand in, and it is said.
    shutil.rmtree(folder / "seed1-fold2")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("device lost")

    monkeypatch.setattr(study_module, "fit", broken)
    rest = crossval(made_up_store, tiny, folder, k=3, seeds=2, replicates=20)
    assert list(rest.failed) == ["seed1-fold2"]
    assert len(predictions(folder)) == len(made_up_store)
    assert predictions(folder)["p_positive_seed1"].null_count() > 0
    assert predictions(folder)["p_positive"].null_count() == 0
    assert [row["seed"] for row in rest.result["per_seed"]] == [0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"k": 4}, "k was 3, now 4"),
        ({"split_seed": 1}, "split_seed was 42, now 1"),
        ({"recipe": {"epochs": 5}}, "epochs of the recipe was 2, now 5"),
    ],
)
def test_a_folder_begun_otherwise_is_refused(
    folds: StudyResult, made_up_store: PatchStore, tiny: Recipe,
    change: dict[str, Any], said: str,
) -> None:  # fmt: skip
    options: dict[str, Any] = {"k": 3, **change}
    recipe = tiny.changed(**options.pop("recipe", {}))
    with pytest.raises(UserError, match=said) as error:
        crossval(made_up_store, recipe, folds.folder, **options)
    assert "--force" in str(error.value)
    assert (folds.folder / "crossval.json").exists()


class Reached(Exception):
    """Training would begin now."""


def here(*_: Any, **__: Any) -> None:
    raise Reached


def test_force_starts_anew_but_never_removes_what_is_not_its_own(
    folds: StudyResult,
    made_up_store: PatchStore,
    tiny: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = copied(folds, tmp_path / "folds")
    (folder / "notes.txt").write_text("mine")
    (folder / "papers").mkdir()
    (folder / "seed0-fold1" / "mine.txt").write_text("mine")
    monkeypatch.setattr(study_module, "fit", here)
    said: list[str] = []
    with pytest.raises(Reached):
        crossval(made_up_store, tiny.changed(epochs=1), folder, k=3, force=True, note=said.append)
    assert said[0] == f"left in {folder}: notes.txt, papers, seed0-fold1"
    assert (folder / "seed0-fold1" / "mine.txt").read_text() == "mine"
    assert not (folder / "seed0-fold1" / "model.safetensors").exists()
    assert not (folder / "crossval.json").exists()
    assert not (folder / "seed0-fold2").exists()
    assert json.loads((folder / "plan.json").read_text())["recipe"]["epochs"] == 1
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "papers").is_dir()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years")
    with pytest.raises(UserError, match="contains other files"):
        crossval(made_up_store, tiny, other, k=3, force=True)
    assert (other / "thesis.tex").exists()
    with pytest.raises(UserError, match="inside the store"):
        crossval(made_up_store, tiny, made_up_store.path / "folds", k=3)
    with pytest.raises(UserError, match="is a file"):
        crossval(made_up_store, tiny, other / "thesis.tex", k=3)


def test_a_plan_that_has_trained_nothing_yet_may_change(
    made_up_store: PatchStore, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tiny.changed(arguments={"widths": [8, 16], "nonsense": 3})
    with pytest.raises(EosinError):
        crossval(made_up_store, wrong, tmp_path / "folds", k=3)
    monkeypatch.setattr(study_module, "fit", here)
    with pytest.raises(Reached):
        crossval(made_up_store, tiny, tmp_path / "folds", k=3)


def store_of(path: Path, cases: list[str], labels: list[int]) -> PatchStore:
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 255, (len(labels), 50, 50, 3), np.uint8)
    rows = [{"label": y, "case": case} for y, case in zip(labels, cases, strict=True)]
    with StoreWriter(path, classes=["negative", "positive"], patch_size=(50, 50)) as writer:
        if rows:
            writer.append(patches, rows)
    return PatchStore.open(path)


@pytest.mark.parametrize(
    ("cases", "labels", "k", "said"),
    [
        ([], [], 5, "has no patches"),
        (["a"] * 8, [0, 1] * 4, 5, "has 1 case: .* at least 3 cases"),
        (list("aabbccdd"), [0, 1] * 4, 5, "has 4 cases: .* choose -k 4"),
        (list("aabbccdd"), [0, 1] * 4, 2, "at least 3 folds"),
        (list("aabbccdd"), [1] * 8, 3, "all 8 patches .* are positive"),
    ],
)
def test_what_no_run_could_mend_is_said_at_once(
    tiny: Recipe, tmp_path: Path, cases: list[str], labels: list[int], k: int, said: str
) -> None:
    store = store_of(tmp_path / "s.store", cases, labels)
    with pytest.raises(UserError, match=said):
        crossval(store, tiny, tmp_path / "folds", k=k)
    assert not (tmp_path / "folds").exists()


def test_a_fold_of_one_class_is_warned_of(tiny: Recipe, tmp_path: Path, no_pictures: None) -> None:
    names = [f"c{k}" for k in range(9) for _ in range(6)]
    labels = [1 if k < 2 and i < 3 else 0 for k in range(9) for i in range(6)]
    store = store_of(tmp_path / "s.store", names, labels)
    try:
        found = crossval(store, tiny.changed(epochs=1), tmp_path / "folds", k=3, replicates=20)
    except FailureError as error:
        pytest.fail(str(error))
    said = " ".join([*found.result["warnings"], *found.result["marks"]])
    assert "has no patch of class positive" in said
    json.dumps(found.result, allow_nan=False)


def test_copies_join_cases_and_too_few_are_left_for_folds(
    tiny: Recipe, tmp_path: Path, made_up_store: PatchStore
) -> None:
    rows = made_up_store.index.to_dicts()
    patches = np.array(made_up_store.patches)
    # Every case has a copy of the same five patches.
    for case in range(16):
        patches[20 * case : 20 * case + 5] = patches[:5]
    for row in rows:
        del row["digest"]
    path = tmp_path / "copies.store"
    with StoreWriter(path, classes=made_up_store.classes, patch_size=(50, 50)) as writer:
        writer.append(patches, rows)
    with pytest.raises(SplitError, match="16 cases, which equal patches join to 1 group: too few"):
        crossval(PatchStore.open(path), tiny, tmp_path / "folds", k=3)
    assert not (tmp_path / "folds").exists()
    assert issubclass(SplitError, UserError)


@pytest.mark.parametrize(
    "change", [{"store": "x"}, {"recipe": [1]}, {"settings": 5}, {"seeds": "2"}]
)
def test_a_plan_with_values_of_other_kinds_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"format": 1, "study": "crossval", **change}))
    with pytest.raises(UserError, match=r"plan\.json is damaged"):
        earlier_plan(RunFolder(tmp_path))
