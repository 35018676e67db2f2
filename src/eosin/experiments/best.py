"""The best run by a figure, among runs measured on the same patches, and what that shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from eosin.errors import UserError, closest
from eosin.evaluation.definitions import NAMES
from eosin.experiments.rows import FIGURES, RunRow
from eosin.experiments.select import SHORT

#: Runs of a group that are listed.
_LISTED = 10
_WORDS = {**NAMES, "precision": "precision"}
_PARTS = {"test": "test part", "val": "validation part", "all": "all of another store"}


def checked_figure(name: str) -> str:
    """A figure with an interval by its name; raises UserError that lists the closest.

    >>> checked_figure("AP")
    'average_precision'
    """
    key = SHORT.get(name.strip().lower(), name.strip().lower())
    if key not in FIGURES:
        raise UserError(f"--best: unknown figure {name!r}; {closest(key, FIGURES)}")
    return key


def best_runs(rows: Sequence[RunRow], figure: str) -> dict[str, Any]:
    """The best run by a figure, for each set of patches that runs were measured on.

    Runs of different patches are not ranked together. Every group has its sentences: the best with
    its interval, whether the second differs from it, and that choosing makes a figure too good.
    Raises UserError where no run has the figure.
    """
    groups: dict[str, list[RunRow]] = {}
    for row in rows:
        if row.measured is not None and _value(row, figure) is not None:
            groups.setdefault(row.measured, []).append(row)
    if not groups:
        raise UserError(
            f"no run here has {_WORDS[figure]}; measure one with: eosin evaluate RUN"
            if rows
            else "there are no runs to choose from"
        )
    result = [_group(group, figure) for group in groups.values()]
    result.sort(key=lambda group: (-group["runs"], group["best"]["name"]))
    notes = []
    if len(result) > 1:
        notes.append(
            f"The runs were measured on {len(result)} different sets of patches; figures of "
            "different patches do not show which run is better, so each set has its own best."
        )
    if left_out := len(rows) - sum(group["runs"] for group in result):
        has, are = ("run has", "is") if left_out == 1 else ("runs have", "are")
        notes.append(f"{left_out} {has} no {_WORDS[figure]} and {are} left out.")
    return {"figure": figure, "groups": result, "notes": notes}


def _value(row: RunRow, figure: str) -> float | None:
    return (row.figures.get(figure) or {}).get("value")


def _group(rows: Sequence[RunRow], figure: str) -> dict[str, Any]:
    sign = 1 if figure == "brier" else -1
    ranked = sorted(rows, key=lambda row: (sign * (_value(row, figure) or 0.0), row.name))
    best = ranked[0]
    cases = f" of {best.n_cases:,} cases" if best.n_cases else ""
    where = f"{_PARTS.get(best.part or '', best.part)}, {best.n_patches:,} patches{cases}"
    return {
        "runs": len(ranked),
        "measured_on": where,
        "store": best.value("store"),
        "best": _entry(best, figure),
        "ranking": [_entry(row, figure) for row in ranked[:_LISTED]],
        "told_apart": _apart(best, ranked[1], figure) if len(ranked) > 1 else None,
        "sentences": _sentences(ranked, figure, where),
    }


def _entry(row: RunRow, figure: str) -> dict[str, Any]:
    figures, marks = row.figures[figure], list(row.marks)
    return {"name": row.name, "path": str(row.path), **figures, "marks": marks}


def _apart(best: RunRow, second: RunRow, figure: str) -> bool | None:
    """Whether the two intervals do not overlap; None where one has no interval."""
    ends = [row.figures[figure][end] for row in (best, second) for end in ("low", "high")]
    low, high, other_low, other_high = (math.nan if end is None else end for end in ends)
    if None in ends:
        return None
    return low > other_high or high < other_low


def _sentences(ranked: Sequence[RunRow], figure: str, where: str) -> list[str]:
    best, words = ranked[0], _WORDS[figure]
    texts = [f"The only run measured there is {best.name}: {words} {_span(best, figure)}."]
    if len(ranked) > 1:
        second = ranked[1]
        difference = {
            None: "without intervals nothing is known about the difference",
            True: "the intervals do not overlap. The difference with its interval",
            False: "the intervals overlap, so these figures do not show that the best is better. "
            "Both are of the same patches, and the difference between them is sharper",
        }[_apart(best, second, figure)]
        texts = [
            f"Best of {len(ranked)} by {words}: {best.name}, {_span(best, figure)} ({where}).",
            f"The second, {second.name}, has {_span(second, figure)}; {difference}: "
            f"eosin compare {best.path} {second.path}",
            f"It was chosen as the best of {len(ranked)} on the same patches that its figure is "
            "of, so the figure is somewhat too good; measure it once on cases that had no part "
            "in the choice.",
        ]
    if best.part == "val":
        texts.append("These are validation patches: thresholds were chosen on them as well.")
    if best.marks:
        texts.append(f"Its outputs are marked: {'; '.join(best.marks)}")
    return texts


def _span(row: RunRow, figure: str) -> str:
    result = row.figures[figure]
    if result["low"] is None or result["high"] is None:
        return f"{result['value']:.4f} (no interval)"
    return f"{result['value']:.4f} ({result['low']:.4f} to {result['high']:.4f})"
