"""What a network must beat on a split: every baseline with its intervals, before any training."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin import __version__
from eosin.data.rows import StoreRows
from eosin.data.store import MADE_UP, PatchStore
from eosin.errors import SplitError
from eosin.evaluation.baselines import ALL_BASELINES, Baseline
from eosin.evaluation.definitions import NAMES, checked, figure_names
from eosin.evaluation.intervals import LEVEL, Units, bootstrap, resampling_units
from eosin.records.model import INTENDED_USE
from eosin.splitting.audit import AuditResult, audit, refuse_leak
from eosin.splitting.split_file import Split

FORMAT = 1
NO_TEST = (
    "the split has no test part: these figures are on the validation part, on which threshold, "
    "neighbors and trees were chosen, so they are somewhat too good"
)
#: The baselines in words, in the order in which they are measured.
TITLES = {
    "base_rate": "base rate",
    "color_histogram": "color histogram + logistic regression",
    "texture": "texture + gradient boosting",
    "nearest_neighbors": "nearest neighbors",
}
#: Steps that ``measure`` reports: the audit and the baselines.
STEPS = 1 + len(TITLES)

Progress = Callable[[int, str], None]


def measure(
    store: PatchStore,
    split: Split,
    *,
    fold: int | None = None,
    allow_leaks: bool = False,
    replicates: int = 2000,
    seed: int = 0,
    progress: Progress = lambda done, what: None,
) -> dict[str, Any]:
    """The content of baselines.json: each baseline on the test part, or without one on validation.

    Fitted on the training part; thresholds, the number of neighbors and of trees are chosen on
    validation. Intervals are by bootstrap over cases, with the same draws for every baseline.

    fold: for a split into folds, the one to test on; progress: steps done and what comes next.
    Raises LeakError where the parts share information and neither the scheme is ``patch`` nor
    ``allow_leaks``; SplitError where there is nothing to fit on or to measure.
    """
    parts = split.parts(store, fold)
    part = "test" if len(parts["test"]) else "val"
    if not len(parts["train"]) or not len(parts[part]):
        lacking = "training" if not len(parts["train"]) else "validation and test"
        raise SplitError(f"the split has no {lacking} patches; baselines need both")
    progress(0, "audit")
    audited = _audited(store, split, fold, allow_leaks)
    marks = [*([MADE_UP] if store.made_up else []), *split.marks, *audited.marks]
    marks = list(dict.fromkeys(marks)) + ([NO_TEST] if part == "val" else [])
    rows = {name: StoreRows(store.patches, parts[name]) for name in parts}
    truths = {name: store.labels[parts[name]] for name in parts}
    units = resampling_units(store.cases[parts[part]], len(parts[part]))
    methods: dict[str, Any] = {}
    for done, (name, title) in enumerate(TITLES.items(), 1):
        progress(done, title)
        started = time.perf_counter()
        answer = ALL_BASELINES[name](
            rows["train"], truths["train"], rows["val"], truths["val"], rows[part],
            classes=len(store.classes), seed=seed,
        )  # fmt: skip
        methods[name] = {
            "title": title,
            **_figures(truths[part], answer, units, replicates, seed),
            "seconds": round(time.perf_counter() - started, 2),
        }
    progress(STEPS, "")
    shares = np.bincount(truths[part], minlength=len(store.classes)) / len(truths[part])
    result = {
        "format": FORMAT,
        "eosin": __version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "store": {"path": str(store.path), "digest": store.digest, "patches": len(store)},
        "split": split.scheme,
        "fold": fold,
        "classes": list(store.classes),
        "part": part,
        "n_train": len(parts["train"]),
        "n_val": len(parts["val"]),
        "n_patches": len(parts[part]),
        "n_cases": len(units.names) or None,
        "shares": dict(zip(store.classes, shares.tolist(), strict=True)),
        "marks": marks,
        "intervals": {
            "method": f"percentile bootstrap over {units.kind}", "level": LEVEL,
            "replicates": replicates, "seed": seed, "units": units.count, "note": units.note,
        },
        "baselines": methods,
        "audit": audited.to_dict(),
        "intended_use": INTENDED_USE,
    }  # fmt: skip
    key, best = best_of(methods)
    return result | {"figure": key, "best": best, "sentence": to_beat(result, key, best)}


def _audited(store: PatchStore, split: Split, fold: int | None, allow_leaks: bool) -> AuditResult:
    """The audit of the split; the refusal of a leak."""
    result = audit(store, split, fold=fold)
    refuse_leak(result, store, split, fold=fold, allow_leaks=allow_leaks)
    return result


def _figures(
    truth: npt.NDArray[np.int64], answer: Baseline, units: Units, replicates: int, seed: int
) -> dict[str, Any]:
    y_true, y_prob = checked(truth, answer.y_prob)
    cut = float(answer.threshold)
    result = bootstrap(y_true, y_prob, units, threshold=cut, replicates=replicates, seed=seed)
    return {
        **{name: interval.as_dict() for name, interval in result.items()},
        "notes": {name: each.note for name, each in result.items() if each.note},
        "threshold": answer.threshold.threshold_json() if y_prob.ndim == 1 else None,
        "note": answer.note,
    }


def best_of(methods: Mapping[str, Mapping[str, Any]]) -> tuple[str, str | None]:
    """The figure that baselines are compared by, and the best of them (None: none has a value).

    AUROC, its mean over classes for more than two, or accuracy where neither is defined.

    >>> best_of({"a": {"auroc": {"value": 0.5}}, "b": {"auroc": {"value": 0.9}}})
    ('auroc', 'b')
    """
    for key in ("auroc", "macro_auroc", "accuracy"):
        known = {
            name: row[key]["value"]
            for name, row in methods.items()
            if key in row and row[key]["value"] is not None
        }
        if known:
            return key, max(known, key=lambda name: known[name])
    return "accuracy", None


def to_beat(result: Mapping[str, Any], key: str, best: str | None) -> str:
    """What a network must beat, in words: the best baseline, its interval and what it proves.

    result: what ``measure`` gives, at least part, n_patches, n_cases and baselines.
    """
    part = {"test": "test", "val": "validation"}[result["part"]]
    where = f"on {result['n_patches']:,} {part} patches"
    if result["n_cases"]:
        where += f" of {result['n_cases']:,} case{'s' * (result['n_cases'] != 1)}"
    if best is None:
        return f"No baseline has a figure {where}: there is nothing to compare a network with."
    row = result["baselines"][best]
    values, words = row[key], NAMES[key]
    span, least = "no interval", values["value"]
    if values["low"] is not None:
        span, least = f"95 % interval {values['low']:.3f} to {values['high']:.3f}", values["low"]
    text = f"A network must beat {row['title']}: {words} {values['value']:.3f} ({span}) {where}"
    other = "average_precision" if key == "auroc" else "balanced_accuracy"
    if other in row and row[other]["value"] is not None and other != key:
        text += f", {NAMES[other]} {row[other]['value']:.3f}"
    if key in ("auroc", "macro_auroc") and least <= 0.5:
        return f"{text}. Here it is not clearly better than chance itself."
    return (
        f"{text}. Below that, it has learned nothing about the tissue that color and texture do "
        "not show already."
    )


def figures_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The figures that the baselines have, the headline first.

    >>> figures_of({"classes": ["a", "b"]})[:2]
    ('auroc', 'average_precision')
    """
    return tuple(n for n in figure_names(np.empty((0, len(result["classes"])))) if n in NAMES)
