"""What an assessment leaves: evaluation.json, predictions.parquet and the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.store import PatchStore
from eosin.evaluation.baselines import BASELINES, Baseline
from eosin.evaluation.curves import Curves
from eosin.figures import charts
from eosin.files import whole
from eosin.inference.answers import Answers
from eosin.inference.predictor import Predictor
from eosin.memory import forget_pages
from eosin.records.evaluation import Evaluation
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder
from eosin.splitting.published import published_cases
from eosin.trust.literature import compare_with_published

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

NO_TEST = (
    "the split has no test part: these figures are on the validation part, on which the threshold "
    "was chosen, so they are somewhat too good"
)

_SUSPECT = {
    "patch": pl.Int64, "case": pl.String, "source": pl.String, "label": pl.String,
    "suggested": pl.String, "probability": pl.Float64, "score": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Assessment:
    """What an assessment found and where it was written."""

    evaluation: dict[str, Any]
    folder: Path
    files: tuple[str, ...]


class StoreRows:
    """Some rows of a memory-mapped array, read when asked for: uint8 [n, H, W, 3]."""

    def __init__(self, patches: npt.NDArray[np.uint8], rows: Rows) -> None:
        self.patches = patches
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> npt.NDArray[np.uint8]:
        found = np.asarray(self.patches[self.rows[index]])
        forget_pages(self.patches)
        return found


def baselines_for(
    store: PatchStore, parts: Mapping[str, Rows], patches: StoreRows, seed: int
) -> dict[str, Baseline]:
    """The simple methods, fitted on what the network was trained on, asked about ``patches``.

    store, parts: those of the run, of which "train" and "val" are read.
    """
    train, val = (StoreRows(store.patches, parts[name]) for name in ("train", "val"))
    truths = [store.labels[each.rows] for each in (train, val)]
    return {
        name: method(
            train, truths[0], val, truths[1], patches, classes=len(store.classes), seed=seed
        )
        for name, method in BASELINES.items()
    }


def diagnosed(facts: ModelFacts) -> list[str]:
    return [each.sentence for each in facts.diagnoses]


def provenance(
    path: Path, predictor: Predictor, store: PatchStore, part: str, scheme: str
) -> dict[str, Any]:
    return {
        "run": str(path),
        "part": part,
        "split": scheme,
        "store": {"path": str(store.path), "digest": store.digest, "patches": len(store)},
        "recipe": predictor.facts.recipe,
        "intended_use": "Research and education only, not for diagnosis.",
    }


def write_assessment(
    folder: Path,
    evaluation: dict[str, Any],
    store: PatchStore,
    predictions: pl.DataFrame,
    *,
    metrics: Sequence[Mapping[str, Any]] = (),
) -> Assessment:
    """Write everything into a folder: the run's own, or one for another store.

    predictions: what ``prediction_table`` made, of one part or of several; metrics: the course of
    training, where it is to be drawn.
    """
    marked = predictions.with_columns(marks=pl.lit("; ".join(evaluation["marks"])))
    with whole(folder / "predictions.parquet") as temporary:
        marked.write_parquet(temporary)
    with whole(folder / "suspects.csv") as temporary:
        pl.DataFrame(evaluation["suspects"]["rows"], schema=_SUSPECT).write_csv(temporary)
    RunFolder(folder).write_json("evaluation.json", evaluation)
    files = ["evaluation.json", "predictions.parquet", "suspects.csv"]
    measured = predictions.filter(pl.col("part") == evaluation["part"])
    curves = Curves.of(
        measured["label"].to_numpy(),
        measured.select(f"p_{name}" for name in store.classes).to_numpy(),
    )
    typed = Evaluation.model_validate(evaluation)
    files += charts.draw_all(folder, typed, curves, metrics=metrics)
    return Assessment(evaluation, folder, tuple(files))


def prediction_table(
    store: PatchStore,
    part: str,
    rows: Rows,
    probabilities: Floats,
    distances: Floats | None,
    answers: Answers,
) -> pl.DataFrame:
    """A row a patch: where it is from, its probabilities, the class called and the answer.

    rows: int64 [n] of the store; probabilities: float [n, K]; distances: float [n], or None.
    """
    index = store.index[rows].select("source", "case", "slide", "x", "y", "label")
    columns: dict[str, Any] = {
        f"p_{name}": probabilities[:, k].astype(np.float32) for k, name in enumerate(store.classes)
    }
    apart = np.full(len(rows), np.nan, np.float32) if distances is None else distances
    columns["distance"] = pl.Series(apart, dtype=pl.Float32).fill_nan(None)
    columns["called"] = answers.called(probabilities)
    columns["decision"] = answers.decide(probabilities, distances)
    table = pl.DataFrame({"patch": rows, "part": [part] * len(rows)}).hstack(index)
    return table.hstack(
        pl.DataFrame(columns, schema_overrides={"called": pl.String, "decision": pl.String})
    )


def published_section(
    scheme: str,
    store: PatchStore,
    rows: Rows,
    evaluation: Mapping[str, Any],
    *,
    trained: Rows | None = None,
) -> dict[str, Any]:
    """The "published" part: results of others beside these, where they may be compared.

    rows: int64 [n], the measured patches; trained: int64 [m], the training patches, or None where
    they are of another store.
    """
    listed = {case.case for case in published_cases() if case.part}
    seen = set() if trained is None else set(store.cases[trained].tolist())
    return compare_with_published(
        scheme,
        evaluation["part"],
        sorted(set(store.cases[rows].tolist())),
        len(rows),
        published_cases(),
        evaluation,
        made_up=store.made_up,
        unlisted_trained=bool(seen - listed),
    )
