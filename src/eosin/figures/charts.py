"""Figures as PNG files: they draw numbers computed elsewhere and compute none.

Every function takes the path to write and returns it; ``title`` says what is shown, ``subtitle``
which data, and ``marks`` ("MADE-UP DATA", "LEAKING SPLIT") stand in red above both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation import metrics as numbers
from eosin.figures.canvas import (
    BLUE,
    INK,
    LINE,
    ORANGE,
    PAPER,
    QUIET,
    Figure,
    PathLike,
    canvas,
    legend,
    nothing,
    save,
    with_interval,
)
from eosin.figures.curves import precision_recall_figure, roc_curve_figure, training_curves

__all__ = [
    "cases_figure",
    "confusion_figure",
    "draw_all",
    "precision_recall_figure",
    "probability_histogram",
    "roc_curve_figure",
    "training_curves",
]

#: Rows of ``cases_figure`` at most: beyond, the lowest and the highest halves of these.
MOST_CASES = 100
#: Classes of ``confusion_figure`` up to which each cell has its share as well.
FEW_CLASSES = 6


def draw_all(
    folder: str | os.PathLike[str],
    evaluation: Mapping[str, Any],
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    *,
    metrics: Sequence[Mapping[str, Any]] = (),
) -> list[str]:
    """Draw every figure of an evaluation into a folder; returns the names of the files.

    evaluation: what ``summary.evaluate`` gave, with "part" and "split" where they are known;
    y_true: int [N] and y_prob: float [N] or [N, K] of the same patches, for the curves' points;
    metrics: rows of metrics.jsonl, or none.
    """
    target = Path(folder)
    patches, cases = evaluation["n_patches"], evaluation["n_cases"]
    facts = [f"{patches:,} patches"]
    facts[:0] = [f"{cases:,} case{'s' * (cases != 1)}"] if cases else []
    named = [f"{key} {evaluation[key]}" for key in ("part", "split") if evaluation.get(key)]
    common: dict[str, Any] = {
        "subtitle": " · ".join([", ".join(facts), *named]),
        "marks": evaluation["marks"],
    }
    drawn: list[Path] = []
    binary = len(evaluation["classes"]) == 2
    if binary:
        cut = evaluation["threshold"]["value"]
        at = {key: evaluation[key]["value"] for key in ("sensitivity", "specificity", "precision")}
        recall, fall = at["sensitivity"], at["specificity"]
        drawn.append(
            roc_curve_figure(
                target / "roc.png",
                *numbers.roc_points(y_true, y_prob),
                auroc=evaluation["auroc"],
                point=None if None in (recall, fall) else (1 - fall, recall),
                point_name=f"threshold {cut:.3f}",
                **common,
            )
        )
        drawn.append(
            precision_recall_figure(
                target / "precision_recall.png",
                *numbers.precision_recall_points(y_true, y_prob),
                average_precision=evaluation["average_precision"],
                prevalence=evaluation["prevalence"],
                point=None if None in (recall, at["precision"]) else (recall, at["precision"]),
                point_name=f"threshold {cut:.3f}",
                **common,
            )
        )
        drawn.append(
            probability_histogram(
                target / "probabilities.png",
                *numbers.score_histogram(y_true, y_prob),
                classes=evaluation["classes"],
                threshold=cut,
                **common,
            )
        )
    if evaluation["confusion"] is not None:
        path = target / "confusion.png"
        drawn.append(
            confusion_figure(path, evaluation["confusion"], evaluation["classes"], **common)
        )
    if evaluation["cases"]:
        rows = evaluation["cases"]
        # Balanced accuracy needs both classes in a case; where most lack one, accuracy is shown.
        defined = sum(row["balanced_accuracy"]["value"] is not None for row in rows)
        name = "balanced_accuracy" if binary and 2 * defined >= len(rows) else "accuracy"
        drawn.append(
            cases_figure(target / "cases.png", rows, name=name, overall=evaluation[name], **common)
        )
    if metrics:
        marked = {"marks": evaluation["marks"]}
        drawn.append(training_curves(target / "training.png", metrics, **marked))
    return [path.name for path in drawn]


def confusion_figure(
    path: PathLike,
    counts: npt.ArrayLike,
    classes: Sequence[str],
    *,
    title: str = "Confusion matrix",
    subtitle: str = "",
    marks: Sequence[str] = (),
) -> Path:
    """Patches by true and called class: shares of the true class as color, counts as text.

    counts: int [K, K], row = true class, column = called class.
    """
    matrix = np.asarray(counts, dtype=np.int64)
    longest = 0.095 * max(len(name) for name in classes)
    size = max(4.4, min(11.0, 1.6 + 0.62 * len(classes)))
    slanted = longest > 0.9 * size / len(classes)
    figure, (axes,) = canvas(
        title,
        subtitle,
        marks=marks,
        width_in=size + 1.3 + longest,
        height_in=0.85 * size + 1.9 + (0.7 * longest if slanted else 0),
        side_in=0.8 + longest,
        foot_in=0.75 + (0.7 * longest if slanted else 0),
    )
    total = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, total, out=np.zeros(matrix.shape), where=total > 0)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    font = 15 if len(classes) <= 3 else max(7.0, 13.5 - 0.3 * len(classes))
    for row in range(len(matrix)):
        for column in range(len(matrix)):
            color = PAPER if share[row, column] > 0.55 else INK
            text = f"{matrix[row, column]:,}"
            if len(classes) <= FEW_CLASSES:
                text += f"\n{share[row, column]:.1%}"
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                color=color,
                fontsize=font,
                linespacing=1.4,
            )
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.tick_params(labelsize=11.5 if len(classes) <= 12 else 8, length=0, colors=INK)
    if slanted:
        for tick in axes.get_xticklabels():
            tick.set(rotation=40, ha="right", rotation_mode="anchor")
    axes.grid(False)
    for edge in np.arange(len(classes) - 1) + 0.5:
        axes.axhline(edge, color=PAPER, linewidth=3)
        axes.axvline(edge, color=PAPER, linewidth=3)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set(xlabel="Called", ylabel="True")
    return save(figure, path)


def cases_figure(
    path: PathLike,
    rows: Sequence[Mapping[str, Any]],
    *,
    name: str = "balanced_accuracy",
    overall: Figure | None = None,
    title: str = "Case by case",
    subtitle: str = "",
    marks: Sequence[str] = (),
) -> Path:
    """A row a case, best at the top: the figure ``name`` with its interval; area shows patches.

    rows: ``evaluation["cases"]``; overall: {value, low, high} over all cases, drawn as a band.
    Cases that do not define the figure are counted below the axes.
    """
    words = name.replace("_", " ").replace("auroc", "AUROC")
    known = sorted(
        (r for r in rows if r[name]["value"] is not None), key=lambda r: r[name]["value"]
    )
    left_out = ""
    if len(known) > MOST_CASES:
        left_out = f"of {len(known)} cases the {MOST_CASES // 2} lowest and highest"
        known = known[: MOST_CASES // 2] + known[-(MOST_CASES // 2) :]
    if len(known) < len(rows) and not left_out:
        left_out = f"{len(rows) - len(known)} of {len(rows)} cases do not define it"
    height = 2.7 + max(6, len(known)) * 0.19
    label = max([0.5] + [0.075 * len(str(row["case"])) for row in known])
    figure, (axes,) = canvas(
        title,
        subtitle,
        marks=marks,
        height_in=height,
        side_in=0.6 + label,
        head_in=0.4,
        foot_in=0.9,
    )
    notes = ["interval: patches of the case drawn again", "dot: its number of patches", left_out]
    axes.set_xlabel(f"{words[0].upper()}{words[1:]}")
    figure.text(
        0.02, 0.1 / height, " · ".join(filter(None, notes)), color=QUIET, fontsize=8.5, va="bottom"
    )
    if not known:
        nothing(axes, f"No case defines {words}.")
        return save(figure, path)
    height_of = range(len(known))
    values = [row[name]["value"] for row in known]
    sizes = np.array([row["n"] for row in known], dtype=np.float64)
    for at, row in zip(height_of, known, strict=True):
        if row[name]["low"] is not None:
            axes.plot(
                [row[name]["low"], row[name]["high"]],
                [at, at],
                color=BLUE,
                linewidth=1.6,
                alpha=0.55,
                solid_capstyle="round",
            )
    axes.scatter(
        values,
        height_of,
        s=14 + 70 * sizes / sizes.max(),
        color=BLUE,
        zorder=3,
        edgecolor=PAPER,
        linewidth=0.8,
    )
    axes.set_yticks(height_of, [str(row["case"]) for row in known])
    axes.tick_params(axis="y", labelsize=8.5, length=0)
    axes.set_ylim(-0.8, len(known) - 0.2)
    lows = [row[name]["low"] for row in known if row[name]["low"] is not None]
    axes.set_xlim(max(0.0, min([*values, *lows]) - 0.03), 1.005)
    if overall is not None and overall["value"] is not None:
        if overall["low"] is not None:
            axes.axvspan(
                overall["low"], overall["high"], color=ORANGE, alpha=0.14, linewidth=0, zorder=0
            )
        low, high = axes.get_xlim()
        place = (overall["value"] - low) / (high - low)
        side = "center" if 0.25 < place < 0.75 else ("left" if place < 0.5 else "right")
        axes.axvline(overall["value"], color=ORANGE, linewidth=1.8, zorder=1)
        axes.annotate(
            with_interval("all patches", overall),
            (overall["value"], 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 5),
            ha=side,
            textcoords="offset points",
            color="#a8481a",
            fontsize=10.5,
        )
    axes.grid(axis="y", color=LINE, linewidth=0.5)
    return save(figure, path)


def probability_histogram(
    path: PathLike,
    edges: npt.NDArray[np.float64],
    counts: npt.ArrayLike,
    *,
    classes: Sequence[str] = ("negative", "positive"),
    threshold: float | None = None,
    title: str = "Probability by true class",
    subtitle: str = "",
    marks: Sequence[str] = (),
) -> Path:
    """Patches of both classes by their probability, on a logarithmic axis, with the threshold.

    edges: float [B + 1]; counts: int [2, B] (``metrics.score_histogram``).
    """
    figure, (axes,) = canvas(
        title, subtitle, marks=marks, width_in=8.0, height_in=5.6, head_in=0.42
    )
    shown = np.asarray(counts, dtype=np.float64)
    if not shown.sum():
        nothing(axes, "No patches with a probability.")
        return save(figure, path)
    for row, color, name in zip(shown, (BLUE, ORANGE), classes, strict=True):
        axes.stairs(
            row,
            edges,
            color=color,
            linewidth=2.0,
            label=f"{name} ({int(row.sum()):,})",
            fill=False,
            baseline=None,
        )
        axes.stairs(row, edges, color=color, alpha=0.16, fill=True, baseline=0.5)
    axes.set_yscale("log")
    axes.set_ylim(0.7, shown.max() * 2.5)
    axes.set_xlim(0, 1)
    if threshold is not None:
        axes.axvline(threshold, color=INK, linewidth=1.6, linestyle=(0, (5, 3)))
        near = threshold > 0.75
        axes.annotate(
            f"threshold {threshold:.3f}",
            (threshold, 0.95),
            xycoords=("data", "axes fraction"),
            xytext=(-6 if near else 6, 0),
            textcoords="offset points",
            ha="right" if near else "left",
            va="top",
            color=INK,
            fontsize=10.5,
        )
    axes.set(xlabel=f"Probability of {classes[1]}", ylabel="Patches (logarithmic)")
    legend(axes, above=True)
    return save(figure, path)
