"""What pruning gave, for people: sentences, a page in Markdown, and the curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eosin.evaluation.definitions import NAMES
from eosin.figures.canvas import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    PURPLE,
    QUIET,
    canvas,
    nothing,
    save,
)
from eosin.studies import markdown

Result = Mapping[str, Any]

COLUMNS = ("run", "parameters", "MB", "MFLOP a patch", "patches/s", "times as fast")


def headline(result: Result) -> str:
    """The figure that is shown first: AUROC, or its mean over classes."""
    return "auroc" if "auroc" in result["rows"][0]["figures"] else "macro_auroc"


def table_rows(result: Result) -> tuple[list[str], list[list[str]]]:
    """Column names and a row a size: cost, figures, and the paired difference of the first one."""
    key = headline(result)
    figures = [key, *(k for k in ("average_precision", "balanced_accuracy", "macro_f1")
                      if k in result["rows"][0]["figures"])]  # fmt: skip
    words = NAMES[key]
    columns = [*COLUMNS, f"{words} before retraining", *(NAMES[k] for k in figures),
               f"{words} less the original's"]  # fmt: skip
    rows = []
    for row in result["rows"]:
        before = (row["before_retraining"] or {"value": None})["value"]
        first, *others = (row["figures"][k] for k in figures)
        rows.append(
            [
                row["name"],
                f"{row['parameters']:,}",
                f"{row['megabytes']:.2f}",
                f"{row['mflop']:.1f}",
                f"{row['patches_per_second']:,.0f}",
                f"{row['times_as_fast']:.2f}",
                markdown.number(before),
                markdown.with_span(first),
                *(markdown.number(each["value"]) for each in others),
                markdown.with_span((row["differences"] or {}).get(key), "+"),
            ]
        )
    return columns, rows


def sentences(result: Result, compared: Sequence[str]) -> list[str]:
    """One for each size: what it saves, and what is shown of its quality; no more.

    compared: those of the comparison, in the order of the sizes.
    """
    original, *sizes = result["rows"]
    key = headline(result)
    texts = []
    for row, text in zip(sizes, compared, strict=True):
        share = row["parameters"] / original["parameters"]
        times = row["times_as_fast"]
        speed = f"{times:.2f} times as fast" if times >= 1 else f"slower ({times:.2f} of the speed)"
        texts.append(f"{row['name']} has {share:.0%} of the parameters and is {speed}. {text}")
        difference = (row["differences"] or {}).get(key) or {"low": None}
        if (low := difference["low"]) is not None and low < 0 <= difference["high"]:
            texts[-1] += (
                f" This does not prove that nothing was lost: {NAMES[key]} may be lower by "
                f"{-low:.3f}, the interval's end."
            )
    epochs = result["settings"]["epochs"]
    texts.append(
        f"Every size had {epochs} epoch{'s' * (epochs != 1)} of retraining from the original's "
        "weights, so the difference is that of the cut and the retraining together. The speed was "
        "measured here, as the median of five rounds in turn; other machines give other ratios."
    )
    return texts


def page(result: Result) -> str:
    """prune.md: sentences, table, curve and warnings."""
    columns, rows = table_rows(result)
    curve = "![Quality and cost by the share of channels kept](prune.png)"
    lines = [
        *markdown.paragraphs(result["sentences"]),
        *markdown.table(columns, rows),
        *markdown.paragraphs([curve]),
        *(f"- {text}" for text in result["warnings"]),
    ]
    return markdown.page("A run pruned", result, lines)


def cost_shares(rows: Sequence[Result]) -> dict[str, list[float]]:
    """Percent of the original's cost for every size; the rows start with the original.

    >>> row = {"parameters": 10, "mflop": 4, "times_as_fast": 1}
    >>> cost_shares([row, {**row, "parameters": 5, "times_as_fast": 2}])["time a patch, measured"]
    [100.0, 50.0]
    """
    first = rows[0]
    return {
        "parameters": [100 * row["parameters"] / first["parameters"] for row in rows],
        "operations a patch": [100 * row["mflop"] / first["mflop"] for row in rows],
        "time a patch, measured": [100 / row["times_as_fast"] for row in rows],
    }


def draw(path: Path, result: Result) -> Path:
    """prune.png: quality and cost by the share of channels that was kept.

    Left: the headline figure with its interval, the original's as a band. Right: parameters,
    operations and time a patch, in percent of the original's.
    """
    key, rows = headline(result), result["rows"]
    common = result["common"]
    cases = f" of {common['cases']:,} cases" if common["cases"] else ""
    part = {"test": "test", "val": "validation"}.get(result["part"], result["part"])
    figure, (left, right) = canvas(
        "What pruning costs, and what it saves",
        f"{common['patches']:,} {part} patches{cases} · {result['settings']['epochs']} epochs of "
        f"retraining · speed in {result['settings']['precision']}",
        marks=result["marks"],
        width_in=10.4,
        height_in=5.2,
        panels=2,
        head_in=0.3,
    )
    shown = [row for row in rows if row["figures"][key]["value"] is not None]
    if not shown:
        nothing(left, f"{NAMES[key]}: not defined here.")
    else:
        _quality(left, shown, key)
    _cost(right, rows)
    for axes in (left, right):
        axes.set_xlabel("Channels kept")
        axes.set_xlim(1.06, min(row["keep"] for row in rows) - 0.14)
        axes.set_xticks([row["keep"] for row in rows], [f"{row['keep']:.3g}" for row in rows])
    return save(figure, path)


def _quality(axes: Any, rows: Sequence[Result], key: str) -> None:
    first = rows[0]["figures"][key]
    if rows[0]["name"] == "original" and first["low"] is not None:
        axes.axhspan(first["low"], first["high"], color=BLUE, alpha=0.10, linewidth=0)
    axes.plot([r["keep"] for r in rows], [r["figures"][key]["value"] for r in rows], color=BLUE,
              linewidth=1.6, zorder=2)  # fmt: skip
    for row in rows:
        result = row["figures"][key]
        if result["low"] is not None:
            axes.plot([row["keep"]] * 2, [result["low"], result["high"]], color=BLUE, linewidth=2.2,
                      alpha=0.55, solid_capstyle="round")  # fmt: skip
        axes.plot(row["keep"], result["value"], "o", color=BLUE, markersize=9,
                  markeredgecolor=PAPER, markeredgewidth=1.3, zorder=3)  # fmt: skip
        axes.annotate(
            f"{result['value']:.3f}", (row["keep"], result["value"]), xytext=(9, 5),
            textcoords="offset points", color=INK, fontsize=10,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.8, "alpha": 0.8}, zorder=4,
        )  # fmt: skip
    words = NAMES[key]
    axes.set_ylabel(f"{words[0].upper()}{words[1:]}, 95 % interval")


def _cost(axes: Any, rows: Sequence[Result]) -> None:
    keeps = [row["keep"] for row in rows]
    colors = (ORANGE, PURPLE, GREEN)
    for (name, values), color in zip(cost_shares(rows).items(), colors, strict=True):
        axes.plot(keeps, values, "o-", color=color, linewidth=1.8,
                  markersize=7, markeredgecolor=PAPER, markeredgewidth=1.2, label=name)  # fmt: skip
    axes.axhline(100, color=QUIET, linewidth=1.0, linestyle=(0, (4, 4)), zorder=1)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("Percent of the original")
    axes.legend(loc="best", fontsize=10, framealpha=0.92, edgecolor="none", labelcolor=INK)
