"""Curves as PNG files: ROC, precision-recall, training. They draw numbers and compute none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.figures.canvas import (
    BLUE,
    CYCLE,
    QUIET,
    Figure,
    PathLike,
    canvas,
    dot,
    legend,
    nothing,
    save,
    statement,
    unit_square,
    with_interval,
)


def roc_curve_figure(
    path: PathLike,
    false_rate: npt.NDArray[np.float64],
    true_rate: npt.NDArray[np.float64],
    *,
    auroc: Figure,
    point: tuple[float, float] | None = None,
    point_name: str = "operating point",
    title: str = "ROC curve",
    subtitle: str = "",
    marks: Sequence[str] = (),
) -> Path:
    """The ROC curve with its area in words and the operating point.

    false_rate, true_rate: float [M] (``metrics.roc_points``); auroc: {value, low, high};
    point: (false positive rate, true positive rate).
    """
    figure, (axes,) = canvas(title, subtitle, marks=marks, height_in=6.6)
    if not len(false_rate):
        nothing(axes, "No curve: it needs patches of both classes.")
        return save(figure, path)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1.2, linestyle=(0, (4, 4)))
    axes.text(0.66, 0.615, "chance", color=QUIET, fontsize=10.5, ha="left")
    axes.fill_between(false_rate, true_rate, step=None, color=BLUE, alpha=0.07, linewidth=0)
    axes.plot(false_rate, true_rate, color=BLUE, linewidth=2.4, solid_joinstyle="round")
    if point is not None:
        dot(
            axes, point, f"{point_name}\nsensitivity {point[1]:.3f}\nspecificity {1 - point[0]:.3f}"
        )
    axes.set(xlabel="False positive rate (1 - specificity)", ylabel="Sensitivity")
    unit_square(axes)
    statement(axes, with_interval("AUROC", auroc), 0.97, 0.04)
    return save(figure, path)


def precision_recall_figure(
    path: PathLike,
    recall: npt.NDArray[np.float64],
    precision: npt.NDArray[np.float64],
    *,
    average_precision: Figure,
    prevalence: float | None = None,
    point: tuple[float, float] | None = None,
    point_name: str = "operating point",
    title: str = "Precision and recall",
    subtitle: str = "",
    marks: Sequence[str] = (),
) -> Path:
    """The precision-recall curve, with the prevalence as the line of chance.

    recall, precision: float [M] (``metrics.precision_recall_points``); average_precision:
    {value, low, high}; point: (recall, precision).
    """
    figure, (axes,) = canvas(title, subtitle, marks=marks, height_in=6.6)
    if not len(recall):
        nothing(axes, "No curve: it needs patches of both classes.")
        return save(figure, path)
    if prevalence is not None:
        axes.axhline(prevalence, color=QUIET, linewidth=1.2, linestyle=(0, (4, 4)))
        axes.text(
            0.99,
            prevalence + 0.012,
            f"chance: prevalence {prevalence:.3f}",
            color=QUIET,
            fontsize=10.5,
            ha="right",
        )
    axes.step(recall, precision, where="pre", color=BLUE, linewidth=2.4)
    if point is not None:
        dot(
            axes, point, f"{point_name}\nrecall {point[0]:.3f}\nprecision {point[1]:.3f}", left=True
        )
    axes.set(xlabel="Recall (sensitivity)", ylabel="Precision")
    unit_square(axes)
    statement(axes, with_interval("Average precision", average_precision), 0.03, 0.04, "left")
    return save(figure, path)


def training_curves(
    path: PathLike,
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str = "Training",
    subtitle: str = "",
    marks: Sequence[str] = (),
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
    figure, panels = canvas(title, subtitle, marks=marks, width_in=11.0, height_in=5.0, panels=2)
    for axes, found, label in zip(panels, (losses, shares), ("Loss", "Validation"), strict=True):
        if not found:
            nothing(axes, f"No {label.lower()} figures recorded.")
            continue
        for color, (key, (x, y)) in zip(CYCLE * 3, found.items(), strict=False):
            axes.plot(
                x,
                y,
                color=color,
                linewidth=2.2,
                linestyle="--" if key.startswith("watched") else "-",
                marker="o" if len(x) <= 40 else None,
                markersize=4,
                label=_WORDS.get(key, key.replace("_", " ")),
            )
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
    rows: Sequence[Mapping[str, Any]], along: str, wanted: Callable[[str], bool]
) -> dict[str, tuple[list[float], list[float]]]:
    """Epochs (or what else ``along`` names) and finite values of every wanted series of numbers."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        for key, value in row.items():
            if wanted(key) and _is_number(value) and _is_number(row.get(along)):
                x, y = found.setdefault(key, ([], []))
                x.append(float(row[along]))
                y.append(float(value))
    return found


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
    )
