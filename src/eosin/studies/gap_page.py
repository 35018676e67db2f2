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
    text = (
        f"{on} {recipe} tested on a patch-random split shows {_article(figure)} "
        f"{NAMES[figure]} "
        f"{abs(values['value']):.3f} {side} than on a case-disjoint one"
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


def _article(figure: str) -> str:
    return "an" if NAMES[figure].startswith("A") else "a"


def page(result: Mapping[str, Any]) -> str:
    """The page: what was done, the table, the sentence, the limits, how to repeat it."""
    recipe = result["recipe"]
    sizes = [
        [f"{row[key]:,}" for key in ("seed", "train", "val", "test")] for row in result["sizes"]
    ]
    chosen = "Thresholds were chosen on validation. " if len(result["classes"]) == 2 else ""
    lines = [
        *markdown.paragraphs([result["sentence"], "![Pairs of test figures](gap.png)"]),
        "## What was done",
        "",
        f"For each of {len(result['seeds'])} seeds the store ({result['n_patches']:,} patches of "
        f"{result['n_cases']:,} cases) was split twice: by whole cases, and by patches drawn "
        "at random, cut so that training, validation and test have exactly as many patches as "
        f"under the first. The same recipe (`{recipe['name']}`, "
        f"{recipe['epochs']} epochs) was trained on both with the same seed. "
        f"{chosen}Two methods without a network were fitted on the same parts: "
        "color alone (logistic regression on color histograms) and nearest neighbors, which shows "
        "the leak without any training.",
        "",
        *markdown.table(["seed", "train", "validation", "test"], sizes, words=0),
        "## Results",
        "",
        *(line for figure in result["figures"] for line in _table(result, figure)),
        "## How to read it",
        "",
        f"The {100 * result['interval']['level']:.0f} % interval is a "
        f"{result['interval']['method']} ({result['interval']['replicates']:,} replicates). Test "
        "parts share cases between seeds "
        "and between the two splits, which the drawing ignores: that makes it rather too wide. "
        "Few seeds show too little of the spread between seeds: that makes it rather too narrow, "
        "so the tables list each seed's own difference. The two test parts are different "
        "patches; part of a single seed's difference is which cases fell into its test part. "
        "Average precision depends on the share of positives as well, which the two parts do not "
        "have in common.",
        "",
        "The case-disjoint figure is the one that speaks about new cases. Nothing ties a case to "
        "a patient, so even it may be somewhat too good. The gap depends on the store, the recipe "
        "and how long it trains: a network that memorizes more gains more from a leak.",
        "",
        "## How to repeat it",
        "",
        "```",
        command(result),
        "```",
        "",
        f"Store `{str(result['store']['digest'])[:12]}`, eosin "
        f"{result['environment']['eosin']}, torch "
        f"{result['environment']['packages'].get('torch', '?')}, "
        f"{result['environment']['machine'].get('processor', '?')}.",
    ]
    return markdown.page("The leakage gap", result, lines)


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
