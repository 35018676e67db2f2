"""A run in a tracker's terms: parameters, numbers, tags and a table, from the run's own files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eosin.records.marks import Mark
from eosin.runs import RunFolder
from eosin.tracking.backend import Value

#: What of an environment.json is no parameter: long lists, and what becomes a tag.
_LEFT_OUT = ("audit", "marks", "command", "date")
DISCLAIMER = "Research and education only, not for diagnosis."


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, Value]:
    """Nested values under dotted names; lists as JSON, nothing as "none".

    >>> flat({"epochs": 3, "arguments": {"widths": [8, 16]}, "fold": None})
    {'epochs': 3, 'arguments.widths': '[8, 16]', 'fold': 'none'}
    """
    found: dict[str, Value] = {}
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        elif value is None:
            found[name] = "none"
        elif isinstance(value, str | bool | int | float):
            found[name] = value
        else:
            found[name] = json.dumps(value, ensure_ascii=False, default=str)
    return found


def parameters(run: RunFolder, more: Mapping[str, Any] = {}) -> dict[str, Value]:
    """What decided a run: its recipe, store, versions and machine, and what the caller knows more.

    The recipe's keys have their own names; the rest begins with store., machine., packages. and so
    on. Raises RunError where recipe.toml or environment.json is missing.
    """
    facts = run.read_json("environment.json")
    kept = {key: value for key, value in facts.items() if key not in _LEFT_OUT}
    if isinstance(kept.get("store"), dict):
        # The name says enough; where it lies is nobody else's business.
        path = str(kept["store"].get("path", ""))
        kept["store"] = {**kept["store"], "name": Path(path).name}
        del kept["store"]["path"]
    recipe = run.recipe().model_dump()
    return {
        **flat({key: value for key, value in recipe.items() if key != "about"}),
        **flat(kept),
        **flat(more),
    }


def tags(marks: Iterable[str]) -> dict[str, str]:
    """The sentences that every output of a run must carry, as tags.

    >>> tags(["made-up data: drawn by a program"])["mark.1"]
    'made-up data: drawn by a program'
    """
    return {
        "intended_use": DISCLAIMER,
        **{f"mark.{number}": mark for number, mark in enumerate(marks, 1)},
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

    >>> found = {"part": "test", "f1": {"value": 0.7, "low": 0.6, "high": 0.8}, "baselines": {}}
    >>> final_figures(found)
    {'test/f1': 0.7, 'test/f1_low': 0.6, 'test/f1_high': 0.8}
    """
    part = str(evaluation.get("part", "test"))
    found = {}
    for name, figure in _figures(evaluation).items():
        for end, key in (("", "value"), ("_low", "low"), ("_high", "high")):
            found[f"{part}/{name}{end}"] = figure[key]
    for method, other in evaluation.get("baselines", {}).items():
        for name, figure in _figures(other).items():
            found[f"baseline/{method}/{name}"] = figure["value"]
    return numbers(found)


def final_table(evaluation: Mapping[str, Any]) -> str:
    """The same as a table in Markdown, with the marks above it."""
    others = evaluation.get("baselines", {})
    cases = evaluation.get("n_cases")
    lines = [f"> {Mark.read(mark)}\n" for mark in evaluation.get("marks", [])]
    lines += [
        f"{DISCLAIMER} Part: {evaluation.get('part', 'test')}, "
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


def files(run: RunFolder) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The pictures of a run, and its other files worth keeping elsewhere with their kind.

    Lists of cases (split.csv, predictions.parquet) and paths (environment.json) stay in the folder.
    """
    pictures = sorted(path for ending in ("png", "svg") for path in run.path.glob(f"*.{ending}"))
    kinds = {
        "recipe.toml": "record", "evaluation.json": "record",
        "report.html": "report", "MODEL_CARD.md": "report",
        "model.json": "model", "model.safetensors": "model",
    }  # fmt: skip
    others = [(run / name, kind) for name, kind in kinds.items() if (run / name).is_file()]
    return pictures, others


def _figures(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: dict(figure)
        for name, figure in found.items()
        if isinstance(figure, Mapping) and {"value", "low", "high"} <= figure.keys()
    }


def _four(number: Any) -> str:
    return f"{number:.4f}" if isinstance(number, int | float) else "-"
