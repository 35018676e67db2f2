"""`eosin gap`: how much too good a patch-random split makes the same recipe look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from eosin.cli import options, output, studies

if TYPE_CHECKING:
    from eosin.studies.study import StudyResult


def gap(
    store: options.Store,
    folder: options.NewStudy,
    recipe: options.Recipe = "compact",
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    settings: options.Settings = None,
    replicates: options.Replicates = 2000,
    allow_leaks: options.AllowLeaks = False,
    force: options.Restart = False,
    json_: options.Json = False,
) -> None:
    """Measure the leakage gap: one recipe under a patch-random and a case-disjoint split.

    The parts of both splits have equally many patches. Two runs a seed, and two methods without
    training beside them. After Ctrl-C or a crash, the same command resumes where it was. Writes
    gap.json, gap.png and the page gap.md.

    Options:
        seeds: Seeds of split and training: the recipe's and following.

    Example: eosin gap idc.store --recipe compact --seeds 3 --set epochs=3 -o gap
    """
    from eosin.config import read_recipe
    from eosin.data.store import PatchStore
    from eosin.studies.gap import gap as measure_gap

    chosen = read_recipe(recipe, settings or [])
    studies.show_study(
        lambda: measure_gap(
            PatchStore.open(store), chosen, folder, seeds=seeds, allow_leaks=allow_leaks,
            force=force, replicates=replicates, **studies.resumable(),
        ),
        _show,
        json_=json_,
    )  # fmt: skip


def _show(study: StudyResult) -> None:
    from eosin.evaluation.definitions import NAMES

    result = study.result
    rows = []
    for method, each in result["methods"].items():
        for name, difference in each["differences"].items():
            pairs = [row[name] for row in each["per_seed"]]
            means = []
            for side in ("case_disjoint", "patch_random"):
                known = [pair[side] for pair in pairs if pair[side] is not None]
                means.append(output.value(sum(known) / len(known) if known else None))
            sizes = [pair["difference"] for pair in pairs]
            by_seed = "  ".join("-" if size is None else f"{size:+.3f}" for size in sizes)
            size, span = output.value(difference["value"], "+"), output.interval(difference, "+")
            rows.append([method.replace("_", " "), NAMES[name], *means, size, span, by_seed])
    seeds = len(result["seeds"])
    output.table(
        f"test figures under both splits, mean of {seeds} seed{'s' * (seeds > 1)}",
        ["method", "figure", "case-disjoint", "patch-random", "difference", "95 % interval",
         "by seed"],
        rows,
        right=["case-disjoint", "patch-random", "difference"],
    )  # fmt: skip
    output.say(result["sentence"])
    output.say(f"interval: {result['interval']['method']}")
