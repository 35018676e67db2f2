"""Curves as PNG files: ROC, precision-recall, training. They draw numbers and compute none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from eosin.evaluation.curves import Curves
from eosin.figures.canvas import (
    BLUE,
    CYCLE,
    DASHES,
    QUIET,
    Heading,
    Look,
    PathLike,
    canvas,
    dot,
    legend,
    note,
    nothing,
    save,
    statement,
    unit_square,
    with_interval,
)
from eosin.records.evaluation import Evaluation
from eosin.records.figures import Threshold


def roc_figure(
    path: PathLike, evaluation: Evaluation, curves: Curves, **heading: Unpack[Heading]
) -> Path:
    """The ROC curve with its area in words and the threshold that decides."""
    figure, (axes,) = canvas("ROC curve", **heading, height_in=6.6)
    if not len(curves.false_rate):
        nothing(axes, "No curve: it needs patches of both classes.")
        return save(figure, path)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1.2, linestyle=DASHES)
    axes.text(0.66, 0.615, "chance", color=QUIET, fontsize=10.5)
    axes.fill_between(curves.false_rate, curves.true_rate, color=BLUE, alpha=0.07, linewidth=0)
    axes.plot(
        curves.false_rate, curves.true_rate, color=BLUE, linewidth=2.4, solid_joinstyle="round"
    )
    recall, fall = (evaluation.figure(name).value for name in ("sensitivity", "specificity"))
    if recall is not None and fall is not None:
        text = f"{at_threshold(evaluation)}\nsensitivity {recall:.3f}\nspecificity {fall:.3f}"
        dot(axes, (1 - fall, recall), text)
    axes.set(xlabel="False positive rate (1 - specificity)", ylabel="Sensitivity")
    unit_square(axes)
    statement(axes, with_interval("AUROC", evaluation.figure("auroc")), 0.97, 0.04)
    return save(figure, path)


def precision_recall_figure(
    path: PathLike, evaluation: Evaluation, curves: Curves, **heading: Unpack[Heading]
) -> Path:
    """The precision-recall curve, with the prevalence as the line of chance."""
    figure, (axes,) = canvas("Precision and recall", **heading, height_in=6.6)
    if not len(curves.recall):
        nothing(axes, "No curve: it needs patches of both classes.")
        return save(figure, path)
    chance = evaluation.prevalence
    if isinstance(chance, float):
        axes.axhline(chance, color=QUIET, linewidth=1.2, linestyle=DASHES)
        text = f"chance: prevalence {chance:.3f}"
        note(axes, 0.99, chance + 0.012, text, ha="right", transform=axes.transData)
    axes.step(curves.recall, curves.precision, where="pre", color=BLUE, linewidth=2.4)
    recall, precision = (evaluation.figure(name).value for name in ("sensitivity", "precision"))
    if recall is not None and precision is not None:
        text = f"{at_threshold(evaluation)}\nrecall {recall:.3f}\nprecision {precision:.3f}"
        dot(axes, (recall, precision), text, left=True)
    axes.set(xlabel="Recall (sensitivity)", ylabel="Precision")
    unit_square(axes)
    area = with_interval("Average precision", evaluation.figure("average_precision"))
    statement(axes, area, 0.03, 0.04, "left")
    return save(figure, path)


def at_threshold(evaluation: Evaluation) -> str:
    """The threshold that decides, in words.

    >>> at_threshold(Evaluation(threshold=Threshold(value=0.25)))
    'threshold 0.250'
    """
    cut = (evaluation.threshold or Threshold()).value
    return "threshold (not recorded)" if cut is None else f"threshold {cut:.3f}"


def training_curves(
    path: PathLike, rows: Sequence[Mapping[str, Any]], **heading: Unpack[Heading]
) -> Path:
    """Losses, and what was measured on validation, by epoch, or by what a probe has tried.

    rows: the objects of metrics.jsonl. Left: every series with "loss" in its name; right: the
    others that begin with "val_" or "watched_". Rows that lack a series are skipped in it.
    """
    from matplotlib.ticker import MaxNLocator

    along = next((key for key in _ALONG if rows and key in rows[0]), "epoch")
    losses = _series(rows, along, lambda key: "loss" in key)
    shares = _series(
        rows, along, lambda key: key.startswith(("val_", "watched_")) and "loss" not in key
    )
    figure, panels = canvas("Training", **heading, width_in=11.0, height_in=5.0, panels=2)
    for axes, series, label in zip(panels, (losses, shares), ("Loss", "Validation"), strict=True):
        if not series:
            nothing(axes, f"No {label.lower()} figures recorded.")
            continue
        for color, (key, (x, y)) in zip(CYCLE * 3, series.items(), strict=False):
            dashed, few = key.startswith("watched"), len(x) <= 40
            look: Look = {"linestyle": "--" if dashed else "-", "marker": "o" if few else None}
            name = _WORDS.get(key, key.replace("_", " "))
            axes.plot(x, y, color=color, linewidth=2.2, markersize=4, label=name, **look)
        axes.set(xlabel=_ALONG[along], ylabel=label)
        if along == "epoch":
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        else:
            axes.set_xscale("log")
        legend(axes)
    return save(figure, path)


#: What a row of metrics.jsonl is about -> the name of the axis.
_ALONG = {
    "epoch": "Epoch",
    "strength": "C of the logistic regression (small: strong penalty)",
    "neighbors": "Number of neighbors",
}
_WORDS = {
    "loss": "training loss",
    "train_loss": "training loss",
    "val_loss": "validation loss",
    "val_auroc": "AUROC",
    "val_average_precision": "average precision",
    "val_accuracy": "accuracy",
    "watched_probability": "watched patch",
}


def _series(
    rows: Sequence[Mapping[str, Any]], along: str, chosen: Callable[[str], bool]
) -> dict[str, tuple[list[float], list[float]]]:
    """Epochs (or what else ``along`` is) and finite values of every chosen series of numbers."""
    series: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        for key, value in row.items():
            if chosen(key) and _is_number(value) and _is_number(row.get(along)):
                x, y = series.setdefault(key, ([], []))
                x.append(float(row[along]))
                y.append(float(value))
    return series


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
    )
