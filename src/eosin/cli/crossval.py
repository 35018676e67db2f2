"""`eosin crossval`: folds by case, every patch judged by models that never saw its case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import output

if TYPE_CHECKING:
    from eosin.studies.crossval import CrossValidation

#: Figures of the tables, by name.
FIGURES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "macro_auroc": "AUROC, mean of classes",
    "macro_average_precision": "average precision, mean of classes",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "macro_f1": "F1, mean of classes",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "brier": "Brier score",
}


def crossval(
    store: Annotated[Path, typer.Argument(help="A store made by eosin pack.")],
    folder: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the runs and results; it goes on.")
    ],
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="A name from `eosin recipes`, or a .toml file.")
    ] = "compact",
    k: Annotated[int, typer.Option("-k", "--folds", help="How many folds, at least 3.")] = 5,
    seeds: Annotated[
        int, typer.Option(min=1, help="Training seeds: the recipe's and the following ones.")
    ] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe: key=value; repeatable.")
    ] = None,
    split_seed: Annotated[
        int, typer.Option("--split-seed", min=0, max=2**32 - 1, help="Seed of the folds.")
    ] = 42,
    replicates: Annotated[int, typer.Option(min=10, help="Bootstrap replicates.")] = 2000,
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
    from eosin.cli.train import watching
    from eosin.config import read_recipe
    from eosin.data.store import PatchStore
    from eosin.studies.crossval import crossval as cross_validate

    chosen = read_recipe(recipe, settings or [])
    words = ["crossval", store, "-r", recipe, "-k", k, "--seeds", seeds, "--split-seed", split_seed]
    again = command(words, settings, folder, allow_leaks)
    with going_on(again):
        found = cross_validate(
            PatchStore.open(store),
            chosen,
            folder,
            k=k,
            seeds=seeds,
            split_seed=split_seed,
            allow_leaks=allow_leaks,
            force=force,
            replicates=replicates,
            again=again,
            watch=watching,
            said=output.note,
        )
    if json_:
        output.result({**found.result, "folder": str(found.folder), "files": list(found.files)})
    else:
        _show(found)
    end(found.failed, again)


def command(
    words: list[Any], settings: list[str] | None, folder: Path, allow_leaks: bool = False
) -> str:
    """The command line that goes on with a study."""
    import shlex

    given = [*words, *(w for setting in settings or [] for w in ("--set", setting)), "-o", folder]
    return shlex.join(["eosin", *map(str, given), *(["--allow-leaks"] if allow_leaks else [])])


@contextmanager
def going_on(again: str) -> Iterator[None]:
    """Ctrl-C between two trainings says how to go on as well."""
    from eosin.errors import StoppedError

    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(
            f"stopped by Ctrl-C; what is finished is kept; go on with: {again}"
        ) from None


def end(failed: dict[str, str], again: str) -> None:
    """Exit 1 where runs failed; their causes were said when it happened and stand in the marks."""
    if not failed:
        return
    output.note(
        f"{len(failed)} failed ({', '.join(failed)}); once the cause is mended, only these are "
        f"made by: {again}"
    )
    raise typer.Exit(1)


def value(figure: float | None) -> str:
    """A figure for a table."""
    return "-" if figure is None else f"{figure:.4f}"


def interval(found: dict[str, Any]) -> str:
    """An interval for a table."""
    return "-" if found["low"] is None else f"{found['low']:.4f} to {found['high']:.4f}"


def _show(found: CrossValidation) -> None:
    result = found.result
    for mark in result["marks"]:
        output.warn(mark)
    names = [name for name in FIGURES if name in result["pooled"]]
    folds, seeds = result["spread"]["folds"], result["spread"]["seeds"]

    def over(spread: dict[str, Any], name: str) -> str:
        row = spread.get(name) or {"mean": None, "sd": None}
        return value(row["mean"]) + ("" if row["sd"] is None else f" ± {row['sd']:.4f}")

    several = len(result["per_seed"]) > 1
    cases = f" of {result['n_cases']:,} cases" if result["n_cases"] else ""
    output.table(
        f"out of fold: {result['n_patches']:,} patches{cases}, {result['k']} folds, "
        f"{len(result['seeds'])} seed{'s' * (len(result['seeds']) > 1)}",
        ["figure", "pooled", "95 % interval", "folds: mean ± sd"]
        + (["seeds: mean ± sd"] if several else []),
        [
            [
                FIGURES[name],
                value(result["pooled"][name]["value"]),
                interval(result["pooled"][name]),
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
        ["fold", "cases", "patches", *(FIGURES[n] for n in shown), "threshold"],
        [
            [row["fold"], row["cases"] or "?", f"{row['patches']:,}"]
            + [value(row["figures"][n]["value"]) for n in shown]
            + [value(row["threshold"]["value"]) if row["threshold"] else "-"]
            for row in result["per_fold"]
        ],
        right=["fold", "cases", "patches", *(FIGURES[n] for n in shown), "threshold"],
    )
    for text in [*result["warnings"]]:
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
