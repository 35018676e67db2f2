"""`eosin scan MODEL STORE`: cases as mosaics beside their labels, answered as by `evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eosin.data.store import PatchStore
from eosin.scanning.slides import WORK

pytest.importorskip("tifffile")
Run = Callable[..., Any]
SMALL = [
    "--set", "arguments.widths=[4,8]", "--set", "arguments.blocks=[0,1]", "--set", "batch_size=32",
    "--set", "epochs=1", "--set", "precision=fp32",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, made_up_store: PatchStore) -> Path:
    """An evaluated run."""
    from eosin.cli.main import main

    folder = tmp_path_factory.mktemp("run") / "r"
    for words in (
        ["train", str(made_up_store.path), "-o", str(folder), *SMALL, "--no-evaluate"],
        ["evaluate", str(folder), "--replicates", "20", "--no-baselines", "--no-report"],
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert not stop.value.code
    return folder


@pytest.mark.slow
def test_all_cases_have_the_probabilities_of_the_evaluation(
    eosin: Run, run: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    found = eosin("scan", run, made_up_store.path, "-o", tmp_path, "--all-cases", "--json")
    assert found.code == 0, found.err
    rows = json.loads(found.out)["slides"]
    assert {row["name"] for row in rows} == set(made_up_store.cases.tolist())
    assert sum(row["patches"] for row in rows) == len(made_up_store)
    measured = pl.read_parquet(run / "predictions.parquet")
    assert len(measured) > 20
    scanned = {}
    for case in made_up_store.index["case"].unique():
        table = pl.read_parquet(tmp_path / case / f"{case}.parquet")
        own = made_up_store.index.with_row_index("patch").filter(pl.col("case") == case)
        assert len(table) == len(own)
        labels = [made_up_store.classes[k] for k in own["label"]]
        assert table["label"].to_list() == labels
        # Places on the grid are those of the store, from the corner of the case.
        for axis, cell in (("x", "column"), ("y", "row")):
            steps = (own[axis].to_numpy() - own[axis].min()) // 50
            assert table[cell].to_list() == steps.tolist()
        scanned |= dict(zip(own["patch"], zip(table["p_positive"], table["decision"], strict=True),
                            strict=True))  # fmt: skip
    # The run's own evaluation fits the temperature, and divides by it after the network: one step
    # of float32 apart. Evaluated on another store, or as a file, the numbers are the same.
    for patch, wanted in zip(measured["patch"], measured["p_positive"], strict=True):
        assert scanned[patch][0] == pytest.approx(wanted, abs=2e-7)
    words = dict(zip(measured["patch"], measured["decision"], strict=True))
    assert {patch: scanned[patch][1] for patch in words} == words


@pytest.mark.slow
def test_probabilities_of_a_file_are_exactly_those_of_its_evaluation(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path, make_exported: Callable[..., Path]
) -> None:
    pytest.importorskip("onnxruntime")
    model, store = make_exported(tmp_path / "model.onnx"), made_up_store.path
    words = ["--store", store, "-o", tmp_path / "e", "--no-report", "--no-baselines"]
    assert eosin("evaluate", model, *words, "--replicates", 20).code == 0
    assert eosin("scan", model, store, "-o", tmp_path / "s", "--all-cases").code == 0
    measured = pl.read_parquet(tmp_path / "e" / "predictions.parquet")
    cases = made_up_store.index.with_row_index("patch")
    assert len(measured) == len(cases)
    for case in cases["case"].unique():
        rows = cases.filter(pl.col("case") == case)["patch"]
        wanted = measured.filter(pl.col("patch").is_in(rows.to_list())).sort("patch")
        table = pl.read_parquet(tmp_path / "s" / case / f"{case}.parquet")
        for column in ("p_positive", "p_negative", "decision", "distance"):
            assert table[column].to_list() == wanted[column].cast(table[column].dtype).to_list()


def test_a_case_that_was_trained_on_has_a_mark(
    eosin: Run, run: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    from eosin.splitting.split_file import read_split

    split = read_split(run / "split.csv")
    parts = split.parts(made_up_store)
    case = {part: str(made_up_store.cases[rows[0]]) for part, rows in parts.items() if len(rows)}
    words = ["scan", run, made_up_store.path, "-o", tmp_path]
    assert eosin(*words, "--case", case["train"], "--case", case["test"]).code == 0

    def notes(name: str) -> str:
        return " ".join(json.loads((tmp_path / name / f"{name}.json").read_text())["notes"])

    assert "trained on" in notes(case["train"]) or "seen" in notes(case["train"])
    assert "trained on" not in notes(case["test"])
    assert "made-up" in notes(case["test"])
    facts = json.loads((tmp_path / case["test"] / f"{case['test']}.json").read_text())
    assert facts["agreement"]["patches"] == 20
    assert 0 <= facts["agreement"]["accuracy"]["value"] <= 1
    assert not list((tmp_path / WORK).glob("*.answers"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--all-cases"),
        (["--case", "nobody"], "no such case"),
        (["--case", "90001", "--all-cases"], "choose one"),
        (["--all-cases", "--stride-um", "100"], "--stride-um is for slides"),
        (["--all-cases", "--qc", "none"], "--qc is for slides"),
    ],
)
def test_what_is_meant_is_asked(
    eosin: Run, run: Path, made_up_store: PatchStore, tmp_path: Path, words: list[str], said: str
) -> None:
    found = eosin("scan", run, made_up_store.path, "-o", tmp_path / "out", *words)
    assert (found.code, said in found.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_cases_of_no_store(eosin: Run, run: Path, tmp_path: Path) -> None:
    found = eosin("scan", run, tmp_path, "-o", tmp_path / "out", "--all-cases")
    assert (found.code, "one store" in found.err) == (2, True)
