"""Figures as PNG files: they draw numbers computed elsewhere and compute none.

Every function takes the path to write and returns it; ``subtitle`` says which data are shown, and
``marks`` ("MADE-UP DATA", "LEAKING SPLIT") are written in red above the title.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from eosin.data.tints import shortened
from eosin.evaluation.curves import Curves, row_shares
from eosin.figures.canvas import (
    BLUE,
    INK,
    LINE,
    ORANGE,
    PAPER,
    QUIET,
    Heading,
    Look,
    PathLike,
    beside,
    canvas,
    legend,
    nothing,
    save,
    with_interval,
)
from eosin.figures.curves import (
    at_threshold,
    precision_recall_figure,
    roc_figure,
    training_curves,
)
from eosin.figures.letters import room_of, series
from eosin.records.evaluation import Evaluation
from eosin.records.figures import CaseRow, Figure, Threshold

#: Rows of ``cases_figure`` at most: beyond, the lowest and the highest halves of these.
MOST_CASES = 100
#: Letters of a name that are drawn; the report has all of them.
MOST_LETTERS = 40
#: Classes of ``confusion_figure`` up to which each cell has its share as well.
FEW_CLASSES = 6


def draw_all(
    folder: str | os.PathLike[str],
    evaluation: Evaluation,
    curves: Curves | None,
    *,
    metrics: Sequence[Mapping[str, Any]] = (),
) -> list[str]:
    """Draw every figure of an evaluation into a folder; returns the names of the files.

    curves: of the same patches, or None for more than two classes; metrics: rows of metrics.jsonl,
    or none.
    """
    target = Path(folder)
    patches, cases = evaluation.n_patches, evaluation.n_cases
    counted = [f"{cases:,} case{'s' * (cases != 1)}"] if cases else []
    named = [f"{key} {getattr(evaluation, key)}" for key in ("part", "split")]
    parts = [", ".join([*counted, f"{patches:,} patches"]), *(n for n in named if n[-1] != " ")]
    marks = [mark.sentence for mark in evaluation.marks]
    common = Heading(subtitle=" · ".join(parts), marks=marks)
    drawn: list[Path] = []
    if curves is not None:
        figures: dict[str, Callable[..., Path]] = {
            "roc.png": roc_figure,
            "precision_recall.png": precision_recall_figure,
            "probabilities.png": probability_histogram,
        }
        drawn += [
            make(target / name, evaluation, curves, **common) for name, make in figures.items()
        ]
    if evaluation.confusion is not None:
        path = target / "confusion.png"
        drawn.append(confusion_figure(path, evaluation.confusion, evaluation.classes, **common))
    if evaluation.cases:
        name = evaluation.case_figure()
        overall = evaluation.figure(name)
        path = target / "cases.png"
        drawn.append(cases_figure(path, evaluation.cases, name=name, overall=overall, **common))
    if metrics:
        drawn.append(training_curves(target / "training.png", metrics, marks=marks))
    return [path.name for path in drawn]


def confusion_figure(
    path: PathLike, counts: npt.ArrayLike, classes: Sequence[str], **heading: Unpack[Heading]
) -> Path:
    """Patches by true and called class: shares of the true class as color, counts as text.

    counts: int [K, K], row = true class, column = called class.
    """
    classes = [shortened(name, MOST_LETTERS) for name in classes]
    matrix, share = np.asarray(counts, dtype=np.int64), row_shares(counts)
    longest = 0.095 * max(room_of(name) for name in classes)
    size = max(4.4, min(11.0, 1.6 + 0.62 * len(classes)))
    slanted = longest > 0.9 * size / len(classes)
    below = 0.7 * longest if slanted else 0
    figure, (axes,) = canvas(
        "Confusion matrix",
        **heading,
        width_in=size + 1.3 + longest,
        height_in=0.85 * size + 1.9 + below,
        side_in=0.8 + longest,
        foot_in=0.75 + below,
    )
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    font = 15 if len(classes) <= 3 else max(7.0, 13.5 - 0.3 * len(classes))
    middle: Look = {"ha": "center", "va": "center", "fontsize": font, "linespacing": 1.4}
    for row, column in np.ndindex(matrix.shape):
        color = PAPER if share[row, column] > 0.55 else INK
        text = f"{matrix[row, column]:,}"
        if len(classes) <= FEW_CLASSES:
            text += f"\n{share[row, column]:.1%}"
        axes.text(column, row, text, color=color, **middle)
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
    rows: Sequence[CaseRow],
    *,
    name: str = "balanced_accuracy",
    overall: Figure | None = None,
    **heading: Unpack[Heading],
) -> Path:
    """A row a case, best at the top: the figure ``name`` with its interval; area shows patches.

    overall: the figure over all cases, drawn as a band. Cases that do not define the figure are
    counted below the axes.
    """
    words = name.replace("_", " ").replace("auroc", "AUROC")
    defined = sorted(
        ((f.value, row, f) for row in rows if (f := row.figure(name)).value is not None),
        key=lambda each: each[0],
    )
    left_out = ""
    if len(defined) > MOST_CASES:
        left_out = f"of {len(defined)} cases the {MOST_CASES // 2} lowest and highest"
        defined = defined[: MOST_CASES // 2] + defined[-(MOST_CASES // 2) :]
    elif len(defined) < len(rows):
        left_out = f"{len(rows) - len(defined)} of {len(rows)} cases do not define it"
    height = 2.7 + max(6, len(defined)) * 0.19
    names = [shortened(row.case, MOST_LETTERS) for _, row, _ in defined]
    label = max([0.5] + [0.075 * room_of(case) for case in names])
    room: Look = {"side_in": 0.6 + label, "head_in": 0.4, "foot_in": 0.9}
    figure, (axes,) = canvas("Case by case", **heading, height_in=height, **room)
    notes = ["interval: patches of the case drawn again", "dot: its number of patches", left_out]
    axes.set_xlabel(f"{words[0].upper()}{words[1:]}")
    foot = " · ".join(filter(None, notes))
    figure.text(0.02, 0.14 / height, foot, color=QUIET, fontsize=8.5, va="bottom")
    if not defined:
        nothing(axes, f"No case defines {words}.")
        return save(figure, path)
    values = [value for value, _, _ in defined]
    sizes = np.array([row.n for _, row, _ in defined], dtype=np.float64)
    for at, (_, _, figure_of) in enumerate(defined):
        if bounds := figure_of.bounds:
            ends = [bounds[0], bounds[2]]
            look: Look = {"linewidth": 1.6, "alpha": 0.55, "solid_capstyle": "round"}
            axes.plot(ends, [at, at], color=BLUE, **look)
    area = 14 + 70 * sizes / sizes.max()
    places = range(len(defined))
    axes.scatter(values, places, s=area, color=BLUE, zorder=3, edgecolor=PAPER, linewidth=0.8)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", labelsize=8.5, length=0)
    axes.set_ylim(-0.8, len(defined) - 0.2)
    lows = [each.low for _, _, each in defined if each.low is not None]
    axes.set_xlim(max(0.0, min([*values, *lows]) - 0.03), 1.005)
    if overall is not None and overall.value is not None:
        if bounds := overall.bounds:
            band: Look = {"color": ORANGE, "alpha": 0.14, "linewidth": 0, "zorder": 0}
            axes.axvspan(bounds[0], bounds[2], **band)
        low, high = axes.get_xlim()
        place = (overall.value - low) / (high - low)
        side = "center" if 0.25 < place < 0.75 else ("left" if place < 0.5 else "right")
        axes.axvline(overall.value, color=ORANGE, linewidth=1.8, zorder=1)
        text = with_interval("all patches", overall)
        top = (overall.value, 1.0)
        beside(axes, top, text, (0, 5), ha=side, xycoords=("data", "axes fraction"))
    axes.grid(axis="y", color=LINE, linewidth=0.5)
    return save(figure, path)


def probability_histogram(
    path: PathLike, evaluation: Evaluation, curves: Curves, **heading: Unpack[Heading]
) -> Path:
    """Patches of both classes by their probability, on a logarithmic axis, with the threshold."""
    figure, (axes,) = canvas(
        "Probability by true class", **heading, width_in=8.0, height_in=5.6, head_in=0.42
    )
    counts = curves.counts.astype(np.float64)
    if not counts.sum():
        nothing(axes, "No patches with a probability.")
        return save(figure, path)
    classes = [_short(name) for name in evaluation.classes]
    for row, color, name in zip(counts, (BLUE, ORANGE), classes, strict=True):
        label = f"{name} ({int(row.sum()):,})"
        axes.stairs(row, curves.edges, color=color, linewidth=2.0, label=label, baseline=None)
        axes.stairs(row, curves.edges, color=color, alpha=0.16, fill=True, baseline=0.5)
    axes.set_yscale("log")
    axes.set_ylim(0.7, counts.max() * 2.5)
    axes.set_xlim(0, 1)
    cut = (evaluation.threshold or Threshold()).value
    if cut is not None:
        axes.axvline(cut, color=INK, linewidth=1.6, linestyle=(0, (5, 3)))
        right = cut > 0.75
        look = {"xycoords": ("data", "axes fraction"), "va": "top", "color": INK}
        side = "right" if right else "left"
        offset = (-6 if right else 6, 0)
        beside(axes, (cut, 0.95), at_threshold(evaluation), offset, ha=side, **look)
    axes.set(xlabel=f"Probability of {classes[1]}", ylabel="Patches (logarithmic)")
    legend(axes, above=True)
    return save(figure, path)


def _short(name: str) -> str:
    """A class name that fits a legend."""
    return series(shortened(name, 18))
