"""Figures on trusting a model: reliability, decision curve, risk over coverage.

They draw the sections "calibration", "decision_curve" and "referral" of evaluation.json, as
computed in the room evaluation, and say in words where a section has nothing to draw.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eosin.figures.canvas import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    PURPLE,
    QUIET,
    PathLike,
    canvas,
    dot,
    nothing,
    on_page,
    save,
    unit_square,
    with_interval,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Name, words, color, and whether the method is only there for comparison.
_METHODS = (
    ("isotonic", "isotonic", PURPLE, True),
    ("before", "before", ORANGE, False),
    ("temperature", "temperature", BLUE, False),
)
_DASHES = (0, (4, 4))


def reliability_figure(
    path: PathLike,
    methods: Mapping[str, Mapping[str, Any]],
    *,
    classes: int = 2,
    title: str = "Reliability",
    subtitle: str = "",
    marks: Sequence[str] = (),
) -> Path:
    """Observed over predicted shares in bins of equal mass, before and after calibration.

    methods: "methods" of the section calibration (``calibration.measure_calibration``), any of
    before, temperature and isotonic; classes: with more than two the axes are the largest
    probability and the share called right. Ticks at the bottom are the bins of the last method.
    """
    drawn = [
        (methods[name], words, color, faint)
        for name, words, color, faint in _METHODS
        if name in methods and methods[name]["bins"]
    ]
    figure, (axes,) = canvas(title, subtitle, marks=marks, height_in=7.4, head_in=_room(len(drawn)))
    if not drawn:
        whys = [str(each["note"]) for each in methods.values() if each.get("note")]
        nothing(axes, _sentence(whys[0] if whys else "", "No probabilities to hold to account."))
        return save(figure, path)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1.2, linestyle=_DASHES, zorder=1)
    for method, words, color, faint in drawn:
        rows = method["bins"]
        x, y, low, high = (
            _floats([row[key] for row in rows]) for key in ("predicted", "observed", "low", "high")
        )
        if not faint:
            # Bars overlap where two methods are drawn: those before calibration stay behind.
            strong = method is drawn[-1][0]
            axes.vlines(
                x, low, high, linewidth=1.8, color=color, alpha=0.75 if strong else 0.35, zorder=3
            )
        axes.plot(
            x,
            y,
            marker=None if faint else "o",
            markersize=5.5,
            markeredgecolor=PAPER,
            markeredgewidth=0.8,
            linewidth=1.6 if faint else 2.0,
            color=color,
            alpha=0.4 if faint else 1.0,
            zorder=2 if faint else 3,
            label=with_interval(f"{words}: ECE", method["ece"]),
        )
    last = drawn[-1][0]
    axes.vlines(
        [row["predicted"] for row in last["bins"]], 0, 0.028, color=INK, linewidth=1.0, alpha=0.55
    )
    if last.get("ece_by_chance") is not None:
        axes.text(
            0.98,
            0.05,
            f"by chance alone ECE would be {last['ece_by_chance']:.3f}\n"
            f"ticks: the {_bins(last['bins'])}",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            color=QUIET,
            fontsize=_small(),
            linespacing=1.4,
        )
    if classes > 2:
        axes.set(xlabel="Probability of the class called", ylabel="Share called right")
    else:
        axes.set(xlabel="Predicted probability of positive", ylabel="Observed share of positives")
    unit_square(axes)
    _key(axes)
    return save(figure, path)


def decision_curve_figure(
    path: PathLike,
    curve: Mapping[str, Any],
    *,
    title: str = "Decision curve",
    subtitle: str = "",
    marks: Sequence[str] = (),
) -> Path:
    """Net benefit over threshold probability, against calling every patch positive or none.

    curve: the section decision_curve (``benefit.decision_curve``). Under each threshold stands how
    many false alarms a missed positive then weighs; the green line marks where the model is best.
    """
    figure, (axes,) = canvas(
        title, subtitle, marks=marks, height_in=6.9, foot_in=1.12, head_in=_room(2)
    )
    at = _floats(curve.get("thresholds") or [])
    if not len(at):
        nothing(axes, _sentence(curve.get("note") or "", "No curve."))
        return save(figure, path)
    model, everyone, low, high = (
        _floats(curve[key]) for key in ("model", "treat_all", "low", "high")
    )
    # Both curves fall without end at high thresholds; what matters lies above 0.
    top = 1.06 * float(np.nanmax([model.max(), everyone.max(), 0.02, *high]))
    floor = -0.22 * top
    axes.axhline(0, color=QUIET, linewidth=1.6, label="calling none positive", zorder=2)
    axes.plot(
        at,
        everyone,
        color=ORANGE,
        linewidth=2.0,
        linestyle=(0, (5, 2)),
        label="calling all positive",
        zorder=2,
    )
    if np.isfinite(low).any():
        axes.fill_between(at, low, high, color=BLUE, alpha=0.16, linewidth=0)
    axes.plot(at, model, color=BLUE, linewidth=2.4, label="the model", zorder=3)
    for number, (first, last) in enumerate(curve["useful"]):
        axes.plot(
            # A single threshold is a range as wide as the step between two.
            [first - 0.005, last + 0.005],
            [floor * 0.93] * 2,
            color=GREEN,
            linewidth=5,
            solid_capstyle="butt",
            label=None if number else "the model is best",
            zorder=3,
        )
    axes.set(
        xlim=(0, 1),
        ylim=(floor, top),
        xlabel="Threshold probability, and below it\nthe false alarms a missed positive weighs",
        ylabel="Net benefit a patch",
    )
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= top])
    ticks = (0.1, 0.25, 0.5, 0.75, 0.9)
    axes.set_xticks(ticks, [f"{t:g}\n{_weight(t)}" for t in ticks])
    _key(axes, columns=2)
    return save(figure, path)


def risk_coverage_figure(
    path: PathLike,
    referral: Mapping[str, Any],
    *,
    title: str = "Risk and coverage",
    subtitle: str = "",
    marks: Sequence[str] = (),
) -> Path:
    """Error among automatic decisions over the share of patches decided automatically.

    referral: the section referral: level, confidence, band, achieved, curve and note. The promised
    level is a line, what the chosen band achieved is a point; without a band the figure says so.
    """
    figure, (axes,) = canvas(title, subtitle, marks=marks, height_in=6.8, head_in=_room(2))
    curve = referral.get("curve") or {}
    coverage, risk, low, high = (
        _floats(curve.get(key) or []) for key in ("coverage", "risk", "low", "high")
    )
    known = np.isfinite(risk) if len(risk) == len(coverage) else np.zeros(0, bool)
    if not known.any():
        nothing(axes, _sentence(referral.get("note") or "", "No curve."))
        return save(figure, path)
    level = referral.get("level")
    tops = [float(np.nanmax(risk)), *([1.1 * float(level)] if level is not None else [])]
    name = "error"
    if len(high) == len(coverage) and np.isfinite(high).any():
        axes.fill_between(coverage, low, high, color=BLUE, alpha=0.16, linewidth=0)
        name = "error, with its interval"
        # A few decisions make a wide band at the left; it may be cut off there.
        tops.append(float(np.nanquantile(high, 0.9)))
    axes.plot(coverage, risk, color=BLUE, linewidth=2.4, label=name, zorder=3)
    if level is not None:
        said = f"promised: at most {level:.3g}"
        if referral.get("confidence") is not None:
            said += f", confidence {referral['confidence']:.2g}"
        axes.axhline(level, color=GREEN, linewidth=1.8, linestyle=(0, (6, 3)), label=said, zorder=2)
    top = min(1.0, 1.25 * max(*tops, 0.01))
    axes.set(
        xlim=(0, 1.01),
        ylim=(0, top),
        xlabel="Coverage: share decided automatically",
        ylabel="Error among these",
    )
    # Few ticks, so that their labels are short enough for a page.
    axes.locator_params(axis="y", nbins=5)
    _mark_achieved(axes, referral, top)
    _key(axes)
    return save(figure, path)


def _mark_achieved(axes: Axes, referral: Mapping[str, Any], top: float) -> None:
    if referral.get("band") is None:
        axes.text(
            # Errors rise to the right: the upper left is free.
            0.03,
            0.95,
            "no band could be promised:\nnothing is referred to a person",
            transform=axes.transAxes,
            ha="left",
            va="top",
            color="#a8481a",
            fontsize=11 if on_page() else 12,
            fontweight="bold",
        )
        return
    achieved = referral.get("achieved") or {}
    x, y = ((achieved.get(key) or {}).get("value") for key in ("coverage", "error"))
    if x is None or y is None:
        return
    dot(axes, (x, y), "")
    # Errors rise to the right, so what lies above and left of the curve is free.
    high = y > 0.8 * top
    axes.annotate(
        f"achieved: error {y:.3f}\nat coverage {x:.3f}",
        (x, y),
        xytext=(-14 if x > 0.5 else 14, 0 if high else 14),
        textcoords="offset points",
        ha="right" if x > 0.5 else "left",
        va="center" if high else "bottom",
        color="#a8481a",
        fontsize=10.5,
        linespacing=1.35,
        bbox={"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 1},
    )


def _floats(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """None becomes NaN."""
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _small() -> float:
    return 9.0 if on_page() else 10.5


def _room(rows: int) -> float:
    """Inches above the axes for so many rows of ``_key``."""
    return 0.12 + 0.22 * rows


def _key(axes: Axes, *, columns: int = 1) -> None:
    """Names of the series above the axes, where they hide nothing, comparisons last."""
    handles, names = axes.get_legend_handles_labels()
    # What is drawn first lies behind, so a comparison is drawn first; it is read last.
    order = sorted(range(len(names)), key=lambda k: names[k].startswith("isotonic"))
    axes.legend(
        [handles[k] for k in order],
        [names[k] for k in order],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        frameon=False,
        labelcolor=INK,
        fontsize=_small(),
        handlelength=1.6,
        columnspacing=1.4,
        borderaxespad=0.1,
        borderpad=0.2,
    )


def _weight(threshold: float) -> str:
    """How many false alarms a missed positive weighs at a threshold probability.

    >>> [_weight(t) for t in (0.1, 0.25, 0.75)]
    ['9', '3', '1/3']
    """
    odds = (1 - threshold) / threshold
    return f"{odds:.0f}" if odds >= 1 else f"1/{1 / odds:.0f}"


def _bins(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many patches each bin holds, in words."""
    if len(rows) == 1:
        return f"one bin, of {rows[0]['n']:,} patches"
    least, most = (f(row["n"] for row in rows) for f in (min, max))
    size = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"{len(rows)} bins, of {size} patches"


def _sentence(text: str, otherwise: str) -> str:
    """A note as a sentence in lines that fit the axes."""
    said = f"{text[0].upper()}{text[1:].rstrip('.')}." if text else otherwise
    return textwrap.fill(said, 34 if on_page() else 56)
