"""`eosin crossval`: folds by case, every patch judged by models that never saw its case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output, studies

if TYPE_CHECKING:
    from eosin.studies.study import StudyResult


def crossval(
    store: options.Store,
    folder: options.NewStudy,
    recipe: options.Recipe = "compact",
    k: Annotated[int, typer.Option("-k", "--folds")] = 5,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    settings: options.Settings = None,
    split_seed: Annotated[int, typer.Option("--split-seed", min=0, max=2**32 - 1)] = 42,
    replicates: options.Replicates = 2000,
    allow_leaks: options.AllowLeaks = False,
    force: options.Restart = False,
    json_: options.Json = False,
) -> None:
    """Cross-validate a recipe: folds by case, out-of-fold predictions of every patch.

    After Ctrl-C or a crash, the same command resumes where it was; more --seeds are added to what
    is there. Writes crossval.json, predictions.parquet, and label suspects (patches
    whose label the out-of-fold model contradicts most) as suspects.csv and suspects.png.

    Options:
        k: How many folds, at least 3.
        seeds: Training seeds: the recipe's and the following ones.
        split_seed: Seed of the folds.

    Example: eosin crossval idc.store --recipe compact -k 5 -o folds
    """
    from eosin.config import read_recipe
    from eosin.data.store import PatchStore
    from eosin.studies.crossval import crossval as cross_validate

    chosen = read_recipe(recipe, settings or [])
    studies.show_study(
        lambda: cross_validate(
            PatchStore.open(store), chosen, folder, k=k, seeds=seeds, split_seed=split_seed,
            allow_leaks=allow_leaks, force=force, replicates=replicates, **studies.resumable(),
        ),
        _show,
        json_=json_,
    )  # fmt: skip


def _show(study: StudyResult) -> None:
    from eosin.evaluation.definitions import NAMES

    result = study.result
    names = [name for name in NAMES if name in result["pooled"]]
    folds, seeds = result["spread"]["folds"], result["spread"]["seeds"]

    def over(spread: dict[str, Any], name: str) -> str:
        row = spread.get(name) or {"mean": None, "sd": None}
        return output.value(row["mean"]) + ("" if row["sd"] is None else f" ± {row['sd']:.4f}")

    spreads = {"folds": folds} | ({"seeds": seeds} if len(result["per_seed"]) > 1 else {})
    pooled = result["pooled"]
    output.table(
        f"out of fold: {output.patches(result['n_patches'], result['n_cases'])}, "
        f"{result['k']} folds, {output.counted(len(result['seeds']), 'seed')}",
        ["figure", "pooled", "95 % interval", *(f"{of}: mean ± sd" for of in spreads)],
        [
            [NAMES[n], output.value(pooled[n]["value"]), output.interval(pooled[n])]
            + [over(each, n) for each in spreads.values()]
            for n in names
        ],
        right=["pooled"],
    )
    shown = [n for n in names if n in ("auroc", "macro_auroc", "average_precision",
                                       "balanced_accuracy", "f1", "macro_f1")]  # fmt: skip
    columns = ["fold", "cases", "patches", *(NAMES[n] for n in shown), "threshold"]
    output.table(
        "fold by fold",
        columns,
        [
            [row["fold"], row["cases"] or "?", f"{row['patches']:,}"]
            + [output.value(row["figures"][n]["value"]) for n in shown]
            + [output.value(row["threshold"]["value"]) if row["threshold"] else "-"]
            for row in result["per_fold"]
        ],
        right=columns,
    )
    output.warn(*result["warnings"])
    output.say(*result["notes"])
    suspects = result["suspects"]
    text = suspects["note"] or (
        f"{suspects['total']:,} of {suspects['of']:,} patches; look at "
        f"{study.folder / 'suspects.csv'}; none was removed"
    )
    output.say(f"label suspects: {text}")
