"""`eosin search`: trials of a recipe's settings, judged on validation, resumable at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output, studies
from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.studies.study import StudyResult


def search(
    store: Annotated[Path | None, typer.Argument()] = None,
    recipe: options.Recipe = "compact",
    trials: Annotated[int | None, typer.Option("--trials", "-n")] = None,
    space: Path | None = None,
    folder: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    split: options.Split = None,
    settings: options.Settings = None,
    metric: str = "val_auroc",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Annotated[int, typer.Option("--workers", "-w")] = 1,
    share: float = 1.0,
    confirm: int = 0,
    fold: options.Fold = None,
    resume: Path | None = None,
    weights: options.Weights = None,
    allow_leaks: options.AllowLeaks = False,
    force: options.Restart = False,
    json_: options.Json = False,
) -> None:
    """Search a recipe's settings; the best become a recipe of their own.

    Trials are judged on the validation part; test patches are left out before the first starts.
    Poor trials end early. Use --resume to resume a search that was stopped or killed.

    Options:
        store: A store made by eosin pack; with --resume only where it has moved.
        trials: Trials in all, trial 0 is the recipe. Default: 20.
        space: TOML with a table for each key to search. Default: by optimizer.
        folder: Folder of the trials; an earlier one is resumed.
        metric: What judges a trial: val_auroc, val_average_precision, val_accuracy, val_loss.
        seed: Seed of the draws; that of the training is in the recipe.
        workers: Processes that share the machine's cores.
        share: Share of the training cases to learn from, to save time.
        confirm: Train the best settings and the unchanged recipe with this many more seeds.
        resume: Resume the search in this folder.

    Example: eosin search idc.store --recipe compact --trials 20 --split published -o search
    """
    common: dict[str, Any] = {"workers": workers, "confirm": confirm, **studies.resumable()}
    del common["again"]
    if resume is not None:
        if any(value is not None for value in (folder, space, split, weights)) or settings or force:
            raise UserError(
                "--resume FOLDER resumes the search with its own settings; leave out -o, --space, "
                "--split, --set, --weights, --force (only --trials, --workers and --confirm may "
                "differ)"
            )
    elif store is None or folder is None:
        raise UserError("name the store and a folder: eosin search STORE -o FOLDER")

    def make() -> StudyResult:
        from eosin.cli.train import split_for
        from eosin.cli.transfers import encoder_weights
        from eosin.config import read_recipe
        from eosin.data.store import PatchStore
        from eosin.search import search as room
        from eosin.search.space_file import read_space

        if resume is not None:
            return room.resume(resume, store_path=store, trials=trials, **common)
        assert store is not None and folder is not None  # noqa: PT018 (see above)
        chosen = read_recipe(recipe, settings or [])
        if space is not None:
            common.update(space=read_space(space), space_origin=str(space))
        opened = PatchStore.open(store)
        words = [*(["--split", split] if split else [])]
        words += [] if fold is None else ["--fold", str(fold)]
        return room.search(
            opened, split_for(opened, split), chosen, folder, recipe_name=recipe, metric=metric,
            trials=20 if trials is None else trials, seed=seed, fold=fold, share=share,
            split_words=tuple(words), weights=encoder_weights(chosen, weights),
            allow_leaks=allow_leaks, force=force, **common,
        )  # fmt: skip

    studies.show_study(make, _show, json_=json_)


def _show(study: StudyResult) -> None:
    from eosin.search.space import shown

    result = study.result
    keys, best = list(result["space"]), result["best"]["trial"]
    columns = ["trial", "", result["metric"], "epochs", "seconds", *keys]
    rows = result["rows"]
    output.table(
        f"{len(rows)} trials by {result['metric']}",
        columns,
        [
            [
                f"{row['trial']}{' *' if row['trial'] == best else ''}", row["state"],
                output.value(row["value"]), row["epochs"], f"{row['seconds']:.0f}",
                *[shown(row["values"].get(key)) for key in keys],
            ]
            for row in rows
        ],
        right=[name for name in columns if name],
    )  # fmt: skip
    failed = [row for row in rows if row.get("reason")]
    output.warn(*(f"trial {row['trial']} failed: {row['reason']}" for row in failed))
    output.say(*result["sentences"])
