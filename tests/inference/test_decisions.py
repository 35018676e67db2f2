"""What predict answers for the measured patches gives every decision figure of evaluation.json."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from eosin import folders
from eosin.config import read_recipe
from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import BusyError, RunError
from eosin.evaluation.metrics import counted, rates
from eosin.inference.assess import assess, assess_file, assess_unseen
from eosin.inference.fitting import FittingOptions
from eosin.locks import working_on
from eosin.records.agreement import check_agreement
from eosin.records.evaluation import Evaluation
from eosin.records.model import ModelFacts
from eosin.records.points import REFER
from eosin.reporting.material import read
from eosin.reporting.report import write_report
from eosin.runs import RunFolder
from eosin.splitting.splits import by_file
from eosin.training.session import fit, reopen, start

SMALL = [
    "arguments.widths=[8,16]", "arguments.blocks=[0,1]", "batch_size=32", "learning_rate=0.01",
    "epochs=3", "precision=fp32",
]  # fmt: skip
QUICK: dict[str, Any] = {"replicates": 20, "with_baselines": False}
#: Wide, so that a network this small has a band that answers some patches and refers others.
OPTIONS = FittingOptions(refer_error=0.1, refer_confidence=0.6, point="sensitivity")


def made(path: Path, classes: tuple[str, ...], cases: int, seed: int) -> PatchStore:
    """A store whose patches show their label, more or less clearly."""
    rng = np.random.default_rng(seed)
    writer = StoreWriter(path, classes=list(classes), patch_size=(24, 24))
    for case in range(cases):
        labels = rng.integers(0, len(classes), 30)
        level = 90 + 70 * labels[:, None, None, None] / (len(classes) - 1)
        patches = (
            level
            + rng.normal(0, 60 / len(classes), (30, 1, 1, 1))
            + rng.normal(0, 20, (30, 24, 24, 3))
        )
        rows = [
            {"label": int(label), "case": f"{path.stem}{case}", "source": f"{case}/{k}.png"}
            for k, label in enumerate(labels)
        ]
        writer.append(np.clip(patches, 0, 255).astype(np.uint8), rows)
    return writer.close()


def trained(folder: Path, classes: tuple[str, ...]) -> tuple[PatchStore, PatchStore, Path]:
    """A run that was evaluated on its own test part, and a store that it has not seen."""
    store, other = made(folder / "own", classes, 30, 0), made(folder / "other", classes, 6, 1)
    parts = [*["train"] * 8, *["val"] * 14, *["test"] * 8]
    names = sorted(set(store.cases.tolist()))
    text = "case,part\n" + "".join(f"{c},{p}\n" for c, p in zip(names, parts, strict=True))
    (folder / "parts.csv").write_text(text)
    recipe = read_recipe("compact", SMALL)
    session, _ = start(store, by_file(store, folder / "parts.csv"), recipe, folder / "run")
    fit(session)
    options = OPTIONS if len(classes) == 2 else FittingOptions(0.2, 0.6)
    with pytest.MonkeyPatch.context() as patch:
        # The figures of an evaluation are not looked at here.
        patch.setattr("eosin.figures.charts.draw_all", lambda *_, **__: [])
        assess(session, options=options, **QUICK)
    return store, other, folder / "run"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[PatchStore, PatchStore, Path]:
    return trained(tmp_path_factory.mktemp("two"), ("no", "yes"))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[PatchStore, PatchStore, Path]:
    return trained(tmp_path_factory.mktemp("three"), ("a", "b", "c"))


def predicted(
    eosin: Callable[..., Any], model: Path, folder: Path, store: PatchStore, rows: Any, *more: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """``eosin predict --json`` for the patches of these rows, as PNG files in this order."""
    folder.mkdir()
    for place, row in enumerate(rows):
        assert cv2.imwrite(str(folder / f"{place:05}.png"), store.patches[row][..., ::-1])
    done = eosin("predict", model, folder, "--json", *more)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert [Path(row["file"]).stem for row in result["predictions"]] == [
        f"{place:05}" for place in range(len(rows))
    ]
    return result, result["predictions"]


def check(store: PatchStore, rows: Any, answer: dict[str, Any], found: dict[str, Any]) -> None:
    """Every decision figure of an evaluation, from what predict printed and nothing else."""
    classes, truth = answer["classes"], store.labels[rows]
    shares = np.array([[p[f"p_{name}"] for name in classes] for p in answer["predictions"]])
    words = {"refer": REFER, "out of scope": -2, **{name: k for k, name in enumerate(classes)}}
    decided = np.array([words[p["decision"]] for p in answer["predictions"]])
    called = shares.argmax(axis=1)
    if len(classes) == 2:
        called = (shares[:, 1].astype(np.float32) >= np.float32(answer["threshold"])).astype(int)
        assert answer["threshold"] == found["threshold"]["value"] == found["decided"]["threshold"]
    assert answer["point"] == found["point"] == found["decided"]["point"]
    assert answer["band"] == found["decided"]["band"] == found["referral"]["band"]
    matrix = counted(truth, called, len(classes))
    assert found["confusion"] == matrix.tolist()
    for name, value in rates(matrix).items():
        assert found[name]["value"] == pytest.approx(float(value), nan_ok=True), name
    # What is answered has the class of the threshold, or the most probable one.
    answered = decided >= 0
    assert np.array_equal(decided[answered], called[answered])
    assert 0 < answered.sum() < len(truth)
    assert (decided == REFER).any()
    total = found["decided"]
    for part, mine in [(total, np.ones(len(truth), bool))] + [
        (row, truth == k) for k, row in enumerate(total["classes"])
    ]:
        some = mine & answered
        assert part["patches"] == mine.sum()
        assert part["answered"] == pytest.approx(answered[mine].mean())
        assert part["referred"] == pytest.approx((decided[mine] == REFER).mean())
        assert part["out_of_scope"] == pytest.approx((decided[mine] == -2).mean())
        wrong = None if not some.any() else pytest.approx((decided != truth)[some].mean())
        assert part["error"] == wrong
    # The promise is of the band alone; the out-of-scope check is left out of it.
    high, low = answer["band"]["high"], answer["band"]["low"]
    exact = shares.astype(np.float32).astype(float)
    inside = exact.max(axis=1) < high
    if low is not None:
        inside = np.where(called == 1, exact[:, 1] < high, exact[:, 1] > low)
    seen = found["referral"]["achieved"]
    assert seen["coverage"]["value"] == pytest.approx(1 - inside.mean())
    assert seen["error"]["value"] == pytest.approx((called != truth)[~inside].mean())
    for k, row in enumerate(seen["classes"]):
        mine = truth == k
        assert (row["class"], row["patches"]) == (classes[k], mine.sum())
        assert row["referred"] == pytest.approx(inside[mine].mean())
        assert row["error"] == pytest.approx((called != truth)[mine & ~inside].mean(), nan_ok=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_run(
    classes: int, two: Any, three: Any, eosin: Callable[..., Any], tmp_path: Path
) -> None:
    store, other, run = two if classes == 2 else three
    rows = reopen(run).parts["test"]
    answer, _ = predicted(eosin, run, tmp_path / "own", store, rows)
    found = json.loads((run / "evaluation.json").read_text())
    assert found["part"] == "test"
    check(store, rows, answer, found)
    # What predictions.parquet lists is what predict prints.
    table = pl.read_parquet(run / "predictions.parquet").filter(pl.col("part") == "test")
    assert table["decision"].to_list() == [p["decision"] for p in answer["predictions"]]
    elsewhere = assess_unseen(RunFolder(run), other, output=tmp_path / "out", **QUICK).evaluation
    rows = np.arange(len(other))
    check(other, rows, predicted(eosin, run, tmp_path / "else", other, rows)[0], elsewhere)


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
@pytest.mark.parametrize("classes", [2, 3])
def test_an_exported_file(
    classes: int, kind: str, two: Any, three: Any, eosin: Callable[..., Any], tmp_path: Path
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime", *(["openvino"] * (kind == "openvino"))):
        pytest.importorskip(package)
    _, other, run = two if classes == 2 else three
    out = tmp_path / "export"
    done = eosin("export", run, f"--{kind}", "-o", out)
    assert done.code == 0, done.err
    file = out / ("model.onnx" if kind == "onnx" else "model.xml")
    found = assess_file(file, other, output=tmp_path / "out", **QUICK).evaluation
    rows = np.arange(len(other))
    check(other, rows, predicted(eosin, file, tmp_path / "png", other, rows)[0], found)


def test_every_point_is_asked_for_by_name(
    two: Any, eosin: Callable[..., Any], tmp_path: Path
) -> None:
    _, other, run = two
    rows = np.arange(60)
    for name in ("balanced", "f1", "sensitivity", "specificity", "cost"):
        answer, _ = predicted(eosin, run, tmp_path / name, other, rows, "--point", name)
        point = ModelFacts.of_run(run).points[name]
        assert (answer["point"], answer["threshold"]) == (name, point.threshold)
        found = assess_unseen(
            RunFolder(run), other, output=tmp_path / f"out-{name}", point=name, **QUICK
        ).evaluation
        assert (found["point"], found["threshold"]["value"]) == (name, point.threshold)
    done = eosin("predict", run, tmp_path / "f1", "--point", "f2")
    assert done.code == 2
    assert "--point f2: this model has no such point; known: balanced, cost, f1" in done.err
    done = eosin("predict", run, tmp_path / "f1", "--point", "f1", "--csv")
    header, first, *_ = done.out.splitlines()
    assert "point,threshold" in header
    assert ",f1," in first
    assert "decided by the point f1 (best F1): threshold" in done.err


def test_another_seed_changes_intervals_and_nothing_that_is_kept(two: Any) -> None:
    _, _, run = two
    before = (run / "fitted.json").read_bytes(), (run / "evaluation.json").read_text()
    weights = (run / "model.safetensors").read_bytes()
    assess(reopen(run), options=OPTIONS, seed=7, **QUICK)
    assert (run / "fitted.json").read_bytes() == before[0]
    assert (run / "model.safetensors").read_bytes() == weights
    old, new = json.loads(before[1]), json.loads((run / "evaluation.json").read_text())
    assert old["auroc"]["value"] == new["auroc"]["value"]
    assert old["auroc"] != new["auroc"]
    assert old["fitted_digest"] == new["fitted_digest"]


def test_an_interrupted_evaluation_is_recognized(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the report's figures and what the model keeps, every stop is seen."""
    _, _, run = two
    plain, names = os.replace, []

    def stops(source: Any, target: Any) -> None:
        if Path(target).name == "fitted.json":
            raise KeyboardInterrupt
        names.append(Path(target).name)
        plain(source, target)

    check_agreement(Evaluation.read(run).fitted_digest, ModelFacts.of_run(run).fitted, run)
    monkeypatch.setattr(folders.os, "replace", stops)
    with pytest.raises(KeyboardInterrupt):
        assess(reopen(run), options=FittingOptions(0.2, 0.6), **QUICK)
    monkeypatch.setattr(folders.os, "replace", plain)
    assert names[-1] == "evaluation.json"
    with pytest.raises(RunError, match=r"an evaluation was interrupted; run it again with: eosin"):
        check_agreement(Evaluation.read(run).fitted_digest, ModelFacts.of_run(run).fitted, run)
    with pytest.raises(RunError, match=r"run it again with: eosin evaluate"):
        write_report(run)
    assess(reopen(run), options=OPTIONS, **QUICK)
    check_agreement(Evaluation.read(run).fitted_digest, ModelFacts.of_run(run).fitted, run)


def hold(run: str, ready: Any, done: Any) -> None:
    with working_on(run, "eosin evaluate"):
        ready.set()
        done.wait(60)


def test_the_second_of_two_evaluations_is_told_who_is_at_work(two: Any) -> None:
    _, _, run = two
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(run), ready, done))
    process.start()
    try:
        assert ready.wait(60)
        with pytest.raises(BusyError, match=rf"eosin evaluate \(process {process.pid}"):
            assess(reopen(run), options=OPTIONS, **QUICK)
    finally:
        done.set()
        process.join()
    assess(reopen(run), options=OPTIONS, **QUICK)


def test_paths_are_recorded_absolute_and_relative(
    two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _, run = two
    found = json.loads((run / "evaluation.json").read_text())
    assert Path(found["store"]["path"]) == store.path.resolve()
    assert (run / found["store"]["relative"]).resolve() == store.path.resolve()
    assert Path(found["run"]).is_absolute()
    # From another working folder, and where run and store were moved together.
    monkeypatch.chdir(tmp_path)
    assert read(run).store is not None
    shutil.copytree(run, tmp_path / "run")
    shutil.copytree(store.path, tmp_path / store.path.name)
    found["store"]["path"] = str(tmp_path / "gone")
    (tmp_path / "run" / "evaluation.json").write_text(json.dumps(found))
    assert read(tmp_path / "run").store.path.resolve() == (tmp_path / store.path.name).resolve()
