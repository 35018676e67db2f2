"""Figures of experiments: baselines side by side, and the curves of many runs in one."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eosin.evaluation.definitions import NAMES
from eosin.figures.canvas import BLUE, CYCLE, INK, PAPER, QUIET, canvas, nothing, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Runs in color; where there are more, the others are thin and gray.
MOST_IN_COLOR = len(CYCLE)


def baselines_figure(path: str | os.PathLike[str], result: Mapping[str, Any]) -> Path:
    """A row a baseline, best at the top, with its interval: the headline figure and the next.

    result: what ``baselines.measure`` gives.
    """
    methods = result["baselines"]
    key, other, chance_of_other = result["figure"], "balanced_accuracy", None
    shares = [*result["shares"].values()]
    if key == "auroc":
        other = "average_precision"
        # What an answer by chance reaches in it: the share of positives.
        chance_of_other = shares[1] if len(shares) == 2 else None
    part = {"test": "test", "val": "validation"}[result["part"]]
    cases = f" of {result['n_cases']:,} cases" if result["n_cases"] else ""
    figure, panels = canvas(
        "What a network must beat",
        f"{result['n_patches']:,} {part} patches{cases} · split {result['split']}",
        marks=result["marks"],
        width_in=10.4,
        height_in=1.9 + 0.5 * len(methods),
        panels=2,
        side_in=2.3,
        head_in=0.3,
    )
    order = sorted(methods, key=lambda name: methods[name][key]["value"] or 0)
    for axes, name, chance in zip(panels, (key, other), (0.5, chance_of_other), strict=True):
        known = [each for each in order if (methods[each].get(name) or {}).get("value") is not None]
        if not known:
            nothing(axes, f"{NAMES[name]}: not defined here.")
            continue
        for height, values in ((order.index(each), methods[each][name]) for each in known):
            if values["low"] is not None:
                axes.plot(
                    [values["low"], values["high"]], [height] * 2, color=BLUE, linewidth=2.2,
                    alpha=0.55, solid_capstyle="round",
                )  # fmt: skip
            axes.plot(values["value"], height, "o", color=BLUE, markersize=8)
            axes.annotate(
                f"{values['value']:.3f}", (values["value"], height), xytext=(0, 9),
                textcoords="offset points", ha="center", color=INK, fontsize=10,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.2},
            )  # fmt: skip
        if chance is not None:
            axes.axvline(chance, color=QUIET, linewidth=1.2, linestyle=(0, (4, 4)), zorder=1)
        ends = [methods[each][name][end] for each in known for end in ("value", "low")]
        low = min(end for end in ends if end is not None)
        axes.set_xlim(max(0.0, min(low, 1 if chance is None else chance) - 0.05), 1.02)
        axes.set_ylim(-0.6, len(order) - 0.3)
        words = NAMES[name]
        axes.set_xlabel(f"{words[0].upper()}{words[1:]}")
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(
        range(len(order)), [methods[each]["title"].replace(" + ", "\n+ ") for each in order]
    )
    panels[1].set_yticks(range(len(order)), [""] * len(order))
    for axes in panels:
        axes.tick_params(axis="y", colors=INK, length=0)
    return save(figure, path)


def runs_figure(path: str | os.PathLike[str], runs: Sequence[Mapping[str, Any]]) -> Path:
    """Loss and validation AUROC of several runs by epoch, in one figure.

    runs: mappings with "name", "metrics" (rows of metrics.jsonl), "marks", and "score" (what they
    are ordered by, or None). The best few have colors, the others are gray.
    """
    from matplotlib.ticker import MaxNLocator

    ordered = sorted(runs, key=lambda run: math.inf if run["score"] is None else -run["score"])
    shown = ordered[:MOST_IN_COLOR]
    subtitle = f"{len(runs)} run{'s' * (len(runs) != 1)} · solid: validation · dashed: training"
    if len(runs) > len(shown):
        subtitle += f"\n{len(shown)} in color: the best by validation AUROC; the others in gray"
    figure, panels = canvas(
        "Curves of the runs",
        subtitle,
        marks=list(dict.fromkeys(mark for run in runs for mark in run["marks"]))[:2],
        width_in=11.0,
        height_in=5.4,
        panels=2,
        foot_in=0.9,
    )
    for axes, label in zip(panels, ("Loss", "Validation AUROC"), strict=True):
        keys = ("loss", "val_loss") if label == "Loss" else ("val_auroc",)
        drawn = False
        for run in reversed(ordered):
            color = CYCLE[shown.index(run)] if run in shown else "#c3c9d1"
            for key in keys:
                drawn |= _curve(axes, run, key, color, thick=run in shown)
        if not drawn:
            nothing(axes, f"No {label.lower()} recorded.")
            continue
        axes.set(xlabel="Epoch", ylabel=label)
        if label == "Loss":
            _logarithmic(axes)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    _names(panels)
    return save(figure, path)


def _curve(axes: Axes, run: Mapping[str, Any], key: str, color: str, *, thick: bool) -> bool:
    """Draw one series; whether it had a point."""
    points = [
        (row["epoch"], row[key])
        for row in run["metrics"]
        if isinstance(row.get(key), int | float) and isinstance(row.get("epoch"), int | float)
    ]
    if not points:
        return False
    x, y = zip(*points, strict=True)
    name = run["name"] if len(run["name"]) <= 34 else f"...{run['name'][-31:]}"
    axes.plot(
        x, y, color=color, linewidth=2.0 if thick else 0.9,
        linestyle=(0, (4, 2)) if key == "loss" else "-", zorder=3 if thick else 2,
        marker="o" if len(x) <= 20 and thick else None, markersize=3.5,
        label=name if thick and key != "loss" else None,
    )  # fmt: skip
    return True


def _logarithmic(axes: Axes) -> None:
    """A logarithmic axis where one run's loss would flatten all the others."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    values = [float(y) for line in axes.get_lines() for y in np.asarray(line.get_ydata()) if y > 0]
    if values and max(values) > 20 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _names(panels: Sequence[Axes]) -> None:
    """One legend, in the last panel that has curves with a name."""
    for axes in reversed(panels):
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            # Drawn from the last run to the best, so that the best is on top.
            axes.legend(
                handles[::-1], labels[::-1], loc="best", fontsize=9.5, framealpha=0.92,
                edgecolor="none", labelcolor=INK,
            ).set_zorder(5)  # fmt: skip
            return
