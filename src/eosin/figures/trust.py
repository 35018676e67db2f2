"""Figures on trusting a model: reliability, decision curve, risk over coverage.

They draw the sections calibration, decision_curve and referral of an evaluation, as computed in
the room trust, and write why where a section has nothing to draw.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt

from eosin.figures.canvas import (
    BLUE,
    DASHES,
    GREEN,
    INK,
    ORANGE,
    ORANGE_INK,
    PAPER,
    PURPLE,
    QUIET,
    Heading,
    Look,
    PathLike,
    beside,
    canvas,
    dot,
    note,
    nothing,
    on_page,
    save,
    unit_square,
    with_interval,
)
from eosin.records.referral import Referral
from eosin.records.trust import Bin, Calibration, DecisionCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Method -> color, and whether it is only there for comparison.
_METHODS = {"isotonic": (PURPLE, True), "before": (ORANGE, False), "temperature": (BLUE, False)}


def reliability_figure(
    path: PathLike, calibration: Calibration, *, classes: int = 2, **heading: Unpack[Heading]
) -> Path:
    """Observed over predicted shares in bins of equal mass, before and after calibration.

    calibration: with any of the methods before, temperature and isotonic; classes: with more than
    two the axes are the largest probability and the share called right. Ticks at the bottom are
    the bins of the last method.
    """
    methods = calibration.methods
    drawn = [name for name in _METHODS if name in methods and methods[name].bins]
    room = _room(len(drawn))
    figure, (axes,) = canvas("Reliability", **heading, height_in=7.4, head_in=room)
    if not drawn:
        why = next((each.note for each in methods.values() if each.note), "")
        nothing(axes, _sentence(why, "No probabilities to hold to account."))
        return save(figure, path)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1.2, linestyle=DASHES, zorder=1)
    for name in drawn:
        color, faint = _METHODS[name]
        bins = methods[name].bins
        x, y, low, high = (
            _floats(getattr(each, key) for each in bins)
            for key in ("predicted", "observed", "low", "high")
        )
        look: Look = {"linewidth": 1.6, "alpha": 0.4, "zorder": 2}
        if not faint:
            # Bars overlap where two methods are drawn: those before calibration stay behind.
            strong = 0.75 if name == drawn[-1] else 0.35
            axes.vlines(x, low, high, linewidth=1.8, color=color, alpha=strong, zorder=3)
            look = {"marker": "o", "markersize": 5.5, "markeredgecolor": PAPER, "zorder": 3}
            look |= {"markeredgewidth": 0.8, "linewidth": 2.0}
        label = with_interval(f"{name}: ECE", methods[name].ece)
        axes.plot(x, y, color=color, label=label, **look)
    last = methods[drawn[-1]]
    ticks = _floats(each.predicted for each in last.bins)
    axes.vlines(ticks, 0, 0.028, color=INK, linewidth=1.0, alpha=0.55)
    if last.ece_by_chance is not None:
        text = (
            f"by chance alone ECE would be {last.ece_by_chance:.3f}\nticks: the {_bins(last.bins)}"
        )
        look = {"ha": "right", "va": "bottom", "linespacing": 1.4, "fontsize": _small()}
        note(axes, 0.98, 0.05, text, **look)
    if classes > 2:
        axes.set(xlabel="Probability of the class called", ylabel="Share called right")
    else:
        axes.set(xlabel="Predicted probability of positive", ylabel="Observed share of positives")
    unit_square(axes)
    _key(axes)
    return save(figure, path)


def decision_curve_figure(path: PathLike, curve: DecisionCurve, **heading: Unpack[Heading]) -> Path:
    """Net benefit over threshold probability, against calling every patch positive or none.

    Under each threshold is written how many false alarms a missed positive then weighs; the green
    line marks where the model is best.
    """
    room: Look = {"foot_in": 1.12, "head_in": _room(2)}
    figure, (axes,) = canvas("Decision curve", **heading, height_in=6.9, **room)
    at = _floats(curve.thresholds)
    if not len(at):
        nothing(axes, _sentence(curve.note, "No curve."))
        return save(figure, path)
    model, everyone, low, high = map(_floats, (curve.model, curve.treat_all, curve.low, curve.high))
    # Both curves fall without end at high thresholds; what matters is above 0.
    top = 1.06 * float(np.nanmax([model.max(), everyone.max(), 0.02, *high]))
    floor = -0.22 * top
    axes.axhline(0, color=QUIET, linewidth=1.6, label="calling none positive", zorder=2)
    look: Look = {"linewidth": 2.0, "linestyle": (0, (5, 2)), "zorder": 2}
    axes.plot(at, everyone, color=ORANGE, label="calling all positive", **look)
    if np.isfinite(low).any():
        axes.fill_between(at, low, high, color=BLUE, alpha=0.16, linewidth=0)
    axes.plot(at, model, color=BLUE, linewidth=2.4, label="the model", zorder=3)
    for number, (first, last) in enumerate(curve.useful):
        # A single threshold is a range as wide as the step between two.
        ends = [first - 0.005, last + 0.005]
        look = {"linewidth": 5, "solid_capstyle": "butt", "zorder": 3}
        name = None if number else "the model is best"
        axes.plot(ends, [floor * 0.93] * 2, color=GREEN, label=name, **look)
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


def risk_coverage_figure(path: PathLike, referral: Referral, **heading: Unpack[Heading]) -> Path:
    """Error among automatic decisions over the share of patches decided automatically.

    The promised level is a line, what the chosen band achieved is a point; without a band the
    figure says so.
    """
    figure, (axes,) = canvas("Risk and coverage", **heading, height_in=6.8, head_in=_room(2))
    curve, level = referral.curve, referral.level
    coverage, risk, low, high = map(_floats, (curve.coverage, curve.risk, curve.low, curve.high))
    if len(risk) != len(coverage) or not np.isfinite(risk).any():
        nothing(axes, _sentence(referral.note, "No curve."))
        return save(figure, path)
    tops = [float(np.nanmax(risk)), *([1.1 * level] if level is not None else [])]
    name = "error"
    if len(high) == len(coverage) and np.isfinite(high).any():
        axes.fill_between(coverage, low, high, color=BLUE, alpha=0.16, linewidth=0)
        name = "error, with its interval"
        # A few decisions make a wide band at the left; it may be cut off there.
        tops.append(float(np.nanquantile(high, 0.9)))
    axes.plot(coverage, risk, color=BLUE, linewidth=2.4, label=name, zorder=3)
    if level is not None:
        promise = f"promised: at most {level:.3g}"
        if referral.confidence is not None:
            promise += f", confidence {referral.confidence:.2g}"
        look: Look = {"linewidth": 1.8, "linestyle": (0, (6, 3)), "zorder": 2}
        axes.axhline(level, color=GREEN, label=promise, **look)
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


def _mark_achieved(axes: Axes, referral: Referral, top: float) -> None:
    if referral.band is None:
        # Errors rise to the right: the upper left is free.
        text = "no referral band could be set:\nall patches are answered"
        size = 11 if on_page() else 12
        look = {"va": "top", "color": ORANGE_INK, "fontsize": size, "fontweight": "bold"}
        note(axes, 0.03, 0.95, text, **look)
        return
    x, y = referral.achieved.coverage.value, referral.achieved.error.value
    if x is None or y is None:
        return
    dot(axes, (x, y))
    # Errors rise to the right, so what is above and left of the curve is free.
    high, right = y > 0.8 * top, x > 0.5
    text = f"achieved: error {y:.3f}\nat coverage {x:.3f}"
    sides = {"ha": "right" if right else "left", "va": "center" if high else "bottom"}
    ground = {"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 1}
    beside(axes, (x, y), text, (-14 if right else 14, 0 if high else 14), **sides, bbox=ground)


def _floats(values: Iterable[float | None]) -> npt.NDArray[np.float64]:
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
    # What is drawn first is behind, so a comparison is drawn first; it is read last.
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


def _bins(bins: Sequence[Bin]) -> str:
    """How many patches each bin has, in words."""
    least, most = (f(each.n for each in bins) for f in (min, max))
    if len(bins) == 1:
        return f"one bin, of {most:,} patches"
    size = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"{len(bins)} bins, of {size} patches"


def _sentence(text: str, otherwise: str) -> str:
    """A note as a sentence in lines that fit the axes."""
    sentence = f"{text[0].upper()}{text[1:].rstrip('.')}." if text else otherwise
    return textwrap.fill(sentence, 34 if on_page() else 56)
