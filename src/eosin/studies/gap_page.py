"""The leakage gap in words: one sentence, and a page in Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from eosin.evaluation.definitions import NAMES
from eosin.studies import markdown


def sentence(result: Mapping[str, Any], recipe: str) -> str:
    """What the network's gap shows, no more.

    result: gap.json, with "methods", "figures", "seeds", "n_patches" and "n_cases".
    """
    figure = result["figures"][0]
    values = result["methods"]["network"]["differences"][figure]
    seeds = len(result["seeds"])
    on = (
        f"On {result['n_patches']:,} patches of {result['n_cases']:,} cases, with "
        f"{seeds} seed{'s' * (seeds > 1)} and splits of equal size,"
    )
    if values["value"] is None:
        return f"{on} the gap of {recipe} has no value: {values['note']}."
    side = "higher" if values["value"] >= 0 else "lower"
    name = NAMES[figure]
    text = (
        f"{on} {recipe} tested on a patch-random split shows {'an' if name[0] == 'A' else 'a'} "
        f"{name} {abs(values['value']):.3f} {side} than on a case-disjoint one"
    )
    if values["low"] is None:
        return f"{text}; there is no interval ({values['note']}), so nothing more can be concluded."
    low, high = values["low"], values["high"]
    if values["value"] < 0:
        low, high = -high, -low
    shown = f"(95 % interval {low:.3f} to {high:.3f})"
    if values["low"] <= 0 <= values["high"]:
        return (
            f"{text} {shown}: the interval includes 0, so these runs do not show that the "
            "patch-random split is too optimistic for this recipe."
        )
    if values["value"] > 0:
        return (
            f"{text} {shown}: about this much of the patch-random figure comes from having seen "
            "other patches of the same cases, and is lost on new cases."
        )
    return f"{text} {shown}: the patch-random split is not the more optimistic one here."


def page(result: Mapping[str, Any]) -> str:
    """The page: what was done, the table, the sentence, the limits, how to repeat it."""
    parts = ("train", "val", "test")
    sizes = [[f"{row[key]:,}" for key in ("seed", *parts)] for row in result["sizes"]]
    text = markdown.rendered(
        "gap.md.j2",
        result=result,
        sizes=markdown.table(["seed", "train", "validation", "test"], sizes, words=0),
        tables=[line for figure in result["figures"] for line in _table(result, figure)],
        command=command(result),
    )
    return markdown.page("The leakage gap", result, [text])


def command(result: Mapping[str, Any]) -> str:
    """The command that was used, without the folders of the machine it ran on."""
    words = shlex.split(result["command"])
    return shlex.join(w.rstrip("/").rpartition("/")[2] if w.startswith("/") else w for w in words)


def _table(result: Mapping[str, Any], figure: str) -> list[str]:
    """One figure: a row a method and seed, then the mean difference with its interval."""
    rows = []
    for method, values in result["methods"].items():
        label = method.replace("_", " ")
        for row in values["per_seed"]:
            pair = [
                markdown.number(row[figure][side]) for side in ("case_disjoint", "patch_random")
            ]
            difference = markdown.number(row[figure]["difference"], "+")
            rows.append([label, row["seed"], *pair, difference])
        mean = markdown.with_span(values["differences"][figure], "+")
        rows.append([f"**{label}**", "mean", "", "", f"**{mean}**"])
    title = f"### {NAMES[figure][0].upper()}{NAMES[figure][1:]}"
    columns = ["method", "seed", "case-disjoint", "patch-random", "difference"]
    return [title, "", *markdown.table(columns, rows)]
