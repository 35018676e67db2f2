"""Figures of a search: its history, which settings decide, and parallel coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eosin.figures.canvas import BLUE, INK, ORANGE, PAPER, QUIET, canvas, legend, save
from eosin.search.outcome import ENOUGH_FOR_IMPORTANCE, best_of, complete, running_best
from eosin.search.plan import SearchPlan
from eosin.search.space import Dimension, shown
from eosin.search.storage import Row

_GRAY = "#8b95a3"


def history(
    path: Path, plan: SearchPlan, rows: Sequence[Row], *, marks: Sequence[str] = ()
) -> Path:
    """Value by trial: complete, pruned (at its last epoch) and failed, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    words = f"{plan.words[0].upper()}{plan.words[1:]}"
    numbers = {
        state: [row.number for row in rows if row.state == state]
        for state in ("complete", "pruned", "failed")
    }
    counts = ", ".join(f"{len(n)} {state}" for state, n in numbers.items() if n)
    figure, (axes,) = canvas(
        f"{words} by trial",
        f"{len(rows)} trials: {counts}. Picked on validation, so the best is too good",
        marks=marks, width_in=8.6, height_in=5.1, head_in=0.6,
    )  # fmt: skip
    values, failed, last = complete(rows), numbers["failed"], max(row.number for row in rows)
    pruned = {r.number: r.value for r in rows if r.state == "pruned" and r.value is not None}
    low, high = _limits([*(values or pruned).values()])
    dots: dict[str, Any] = {"markeredgecolor": PAPER, "markeredgewidth": 1.2, "linestyle": "none"}
    if values:
        steps = running_best(rows, plan)
        axes.step(
            *zip(*steps, (last + 0.4, steps[-1][1]), strict=True),
            where="post", color=BLUE, linewidth=1.8, alpha=0.55, label="best so far",
        )  # fmt: skip
        axes.plot(
            [*values], [*values.values()], "o", color=BLUE, markersize=9, label="complete", **dots
        )
    if pruned:
        # Values far below are drawn at the edge: their exact place does not matter.
        at = [min(max(value, low), high) for value in pruned.values()]
        cut = at != [*pruned.values()]
        axes.plot(
            [*pruned], at, "v", color=_GRAY, markersize=8.5,
            label="pruned (beyond the scale: at its edge)" if cut else "pruned, at its last epoch",
            **dots,
        )  # fmt: skip
    if failed:
        axes.plot(
            failed, [low] * len(failed), "x", color=ORANGE, markersize=8,
            markeredgewidth=2, linestyle="none", label="failed", clip_on=False, zorder=4,
        )  # fmt: skip
    if 0 in values:
        axes.axhline(values[0], color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            "the recipe as given", (1, values[0]), xycoords=("axes fraction", "data"),
            xytext=(-2, -4), textcoords="offset points", ha="right", va="top", color=QUIET,
            fontsize=9.6,
        )  # fmt: skip
    best = best_of(rows, plan)
    if best is not None and best.value is not None:
        axes.plot(best.number, best.value, "o", color=ORANGE, markersize=11, zorder=5, **dots)
        axes.annotate(
            f"trial {best.number}: {best.value:.4f}", (best.number, best.value), xytext=(0, 11),
            textcoords="offset points", ha="center", va="bottom", color="#a8481a", fontsize=10.5,
            zorder=6,
        )  # fmt: skip
    room = 0.13 * (high - low)
    axes.set(xlabel="Trial", ylabel=words)
    axes.set(xlim=(-0.6, last + 0.6), ylim=(low - 0.4 * room, high + room))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=14))
    legend(axes, above=True)
    return save(figure, path)


def importance_bars(
    path: Path, shares: Mapping[str, float], *, rows: Sequence[Row], marks: Sequence[str] = ()
) -> Path:
    """Share of the spread between complete trials that each key explains, longest first."""
    names, count = list(shares), len(complete(rows))
    widest = max(map(len, names))
    hint = "" if count >= ENOUGH_FOR_IMPORTANCE else "; so few trials give a hint at most"
    figure, (axes,) = canvas(
        "Which settings decide",
        f"fANOVA over {count} complete trials{hint}",
        marks=marks, width_in=7.6, height_in=1.5 + 0.46 * len(names),
        side_in=0.5 + 0.098 * widest,
    )  # fmt: skip
    places = np.arange(len(names))[::-1]
    values = np.array([shares[name] for name in names])
    axes.barh(places, values, height=0.62, color=BLUE, zorder=2)
    for place, value in zip(places, values, strict=True):
        axes.text(
            value + 0.012, place, f"{value:.0%}", va="center", ha="left", color=INK, fontsize=10.5
        )
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", colors=INK, length=0)
    axes.grid(False, axis="y")
    axes.set(xlabel="Share of the spread explained", xlim=(0, min(1.12, values.max() * 1.18)))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    return save(figure, path)


def parallel(
    path: Path, plan: SearchPlan, rows: Sequence[Row], *, marks: Sequence[str] = ()
) -> Path:
    """A line for each trial through its settings to its value; the best on top."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    done = [row for row in rows if row.number in complete(rows)]
    known = [d for d in plan.space if all(d.key in row.values for row in done)]
    words = plan.words
    figure, (axes,) = canvas(
        "The settings tried, and their results",
        f"{len(done)} complete trials; the darker a line the better its {words}",
        marks=marks, width_in=max(7.6, 1.75 * (len(known) + 1) + 1.6), height_in=5.4,
        side_in=0.75, foot_in=0.62, head_in=0.5,
    )  # fmt: skip
    values = np.array([row.value for row in done], float)
    low, high = _limits(values.tolist())
    best = best_of(rows, plan)
    # From pale to the house blue; the palest must still be seen on paper.
    colors = LinearSegmentedColormap.from_list("trials", ["#c9d7e6", BLUE])
    rank = np.argsort(np.argsort(values if plan.higher_is_better else -values, kind="stable"))
    scale = Normalize(0, max(1, len(values) - 1))
    columns = [*range(len(known) + 1)]
    for k in np.argsort(rank):
        row = done[int(k)]
        heights = [_height(d, row.values[d.key]) for d in known]
        heights.append((float(values[k]) - low) / (high - low))
        top = best is not None and row.number == best.number
        own = row.number == 0
        axes.plot(
            columns, heights, color=ORANGE if top else INK if own else colors(scale(rank[k])),
            linewidth=2.8 if top else 1.7, linestyle=(0, (3, 2)) if own and not top else "-",
            zorder=5 if top else 4 if own else 2, solid_joinstyle="round", clip_on=False,
            label=f"best: trial {row.number}" if top else "the recipe as given" if own else None,
        )  # fmt: skip
    middle = (low + high) / 2
    ends = [((at - low) / (high - low), f"{at:.3f}") for at in (low, middle, high)]
    for column, texts in enumerate([*map(_axis_marks, known), ends]):
        axes.plot([column] * 2, [0, 1], color=_GRAY, linewidth=1.2, zorder=3)
        for place, text in texts:
            axes.text(column + 0.04, place, text, va="center", color=INK, fontsize=9.6,
                      bbox=_PATCH, zorder=6)  # fmt: skip
    axes.set(xlim=(-0.12, len(known) + 0.36), ylim=(-0.04, 1.04))
    axes.set_xticks(columns, [*(_folded(d.key) for d in known), _folded(words)])
    axes.tick_params(axis="x", colors=INK, length=0, pad=8)
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        legend(axes, above=True)
    return save(figure, path)


_PATCH: dict[str, Any] = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.78, "pad": 1.2}


def _axis_marks(dimension: Dimension) -> list[tuple[float, str]]:
    """Place and text on one upright axis: its ends (and middle), or its choices."""
    if dimension.kind == "choice":
        return [(dimension.place(choice), shown(choice)) for choice in dimension.choices]
    low, high = dimension.low, dimension.high
    middle = (low * high) ** 0.5 if dimension.log else (low + high) / 2
    return [(0.0, f"{low:.3g}"), (0.5, f"{middle:.2g}"), (1.0, f"{high:.3g}")]


def _height(dimension: Dimension, value: Any) -> float:
    """Between 0 and 1; the recipe's own value may be outside the range, shown at its edge."""
    if dimension.kind == "choice" and not dimension.holds(value):
        return 0.0
    if dimension.log and (not isinstance(value, int | float) or value <= 0):
        return 0.0
    return min(1.0, max(0.0, dimension.place(value))) if value is not None else 0.0


def _folded(name: str) -> str:
    """A key in two lines where it is long, broken at a dot, blank or underscore."""
    breaks = [k for k, letter in enumerate(name) if letter in "._ "]
    if len(name) <= 14 or not breaks:
        return name
    at = min(breaks, key=lambda k: abs(k - len(name) / 2))
    return f"{name[: at + 1]}\n{name[at + 1 :]}"


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest value, apart; one wild trial does not press the others together."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    return (low, high) if high - low > 1e-9 else (low - 0.01, high + 0.01)
