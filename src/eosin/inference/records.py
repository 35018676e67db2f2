"""What an assessment leaves: evaluation.json, predictions.parquet and the figures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.published import published_cases
from eosin.data.rows import StoreRows
from eosin.data.sheets import sheet
from eosin.data.store import PatchStore
from eosin.evaluation.baselines import BASELINES, Baseline
from eosin.evaluation.curves import Curves
from eosin.evaluation.features import Remembered
from eosin.figures import charts
from eosin.folders import temporary_folder, whole_files
from eosin.inference.subject import Subject
from eosin.records.decision import Decision
from eosin.records.evaluation import Evaluation
from eosin.runs import RunFolder
from eosin.trust.literature import UNSEEN, compare_with_published

Rows = npt.NDArray[np.int64]

#: What a report makes of an evaluation: another evaluation leaves none.
PAGES = ("report.html", "report.pdf", "MODEL_CARD.md")
_SUSPECT = {
    "patch": pl.Int64, "case": pl.String, "source": pl.String, "label": pl.String,
    "suggested": pl.String, "probability": pl.Float64, "score": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Assessment:
    """What an assessment measured and where it was written."""

    evaluation: dict[str, Any]
    folder: Path
    files: tuple[str, ...]


def baselines_for(
    store: PatchStore, parts: Mapping[str, Rows], patches: StoreRows
) -> dict[str, Baseline]:
    """The simple methods, fitted on what the network was trained on, asked about ``patches``.

    store, parts: those of the run, of which "train" and "val" are read.
    """
    train, val = (Remembered(StoreRows(store.patches, parts[name])) for name in ("train", "val"))
    truths = [store.labels[parts[name]] for name in ("train", "val")]
    # Where the validation part is what is measured, its features are made once for both.
    same = patches.patches is store.patches and np.array_equal(patches.rows, parts["val"])
    asked = val if same else Remembered(patches)
    return {
        name: method(train, truths[0], val, truths[1], asked, classes=len(store.classes))
        for name, method in BASELINES.items()
    }


def write_assessment(
    folder: Path,
    evaluation: dict[str, Any],
    store: PatchStore,
    predictions: pl.DataFrame,
    *,
    metrics: Sequence[Mapping[str, Any]] = (),
    model_files: Callable[[Path], Sequence[str]] = lambda staging: (),
) -> Assessment:
    """Write everything into a folder: the run's own, or one for another store.

    predictions: what ``prediction_table`` made, of one part or of several; metrics: the course of
    training, where it is to be drawn; model_files: writes what the model keeps into a folder and
    returns the names, the one that makes the others valid last. No file changes before all are
    complete, and those of the model change last.
    """
    measured = predictions.filter(pl.col("part") == evaluation["part"])
    with temporary_folder() as staging:
        marks = pl.lit("; ".join(mark["sentence"] for mark in evaluation["marks"]))
        predictions.with_columns(marks=marks).write_parquet(staging / "predictions.parquet")
        suspects = pl.DataFrame(evaluation["suspects"]["rows"], schema=_SUSPECT)
        text = sheet(suspects.columns, suspects.iter_rows())
        (staging / "suspects.csv").write_text(text, "utf-8", newline="")
        RunFolder(staging).write_json("evaluation.json", evaluation)
        curves = Curves.of(
            measured["label"].to_numpy(),
            measured.select(f"p_{name}" for name in store.classes).to_numpy(),
        )
        typed = Evaluation.model_validate(evaluation)
        figures = charts.draw_all(staging, typed, curves, metrics=metrics)
        results = ("predictions.parquet", "suspects.csv", *figures, "evaluation.json")
        with whole_files(folder, outdated=PAGES) as new:
            for name in (*results, *model_files(staging)):
                shutil.copyfile(staging / name, new(name))
    return Assessment(evaluation, folder, results)


def prediction_table(
    store: PatchStore,
    part: str,
    rows: Rows,
    probabilities: npt.NDArray[np.floating],
    distances: npt.NDArray[np.floating] | None,
    decision: Decision,
) -> pl.DataFrame:
    """A row a patch: where it is from, its probabilities, the class called and the decision.

    rows: int64 [n] of the store; probabilities: float [n, K]; distances: float [n], or None.
    """
    index = store.index[rows].select("source", "case", "slide", "x", "y", "label")
    columns: dict[str, Any] = {
        f"p_{name}": probabilities[:, k].astype(np.float32) for k, name in enumerate(store.classes)
    }
    apart = np.full(len(rows), np.nan, np.float32) if distances is None else distances
    columns["distance"] = pl.Series(apart, dtype=pl.Float32).fill_nan(None)
    columns["called"] = decision.names(decision.point.called(probabilities))
    columns["decision"] = decision.names(decision.decide(probabilities, distances))
    table = pl.DataFrame({"patch": rows, "part": [part] * len(rows)}).hstack(index)
    return table.hstack(
        pl.DataFrame(columns, schema_overrides={"called": pl.String, "decision": pl.String})
    )


def published_section(subject: Subject, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The "published" part: results of others beside these, where they may be compared.

    evaluation: the figures that are compared. A store that the model has not seen has the split of
    the published lists where it has learned from these alone.
    """
    store, rows, seen = subject.store, subject.parts[subject.part], subject.seen
    listed = {case.case: case.part for case in published_cases() if case.part}
    of_lists = seen.all_among(name for name, part in listed.items() if part != "test")
    scheme = "published" if subject.scheme == UNSEEN and of_lists else subject.scheme
    cases = sorted(set(store.cases[rows].tolist()))
    return compare_with_published(
        scheme, subject.part, cases, len(rows), published_cases(), evaluation,
        made_up=store.made_up, listed_only=seen.only("train").all_among(listed),
    )  # fmt: skip
