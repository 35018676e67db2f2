"""`eosin crossval`: folds by case, every patch judged by models that never saw its case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import output

if TYPE_CHECKING:
    from eosin.studies.series import Study


def crossval(
    store: output.Store,
    folder: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the runs and results; it goes on.")
    ],
    recipe: output.Recipe = "compact",
    k: Annotated[int, typer.Option("-k", "--folds", help="How many folds, at least 3.")] = 5,
    seeds: Annotated[
        int, typer.Option(min=1, help="Training seeds: the recipe's and the following ones.")
    ] = 1,
    settings: output.Settings = None,
    split_seed: Annotated[
        int, typer.Option("--split-seed", min=0, max=2**32 - 1, help="Seed of the folds.")
    ] = 42,
    replicates: output.Replicates = 2000,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Go on though folds leak; every output says so.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start anew in a folder that was begun otherwise.")
    ] = False,
    json_: output.Json = False,
) -> None:
    """Cross-validate a recipe: folds by case, out-of-fold predictions of every patch.

    Said again after Ctrl-C or a crash, the same command goes on where it was; more --seeds are
    added to what is there. Writes crossval.json, predictions.parquet, and label suspects (patches
    whose label the out-of-fold model contradicts most) as suspects.csv and suspects.png.

    Example: eosin crossval idc.store --recipe compact -k 5 -o folds
    """
    output.use_json(json_)
    from eosin.studies.crossval import crossval as cross_validate

    run_study(
        cross_validate,
        ["crossval", store, "-r", recipe, "-k", k, "--seeds", seeds, "--split-seed", split_seed],
        _show,
        store=store,
        recipe=recipe,
        settings=settings or [],
        folder=folder,
        json_=json_,
        k=k,
        seeds=seeds,
        split_seed=split_seed,
        allow_leaks=allow_leaks,
        force=force,
        replicates=replicates,
    )


def run_study(
    study: Callable[..., Study],
    words: list[Any],
    show: Callable[[Study], None],
    *,
    store: Path,
    recipe: str,
    settings: list[str],
    folder: Path,
    json_: bool,
    allow_leaks: bool,
    **options: Any,
) -> None:
    """Make a study and print it; exit 1 where runs of it failed.

    words: how its command begins; with settings, folder and --allow-leaks it goes on with it.
    """
    import shlex

    from eosin.cli.train import watching
    from eosin.config import read_recipe
    from eosin.data.store import PatchStore
    from eosin.errors import StoppedError

    given = [*words, *(w for setting in settings for w in ("--set", setting)), "-o", folder]
    again = shlex.join(["eosin", *map(str, given), *(["--allow-leaks"] if allow_leaks else [])])
    chosen = read_recipe(recipe, settings)
    try:
        found = study(
            PatchStore.open(store),
            chosen,
            folder,
            allow_leaks=allow_leaks,
            again=again,
            watch=watching,
            said=output.note,
            **options,
        )
    except KeyboardInterrupt:
        # Between two trainings; within one, its own sentence says the same.
        raise StoppedError(
            f"stopped by Ctrl-C; what is finished is kept; go on with: {again}"
        ) from None
    if json_:
        output.result({**found.result, "folder": str(found.folder), "files": list(found.files)})
    else:
        show(found)
    if found.failed:
        # Their causes were said when it happened and stand in the marks.
        output.note(
            f"{len(found.failed)} failed ({', '.join(found.failed)}); once the cause is mended, "
            f"only these are made by: {again}"
        )
        raise typer.Exit(1)


def _show(found: Study) -> None:
    from eosin.evaluation.definitions import NAMES

    result = found.result
    for mark in result["marks"]:
        output.warn(mark)
    names = [name for name in NAMES if name in result["pooled"]]
    folds, seeds = result["spread"]["folds"], result["spread"]["seeds"]

    def over(spread: dict[str, Any], name: str) -> str:
        row = spread.get(name) or {"mean": None, "sd": None}
        return output.value(row["mean"]) + ("" if row["sd"] is None else f" ± {row['sd']:.4f}")

    several = len(result["per_seed"]) > 1
    cases = f" of {result['n_cases']:,} cases" if result["n_cases"] else ""
    output.table(
        f"out of fold: {result['n_patches']:,} patches{cases}, {result['k']} folds, "
        f"{len(result['seeds'])} seed{'s' * (len(result['seeds']) > 1)}",
        ["figure", "pooled", "95 % interval", "folds: mean ± sd"]
        + (["seeds: mean ± sd"] if several else []),
        [
            [
                NAMES[name],
                output.value(result["pooled"][name]["value"]),
                output.interval(result["pooled"][name]),
                over(folds, name),
            ]
            + ([over(seeds, name)] if several else [])
            for name in names
        ],
        right=["pooled"],
    )
    shown = [n for n in names if n in ("auroc", "macro_auroc", "average_precision",
                                       "balanced_accuracy", "f1", "macro_f1")]  # fmt: skip
    output.table(
        "fold by fold",
        ["fold", "cases", "patches", *(NAMES[n] for n in shown), "threshold"],
        [
            [row["fold"], row["cases"] or "?", f"{row['patches']:,}"]
            + [output.value(row["figures"][n]["value"]) for n in shown]
            + [output.value(row["threshold"]["value"]) if row["threshold"] else "-"]
            for row in result["per_fold"]
        ],
        right=["fold", "cases", "patches", *(NAMES[n] for n in shown), "threshold"],
    )
    for text in result["warnings"]:
        output.warn(text)
    for text in result["notes"]:
        output.say(text)
    suspects = result["suspects"]
    if suspects["note"]:
        output.say(f"label suspects: {suspects['note']}")
    else:
        output.say(
            f"label suspects: {suspects['total']:,} of {suspects['of']:,} patches; look at "
            f"{found.folder / 'suspects.csv'}; none was removed"
        )
    output.say(f"written to {found.folder}: {', '.join(found.files)}")
