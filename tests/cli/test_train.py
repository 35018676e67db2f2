"""train, evaluate and predict from the command line, as a user meets them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from eosin.data.store import PatchStore
from eosin.records.model import ModelFacts
from eosin.splitting.split_file import write_split
from eosin.splitting.splits import by_case, by_patch
from eosin.synthetic.archive import make_store

SMALL = [
    "--set", "arguments.widths=[8,16]", "--set", "arguments.blocks=[0,1]",
    "--set", "batch_size=32", "--set", "learning_rate=0.01",
]  # fmt: skip
FIGURES = ("auroc", "average_precision", "balanced_accuracy", "f1", "sensitivity", "specificity",
           "accuracy", "brier")  # fmt: skip
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, made_up_store: PatchStore) -> Path:
    """A run folder made by the command; tests must not change it."""
    from eosin.cli.main import main

    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ["train", str(made_up_store.path), "-o", str(folder), "--set", "epochs=6", *SMALL]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert not stop.value.code
    return folder


def test_a_run_folder_is_complete(trained: Path, made_up_store: PatchStore) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {
        "recipe.toml", "split.csv", "seen.parquet", "metrics.jsonl", "resume.pt",
        "model.safetensors", "model.json", "predictions.parquet",
        "evaluation.json", "environment.json", "roc.png",
    } <= names  # fmt: skip
    assert not [name for name in names if name.endswith(".partial")]
    facts = json.loads((trained / "model.json").read_text())
    assert facts["fit"] == "pad"
    assert ModelFacts.of_run(trained).decision().point.chosen_on == "validation"
    assert [mark["kind"] for mark in facts["marks"]] == ["made_up"]
    evaluation = json.loads((trained / "evaluation.json").read_text())
    for name in FIGURES:
        figure = evaluation[name]
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert set(evaluation["baselines"]) == {"base_rate", "color_histogram", "nearest_neighbors"}
    table = pl.read_parquet(trained / "predictions.parquet")
    assert set(table["part"].unique()) == {"val", "test"}
    test = table.filter(pl.col("part") == "test")
    assert len(test) == evaluation["n_patches"]
    called = (test["p_positive"] >= evaluation["threshold"]["value"]).cast(pl.Int64)
    assert (called == (test["called"] == "positive").cast(pl.Int64)).all()
    accuracy = float((called == test["label"]).mean())  # type: ignore[arg-type]
    assert accuracy == pytest.approx(evaluation["accuracy"]["value"])
    assert not set(test["case"]) & set(pl.read_parquet(trained / "seen.parquet")["case"])


def test_one_step_is_not_called_steps(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path
) -> None:
    once = [*SMALL, "--set", "epochs=1", "--set", "batch_size=10000", "--no-evaluate"]
    found = eosin("train", made_up_store.path, "-o", tmp_path / "run", *once)
    assert found.code == 0, found.err
    assert ", 1 epoch of 1 step on " in found.err
    assert "trained 1 epoch in" in found.err


def test_evaluate_repeats_its_figures(eosin: Run, trained: Path) -> None:
    before = json.loads((trained / "evaluation.json").read_text())
    found = eosin("evaluate", trained, "--json")
    assert found.code == 0, found.err
    after = json.loads(found.out)
    assert {name: after[name] for name in FIGURES} == {name: before[name] for name in FIGURES}


def test_evaluate_shows_a_table_with_the_marks(eosin: Run, trained: Path) -> None:
    found = eosin("evaluate", trained, "--no-baselines", "--replicates", 20)
    assert found.code == 0
    assert "AUROC" in found.out
    assert "positive class: positive (the figures are about positive)" in found.out
    assert "made-up" in found.err


def test_an_unseen_store_is_evaluated_whole(eosin: Run, trained: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other.store", cases=3, patches_per_case=20, seed=77)
    names = [f"other-{case}" for case in other.cases]
    renamed = rename_cases(other, names)
    found = eosin("evaluate", trained, "--store", renamed, "-o", tmp_path / "out", "--json")
    assert found.code == 0, found.err
    result = json.loads(found.out)
    assert result["part"] == "all"
    assert result["n_patches"] == 60
    assert (tmp_path / "out" / "evaluation.json").exists()
    # The threshold is the run's own.
    points = ModelFacts.of_run(trained).points
    assert result["threshold"]["value"] == points["balanced"].threshold


def rename_cases(store: PatchStore, names: list[str]) -> Path:
    from eosin.data.store import StoreWriter

    path = store.path.with_name("renamed.store")
    rows = store.index.with_columns(case=pl.Series(names)).to_dicts()
    with StoreWriter(path, classes=store.classes, patch_size=store.patch_size) as writer:
        writer.append(np.array(store.patches), rows)
    return path


def test_cases_or_pixels_seen_in_training_are_refused(
    eosin: Run, trained: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.store"
    shutil.copytree(made_up_store.path, copy)
    disguised = PatchStore.open(copy)
    renamed = rename_cases(disguised, [f"new-{case}" for case in disguised.cases])
    found = eosin("evaluate", trained, "--store", renamed)
    assert found.code == 2
    assert "seen in training" in found.err
    found = eosin("evaluate", trained, "--store", renamed, "--allow-seen", "--json")
    assert found.code == 0, found.err
    assert any("seen in training" in mark["sentence"] for mark in json.loads(found.out)["marks"])
    # The run's own store in another place is its own store.
    assert eosin("evaluate", trained, "--store", copy, "--no-baselines").code == 0


def test_verbatim_is_the_base_rate(eosin: Run, made_up_store: PatchStore, tmp_path: Path) -> None:
    found = eosin(
        "train", made_up_store.path, "-r", "article-verbatim", "-s", "patch",
        "-o", tmp_path / "run", "--set", "arguments.width=4", "--json",
    )  # fmt: skip
    assert found.code == 0, found.err
    result = json.loads(found.out)
    assert result["accuracy"]["value"] == pytest.approx(1 - result["prevalence"])
    assert result["sensitivity"]["value"] == 0
    assert any("no weight changed" in mark["sentence"] for mark in result["marks"])
    assert any("patch-random" in mark["sentence"] for mark in result["marks"])
    decisions = pl.read_parquet(tmp_path / "run" / "predictions.parquet")["called"]
    assert set(decisions) == {"negative"}


def test_a_leaking_split_is_refused_unless_said(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path
) -> None:
    split = tmp_path / "mine.csv"
    leaky = by_patch(made_up_store)
    write_split(leaky, split)
    text = split.read_text().replace("# scheme: patch", "# scheme: file")
    split.write_text(text)
    found = eosin("train", made_up_store.path, "-s", split, "-o", tmp_path / "run", *SMALL)
    assert found.code == 1
    assert "--allow-leaks" in found.err
    assert not (tmp_path / "run").exists()
    found = eosin(
        "train", made_up_store.path, "-s", split, "-o", tmp_path / "run", *SMALL,
        "--set", "epochs=1", "--allow-leaks", "--json",
    )  # fmt: skip
    assert found.code == 0, found.err
    assert any("leak" in mark["sentence"] for mark in json.loads(found.out)["marks"])


def test_a_split_without_test_part_is_marked(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path
) -> None:
    split = by_case(made_up_store, fractions=(0.6, 0.4, 0.0))
    write_split(split, tmp_path / "split.csv")
    found = eosin(
        "train", made_up_store.path, "-s", tmp_path / "split.csv", "-o", tmp_path / "run", *SMALL,
        "--set", "epochs=1", "--json",
    )  # fmt: skip
    assert found.code == 0, found.err
    result = json.loads(found.out)
    assert result["part"] == "val"
    assert any("no test part" in mark["sentence"] for mark in result["marks"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train"], 2, "name a source and a run folder"),
        (["train", "none.store", "-o", "run"], 2, "no such store"),
        (["train", "STORE", "-o", "run", "-r", "compat"], 2, "did you mean compact"),
        (["train", "STORE", "-o", "run", "--set", "epoch=1"], 2, "did you mean epochs"),
        (["train", "STORE", "-o", "run", "-s", "cases"], 2, "neither a file nor a scheme"),
        (["train", "STORE", "-o", "run", "-s", "published"], 2, "published"),
        (["train", "STORE", "-o", "run", "--fold", "1"], 2, "fold"),
        (["train", "--resume", "none"], 2, "no such run"),
        (["train", "--resume", "none", "-o", "x"], 2, "leave out -o"),
        (["evaluate", "none"], 2, "no such run folder"),
        (["evaluate", "RUN", "--precision", "int4"], 2, "choose fp32"),
        (["evaluate", "RUN", "--store", "none.store"], 2, "no such store"),
        (["predict", "none", "x.png"], 2, "none does not exist"),
        (["predict", "RUN", "empty"], 2, "contains no image files"),
        (["predict", "RUN", "x.png", "--csv", "--json"], 2, "choose one"),
    ],
)
def test_mistakes_are_one_sentence(
    eosin: Run,
    trained: Path,
    made_up_store: PatchStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    places = {"STORE": str(made_up_store.path), "RUN": str(trained)}
    found = eosin(*[places.get(word, word) for word in words])
    assert found.code == code, found.err
    assert said in found.err
    assert "Traceback" not in found.err
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_not_overwritten(
    eosin: Run, trained: Path, made_up_store: PatchStore
) -> None:
    before = (trained / "model.safetensors").read_bytes()
    found = eosin("train", made_up_store.path, "-o", trained, *SMALL)
    assert found.code == 2
    assert "already contains a run" in found.err
    assert (trained / "model.safetensors").read_bytes() == before


def test_a_store_that_is_gone_is_named(
    eosin: Run, trained: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    facts = json.loads((copy / "environment.json").read_text())
    facts["store"] |= {"path": str(tmp_path / "moved-away.store"), "relative": "../no.store"}
    (copy / "environment.json").write_text(json.dumps(facts))
    found = eosin("evaluate", copy)
    assert found.code == 2
    assert "--store STORE" in found.err
    assert eosin("evaluate", copy, "--store", made_up_store.path, "--no-baselines").code == 0


@pytest.mark.slow
def test_one_command_from_the_zip_to_the_figures(eosin: Run, tmp_path: Path) -> None:
    from eosin.synthetic.archive import write_archive

    write_archive(tmp_path / "archive.zip", cases=6, seed=3)
    words = ("train", tmp_path / "archive.zip", *SMALL, "--set", "epochs=1", "--json")
    found = eosin(*words, "-o", tmp_path / "run")
    assert found.code == 0, found.err
    assert json.loads(found.out)["auroc"]["value"] is not None
    assert "nested copies skipped" in found.err
    assert (tmp_path / "archive.store").is_dir()
    again = eosin(*words, "-o", tmp_path / "run2")
    assert again.code == 0, again.err
    assert "packed earlier from the same source" in again.err


def write_images(folder: Path, store: PatchStore, n: int = 5) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{k}.png" for k in range(n)]
    for k, path in enumerate(paths):
        cv2.imwrite(str(path), np.ascontiguousarray(store.patches[k][..., ::-1]))
    return paths


def test_predict_answers_what_evaluate_wrote(
    eosin: Run, trained: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    table = pl.read_parquet(trained / "predictions.parquet").head(4)
    folder = tmp_path / "images"
    folder.mkdir()
    for k, row in enumerate(table["patch"]):
        cv2.imwrite(str(folder / f"{k}.png"), made_up_store.patches[row][..., ::-1].copy())
    found = eosin("predict", trained, folder, "--json")
    assert found.code == 0, found.err
    rows = json.loads(found.out)["predictions"]
    assert [row["p_positive"] for row in rows] == pytest.approx(
        table["p_positive"].to_list(), abs=1e-5
    )
    assert [row["decision"] for row in rows] == table["decision"].to_list()


def test_predict_reads_files_folders_and_zips_and_keeps_going(
    eosin: Run, trained: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    paths = write_images(tmp_path / "folder", made_up_store)
    (tmp_path / "folder" / "notes.txt").write_text("no image")
    (tmp_path / "bad.png").write_bytes(paths[0].read_bytes()[:200])
    large = cv2.resize(cv2.imread(str(paths[1])), (80, 60))
    cv2.imwrite(str(tmp_path / "large.png"), large)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)
    words = [paths[0], tmp_path / "folder", tmp_path / "all.zip", tmp_path / "bad.png",
             tmp_path / "large.png", tmp_path / "missing.png"]  # fmt: skip
    found = eosin("predict", trained, *words, "--csv")
    assert found.code == 1
    # The training patches were padded; a larger image is refused, as packing refuses it.
    assert "3 of 14 image(s) could not be classified" in found.err
    lines = found.out.splitlines()
    assert lines[0] == (
        "file,p_negative,p_positive,distance,decision,point,threshold,"
        "height,width,resized,padded,resampled,white,error,marks"
    )
    assert len(lines) == 15
    same = [line.split(",")[2] for line in lines[1:12] if line.split(",")[0].endswith("0.png")]
    assert len(same) == 3
    assert len({round(float(value), 5) for value in same}) == 1
    assert "missing" in lines[14]
    assert "too large: 80x60 px, not 50x50" in lines[13]
    found = eosin("predict", trained, *words, "--strict", "--json")
    assert found.code == 1
    result = json.loads(found.out)
    assert result["errors"] == 3
    assert "odd size: 80x60 px" in result["predictions"][12]["error"]
    found = eosin("predict", trained, *words, "--fit", "resize", "--json")
    result = json.loads(found.out)
    assert result["errors"] == 2
    assert [row["resized"] for row in result["predictions"]] == [False] * 12 + [True, False]
    assert "1 image(s) of another size were resized to 50x50 px" in found.err
    both = eosin("predict", trained, paths[0], "--strict", "--fit", "pad")
    assert (both.code, "use one of them" in both.err) == (2, True)
    few = eosin("predict", trained, paths[0], "--max-pixels", 99, "--json")
    assert "too many pixels" in json.loads(few.out)["predictions"][0]["error"]
    table = eosin("predict", trained, paths[0])
    assert table.code == 0
    assert "0.png" in table.out


def _command(*words: object) -> list[str]:
    return [sys.executable, "-m", "eosin", *[str(word) for word in words]]


def weights_of(run: Path) -> dict[str, np.ndarray]:
    """Of the network; the tensors of the out-of-scope check come with the evaluation."""
    from safetensors.numpy import load_file

    tensors = load_file(run / "model.safetensors")
    return {name: value for name, value in tensors.items() if not name.startswith("scope_")}


def test_killed_before_its_first_checkpoint_it_begins_again(
    eosin: Run, trained: Path, tmp_path: Path
) -> None:
    early = tmp_path / "early"
    early.mkdir()
    for name in ("recipe.toml", "split.csv", "environment.json", "seen.parquet"):
        shutil.copy(trained / name, early / name)
    # An epoch was noted, but the kill came before its checkpoint.
    (early / "metrics.jsonl").write_text('{"epoch": 1}\n')
    found = eosin("train", "--resume", early, "--no-evaluate")
    assert found.code == 0, found.err
    assert "starts again" in found.err
    assert weights_of(early).keys() == weights_of(trained).keys()
    for name, value in weights_of(trained).items():
        assert np.array_equal(value, weights_of(early)[name]), name
    rows = (early / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == len((trained / "metrics.jsonl").read_text().splitlines())


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_weights(
    made_up_store: PatchStore, tmp_path: Path
) -> None:
    words = ["train", made_up_store.path, *SMALL, "--set", "epochs=30", "--no-evaluate"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    subprocess.run(_command(*words, "-o", whole), env=environment, check=True, capture_output=True)
    first = subprocess.Popen(
        _command(*words, "-o", pieces), env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (pieces / "resume.pt").exists():
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (pieces / "model.json").exists()
    told = subprocess.run(
        _command("evaluate", pieces), env=environment, capture_output=True, text=True
    )
    assert told.returncode == 2
    assert "--resume" in told.stderr
    # Ctrl-C ends after the step and says how to go on.
    second = subprocess.Popen(
        _command("train", "--resume", pieces, "--no-evaluate"), env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert second.stderr is not None
    for line in second.stderr:
        if line.startswith("epoch"):
            break
    second.send_signal(signal.SIGINT)
    _, rest = second.communicate()
    if second.returncode == 130:
        assert f"--resume {pieces}" in rest
    subprocess.run(
        _command("train", "--resume", pieces, "--no-evaluate"), env=environment, check=True,
        capture_output=True,
    )  # fmt: skip
    assert (pieces / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_what_is_not_understood_is_one_object_with_json(eosin: Run, trained: Path) -> None:
    for words in (["--replicates", "5"], ["--seed", "-1"], ["-o", "elsewhere"], ["--allow-seen"]):
        found = eosin("evaluate", trained, *words, "--json")
        assert found.code == 2
        assert json.loads(found.out)["exit_code"] == 2
        assert words[0] in json.loads(found.out)["error"]


def test_an_empty_folder_is_said_before_any_answer_is_lost(
    eosin: Run, trained: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    (image,) = write_images(tmp_path / "one", made_up_store)[:1]
    (tmp_path / "empty").mkdir()
    found = eosin("predict", trained, image, tmp_path / "empty", "--json")
    assert found.code == 2
    assert "contains no image files" in json.loads(found.out)["error"]
