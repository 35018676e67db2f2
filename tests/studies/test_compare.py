"""Runs compared: matching, what is refused, what is marked, what is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import RunError, UserError
from eosin.studies.compare import compare, difference_rows
from eosin.studies.study import StudyResult

CLASSES = ("negative", "positive")


def make_run(
    path: Path,
    store: PatchStore,
    *,
    test: Sequence[int],
    seen: Sequence[int] = (),
    gain: float = 1.0,
    seed: int = 0,
    threshold: float = 0.5,
    part: str = "test",
    marks: Sequence[str] = (),
) -> Path:
    """A run folder with what `eosin evaluate` leaves, its scores drawn by chance."""
    path.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = np.asarray(test)
    prob = 1 / (1 + np.exp(-gain * (store.labels[rows] - 0.5) - rng.normal(0, 1, len(rows))))
    table = pl.DataFrame({"patch": rows, "part": [part] * len(rows)}).hstack(
        store.index[rows].select("source", "case", "label")
    )
    table = table.with_columns(p_negative=pl.Series(1 - prob), p_positive=pl.Series(prob))
    table.write_parquet(path / "predictions.parquet")
    facts = {
        "part": part, "classes": list(CLASSES), "marks": list(marks), "run": str(path),
        "store": {"path": str(store.path), "digest": store.digest},
        "threshold": {"value": threshold, "rule": "fixed", "chosen_on": "validation", "note": ""},
    }  # fmt: skip
    (path / "evaluation.json").write_text(json.dumps(facts))
    store.index[np.asarray(seen, np.int64)].select("case", "digest").write_parquet(
        path / "seen.parquet"
    )
    return path


@pytest.fixture
def pair(made_up_store: PatchStore, tmp_path: Path) -> list[Path]:
    """A poor and a good run, measured on 240 patches of 12 cases, trained on the other four."""
    test, seen = range(80, 320), range(80)
    return [
        make_run(tmp_path / "poor", made_up_store, test=test, seen=seen, gain=0.3, threshold=0.4),
        make_run(tmp_path / "good", made_up_store, test=test, seen=seen, gain=4.0, seed=1),
    ]


def test_classes_in_another_order_are_mapped_by_name(pair: list[Path]) -> None:
    wanted = compare(pair, replicates=50)
    facts = json.loads((pair[1] / "evaluation.json").read_text())
    facts |= {"classes": list(CLASSES)[::-1]}
    facts["threshold"]["value"] = 1 - facts["threshold"]["value"]
    (pair[1] / "evaluation.json").write_text(json.dumps(facts))
    table = pl.read_parquet(pair[1] / "predictions.parquet")
    table.with_columns(label=1 - pl.col("label")).write_parquet(pair[1] / "predictions.parquet")
    result = compare(pair, replicates=50)
    assert result["classes"] == list(CLASSES)
    assert result["differences"] == wanted["differences"]
    assert result["common"] == wanted["common"]


def test_differences_are_those_of_the_predictions(pair: list[Path]) -> None:
    result = compare(pair, replicates=200)
    tables = [pl.read_parquet(path / "predictions.parquet") for path in pair]
    aurocs = [roc_auc_score(table["label"], table["p_positive"]) for table in tables]
    found = result["differences"]["good"]["auroc"]
    assert found["value"] == pytest.approx(aurocs[1] - aurocs[0])
    assert found["low"] < found["value"] < found["high"]
    assert found["p"] < 0.05
    assert result["common"] == {
        "patches": 240, "cases": 12, "counts": np.bincount(tables[0]["label"]).tolist(),
    }  # fmt: skip
    # Each run keeps its own threshold.
    for table, cut, run in zip(tables, (0.4, 0.5), result["runs"], strict=True):
        called = (table["p_positive"] >= cut).to_numpy()
        truth = table["label"].to_numpy() == 1
        assert run["figures"]["sensitivity"]["value"] == pytest.approx(called[truth].mean())
    (said,) = result["sentences"]
    assert said.startswith("On 12 cases (240 patches) good has a higher AUROC than poor by 0.")
    assert "excludes 0" in said
    assert any("another training seed" in text for text in result["warnings"])
    assert "Bonferroni" not in " ".join(result["warnings"])
    json.dumps(result, allow_nan=False)


def test_the_order_of_rows_does_not_matter(pair: list[Path]) -> None:
    before = compare(pair, replicates=50)
    table = pl.read_parquet(pair[1] / "predictions.parquet")
    table.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(pair[1] / "predictions.parquet")
    assert compare(pair, replicates=50)["differences"] == before["differences"]


def test_the_intersection_is_used_and_what_is_left_out_is_said(
    made_up_store: PatchStore, tmp_path: Path, pair: list[Path]
) -> None:
    third = make_run(tmp_path / "third", made_up_store, test=range(200, 320), seen=range(100))
    result = compare([*pair, third], replicates=50)
    assert result["common"]["patches"] == 120
    assert [run["left_out"] for run in result["runs"]] == [120, 120, 0]
    text = " ".join(result["warnings"])
    assert "120 of 240 patches of poor are left out" in text
    assert "97.5 %" in text
    assert "Bonferroni" in text
    assert result["differences"]["third"]["auroc"]["widened"]["low"] is not None
    # Six cases of the twelve: too few to say anything firm.
    assert "too few to rely on" in result["sentences"][0]


def test_few_cases_are_warned_of(made_up_store: PatchStore, tmp_path: Path) -> None:
    runs = [make_run(tmp_path / n, made_up_store, test=range(40), gain=g) for n, g in
            (("a", 0.1), ("b", 9.0))]  # fmt: skip
    result = compare(runs, replicates=50)
    assert "needs at least 3" in result["sentences"][0]
    assert any("Only 2 cases" in text for text in result["warnings"])


def test_marks_of_an_evaluation_are_sentences(made_up_store: PatchStore, tmp_path: Path) -> None:
    mark = {"kind": "own_split", "sentence": "of the run's own split"}
    paths = [
        make_run(tmp_path / name, made_up_store, test=range(100, 320), seed=k)
        for k, name in enumerate("ab")
    ]
    for path in paths:
        evaluation = json.loads((path / "evaluation.json").read_text())
        (path / "evaluation.json").write_text(json.dumps({**evaluation, "marks": [mark]}))
    assert compare(paths, replicates=20)["marks"] == ["of the run's own split"]


def test_runs_that_share_no_patch_are_refused(made_up_store: PatchStore, tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", made_up_store, test=range(160), seen=range(160, 320))
    two = make_run(tmp_path / "two", made_up_store, test=range(160, 320), seen=range(160))
    with pytest.raises(UserError, match="share no measured patch") as error:
        compare([one, two])
    assert "one learned from 8 of the cases that two was measured on" in str(error.value)
    assert error.value.exit_code == 2


def test_a_run_that_learned_from_the_cases_is_refused_or_marked(
    made_up_store: PatchStore, tmp_path: Path, pair: list[Path]
) -> None:
    rows = np.arange(320)
    leaky = make_run(
        tmp_path / "leaky", made_up_store, test=rows[80:][::2], seen=rows[80:][1::2],
        marks=["patch-random split"],
    )  # fmt: skip
    with pytest.raises(UserError, match="leaky has learned from 12 of the cases compared on"):
        compare([pair[0], leaky])
    result = compare([pair[0], leaky], allow_seen=True, replicates=50)
    assert result["marks"][0].startswith("seen in training: leaky has learned")
    assert "leaky: patch-random split" in result["marks"]


def test_a_run_measured_on_validation_has_not_learned_from_it(
    made_up_store: PatchStore, tmp_path: Path
) -> None:
    # seen.parquet holds training, then validation.
    runs = [
        make_run(
            tmp_path / name, made_up_store, test=range(100, 320), seen=range(320), part="val",
            seed=k, marks=["no test part"],
        )
        for k, name in enumerate("ab")
    ]  # fmt: skip
    result = compare(runs, replicates=50)
    assert result["marks"] == ["no test part"]
    with pytest.raises(UserError, match="has learned from 1 of the cases"):
        # One patch more is of a training case.
        compare(
            [
                make_run(
                    tmp_path / name, made_up_store, test=range(99, 320), seen=range(99), seed=k
                )
                for k, name in enumerate("cd")
            ]
        )


def copy_of(store: PatchStore, path: Path, rows: Sequence[int], **change: Any) -> PatchStore:
    picked = np.asarray(rows)
    with StoreWriter(path, classes=store.classes, patch_size=store.patch_size) as writer:
        writer.append(np.array(store.patches[picked]), store.index[picked].to_dicts())
    return PatchStore.open(path)


def test_patches_of_different_stores_are_matched_by_their_pixels(
    made_up_store: PatchStore, tmp_path: Path, pair: list[Path]
) -> None:
    order = np.random.default_rng(0).permutation(np.arange(200, 320))
    other = copy_of(made_up_store, tmp_path / "other.store", order)
    run = make_run(tmp_path / "elsewhere", other, test=range(120))
    result = compare([pair[0], run], replicates=50)
    table = pl.read_parquet(pair[0] / "predictions.parquet").filter(pl.col("patch") >= 200)
    assert result["common"]["patches"] == 120
    assert result["runs"][0]["figures"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(table["label"], table["p_positive"])
    )
    assert result["runs"][1]["figures"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(*(pl.read_parquet(run / "predictions.parquet")[c] for c in
                        ("label", "p_positive")))
    )  # fmt: skip
    shutil.rmtree(other.path)
    with pytest.raises(RunError, match="does not exist; it is needed"):
        compare([pair[0], run])


def test_labels_that_differ_are_refused(
    made_up_store: PatchStore, tmp_path: Path, pair: list[Path]
) -> None:
    table = pl.read_parquet(pair[1] / "predictions.parquet")
    table.with_columns(label=1 - pl.col("label")).write_parquet(pair[1] / "predictions.parquet")
    with pytest.raises(UserError, match="240 of 240 shared patches are labeled differently"):
        compare(pair)


def test_a_cross_validation_compares_with_a_run(
    folds: StudyResult, made_up_store: PatchStore, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", made_up_store, test=range(80, 320), seen=range(80), gain=6.0)
    result = compare([folds.folder, run], replicates=50)
    assert result["common"]["patches"] == 240
    table = pl.read_parquet(folds.folder / "predictions.parquet").filter(pl.col("patch") >= 80)
    assert result["runs"][0]["figures"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(table["label"], table["p_positive"])
    )
    called = (table["decision"] == "positive").to_numpy()
    truth = table["label"].to_numpy() == 1
    figures = result["runs"][0]["figures"]
    assert figures["sensitivity"]["value"] == pytest.approx(called[truth].mean())
    assert any("other numbers of patches" in text for text in result["warnings"])


def test_it_writes_a_page_and_a_file(pair: list[Path], tmp_path: Path) -> None:
    result = compare(pair, replicates=50, folder=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == json.loads(
        json.dumps(result)
    )
    page = (tmp_path / "out" / "compare.md").read_text()
    assert result["sentences"][0] in page
    assert "| AUROC |" in page
    rows = difference_rows(result)["good"]
    assert rows[0][0] == "AUROC"
    assert rows[0][3].startswith("+")


def test_names_tell_runs_apart(made_up_store: PatchStore, tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / x / "run", made_up_store, test=range(80, 320), seed=k)
        for k, x in enumerate("ab")
    ]
    result = compare(runs, replicates=20)
    assert [run["name"] for run in result["runs"]] == ["a/run", "b/run"]


def test_mistakes_are_one_sentence(
    pair: list[Path], tmp_path: Path, made_up_store: PatchStore
) -> None:
    with pytest.raises(UserError, match="at least two"):
        compare(pair[:1])
    with pytest.raises(RunError, match="listed twice"):
        compare([pair[0], pair[0]])
    with pytest.raises(RunError, match="no such run folder"):
        compare([pair[0], tmp_path / "none"])
    (tmp_path / "plain").mkdir()
    with pytest.raises(RunError, match="neither an evaluated run nor"):
        compare([pair[0], tmp_path / "plain"])
    (tmp_path / "plain" / "recipe.toml").write_text("")
    with pytest.raises(RunError, match="eosin evaluate"):
        compare([pair[0], tmp_path / "plain"])
    facts = json.loads((pair[1] / "evaluation.json").read_text())
    (pair[1] / "evaluation.json").write_text(json.dumps({**facts, "classes": ["a", "b"]}))
    with pytest.raises(UserError, match=r"same classes|cannot be read"):
        compare(pair)
    (pair[1] / "evaluation.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        compare(pair)
    (pair[1] / "evaluation.json").write_text(json.dumps(facts))
    (pair[1] / "predictions.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(RunError, match="evaluate again"):
        compare(pair)
