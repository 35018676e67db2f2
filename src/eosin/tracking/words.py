"""A run in a tracker's terms: parameters, numbers, tags and a table, from the run's own files."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from eosin.records.marks import Mark
from eosin.records.model import FITTED, INTENDED_USE, MODEL, ModelFacts, read_object
from eosin.records.shared import (
    case_digest,
    shared_evaluation,
    shared_model,
    shared_text,
    shared_value,
)
from eosin.records.weights import WEIGHTS
from eosin.runs import RunFolder, flattened
from eosin.texts import read_text
from eosin.tracking.backend import Value

#: Keys of environment.json that are not parameters: long lists, and what becomes a tag.
_LEFT_OUT = ("audit", "marks", "command", "date")


def flat(values: Mapping[str, Any]) -> dict[str, Value]:
    """Nested values under dotted names; lists as JSON, nothing as "none".

    >>> flat({"epochs": 3, "arguments": {"widths": [8, 16]}, "fold": None})
    {'epochs': 3, 'arguments.widths': '[8, 16]', 'fold': 'none'}
    """

    def plain(value: Any) -> Value:
        if value is None or isinstance(value, str | int | float):
            return "none" if value is None else value
        return json.dumps(value, ensure_ascii=False, default=str)

    return {name: plain(value) for name, value in flattened(values).items()}


def parameters(run: RunFolder, more: Mapping[str, Any] = {}) -> dict[str, Value]:
    """What decided a run: its recipe, store, versions and machine, and what the caller adds.

    The recipe's keys have their own names; the rest starts with store., machine., packages. and so
    on. Paths are replaced by their last part. Raises RunError where recipe.toml or environment.json
    is missing.
    """
    environment = run.read_json("environment.json")
    kept = {key: value for key, value in environment.items() if key not in _LEFT_OUT}
    if isinstance(kept.get("store"), dict):
        path = kept["store"].pop("path", "")
        kept["store"]["name"] = Path(str(path)).name
    recipe = {key: value for key, value in run.recipe().model_dump().items() if key != "about"}
    merged: dict[str, Value] = {}
    for part in (recipe, kept, more):  # some have keys of the same name, such as "store"
        merged |= flat(shared_value(part, ""))
    return merged


def tags(marks: Iterable[str]) -> dict[str, str]:
    """The sentences that every output of a run must carry, as tags for others to read.

    >>> tags(["made-up data: drawn by a program"])["mark.1"]
    'made-up data: drawn by a program'
    """
    return {
        "intended_use": INTENDED_USE,
        **{f"mark.{number}": shared_text(str(mark)) for number, mark in enumerate(marks, 1)},
    }


def short(tag: str) -> str:
    """A sentence as a label of few letters, for trackers whose tags are words.

    >>> short("made-up data: drawn by a program, no figure says anything about tissue")
    'made-up data'
    """
    head = tag.partition(":")[0].strip()
    return head if len(head) <= 60 else f"{head[:57].rstrip()}..."


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a row of metrics.jsonl; the epoch is the step and is left out.

    >>> numbers({"epoch": 2, "step": 90, "loss": 0.5, "val_auroc": None, "watched": "a.png"})
    {'loss': 0.5}
    """
    return {
        key: float(value)
        for key, value in row.items()
        if key not in ("epoch", "step")
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    }


def final_figures(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Each figure of an evaluation with the ends of its interval, and those of the baselines.

    >>> evaluation = {"part": "test", "f1": {"value": 0.7, "low": 0.6, "high": 0.8}}
    >>> final_figures(evaluation)
    {'test/f1': 0.7, 'test/f1_low': 0.6, 'test/f1_high': 0.8}
    """
    part = str(evaluation.get("part", "test"))
    figures = {
        f"{part}/{name}{end}": figure[key]
        for name, figure in _figures(evaluation).items()
        for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    return numbers(figures) | numbers(
        {
            f"baseline/{method}/{name}": figure["value"]
            for method, other in evaluation.get("baselines", {}).items()
            for name, figure in _figures(other).items()
        }
    )


def final_table(evaluation: Mapping[str, Any]) -> str:
    """The same as a table in Markdown, with the marks above it."""
    others = evaluation.get("baselines", {})
    cases = evaluation.get("n_cases")
    lines = [f"> {Mark.read(mark)}\n" for mark in evaluation.get("marks", [])]
    lines += [
        f"{INTENDED_USE} Part: {evaluation.get('part', 'test')}, "
        f"{evaluation.get('n_patches', '?')} patches" + (f" of {cases} cases." if cases else "."),
        "",
        f"| figure | value | 95 % interval |{''.join(f' {name} |' for name in others)}",
        f"|---|---|---|{'---|' * len(others)}",
    ]
    for name, figure in _figures(evaluation).items():
        ends = f"{_four(figure['low'])} to {_four(figure['high'])}"
        beside = "".join(
            f" {_four(_figures(o).get(name, {}).get('value'))} |" for o in others.values()
        )
        lines.append(f"| {name} | {_four(figure['value'])} | {ends} |{beside}")
    return "\n".join(lines) + "\n"


def share(run: RunFolder, folder: Path, *, key: str, cases: Collection[str]) -> RunFolder:
    """Copies of a run's files as others may see them: no absolute path, no name of a case.

    folder: where to write them; key: digest of the run's store; cases: names of its cases. What has
    such names in every row is left out, apart from predictions.parquet, which has digests instead.
    """
    shared = RunFolder(folder)
    for name in ("evaluation.json", "environment.json"):
        if (run / name).is_file():
            shared.write_json(name, shared_evaluation(run.read_json(name), key, cases))
    if run.finished:
        facts = ModelFacts.of_run(run.path)
        shared.write_json(MODEL, shared_model(facts, cases).to_json())
        shutil.copyfile(run / WEIGHTS, shared / WEIGHTS)
    if (run / FITTED).is_file():
        fitted = read_object(run / FITTED)
        # Large tables of numbers without names.
        tensors = fitted.pop("scope_tensors", {})
        plain = shared_value(fitted, key, cases)
        shared.write_json(FITTED, {**plain, "scope_tensors": tensors})
    if (run / "recipe.toml").is_file():
        text = read_text(run / "recipe.toml")
        shared.write_text("recipe.toml", shared_text(text, cases, key))
    for row in run.metrics():
        shared.append_metrics(shared_value(row, key, cases))
    if (run / "predictions.parquet").is_file():
        import polars as pl  # not needed by the trackers' own processes

        from eosin.sources.files import read_predictions

        table = read_predictions(run / "predictions.parquet")
        digests = {name: case_digest(name, key) for name in cases}
        named = [name for name in ("case", "slide") if name in table.columns]
        table = table.with_columns(
            pl.col(named).replace_strict(digests, default="", return_dtype=pl.String),
            *([pl.lit("").alias("source")] if "source" in table.columns else []),
        )
        table.write_parquet(shared / "predictions.parquet")
    return shared


def files(run: RunFolder) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The pictures of a run, and its other files worth keeping elsewhere with their kind.

    run: what ``share`` has written. Lists of cases (predictions.parquet) and environment.json are
    not among them.
    """
    pictures = sorted(path for ending in ("png", "svg") for path in run.path.glob(f"*.{ending}"))
    kinds = {
        "recipe.toml": "record", "evaluation.json": "record",
        "report.html": "report", "MODEL_CARD.md": "report",
        MODEL: "model", FITTED: "model", WEIGHTS: "model",
    }  # fmt: skip
    others = [(run / name, kind) for name, kind in kinds.items() if (run / name).is_file()]
    return pictures, others


def _figures(evaluation: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: dict(figure)
        for name, figure in evaluation.items()
        if isinstance(figure, Mapping) and {"value", "low", "high"} <= figure.keys()
    }


def _four(number: Any) -> str:
    return f"{number:.4f}" if isinstance(number, int | float) else "-"
