"""`eosin retrain`: an old recipe on new data, and whether the new run should replace the old."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eosin.cli import options, output, studies


def retrain(
    run: Path,
    store: Annotated[Path, typer.Option()],
    new: options.NewRun,
    split: options.Split = None,
    from_weights: Annotated[bool, typer.Option("--from-weights/--fresh")] = False,
    settings: options.Settings = None,
    fold: options.Fold = None,
    replicates: options.Replicates = 2000,
    seed: options.Seed = 0,
    allow_leaks: options.AllowLeaks = False,
    force: options.Force = False,
    json_: options.Json = False,
) -> None:
    """Train an old run's recipe on new data, and show whether the new run should replace the old.

    Both are compared on those cases of the new test part that the old run has never seen, with
    paired intervals. The new run replaces the old one only if the interval of the difference in
    AUROC excludes 0 in its favor and no other figure is worse beyond chance. After Ctrl-C or a
    crash, the same command resumes. Writes retrain.json and retrain.md into the new run.

    Options:
        run: The old run.
        store: The store with the new data.
        from_weights: Start with the old run's weights, or with fresh ones.

    Example: eosin retrain run --store this-year.store -o run-this-year
    """
    from eosin.cli.train import split_for
    from eosin.data.store import PatchStore
    from eosin.refining.retrain import retrain as make
    from eosin.refining.verdict import NEW, notes_on, shared_cases
    from eosin.studies.compare import difference_rows

    opened = PatchStore.open(store)
    with studies.stoppable():
        result = make(
            run, opened, split_for(opened, split), new, settings=settings or [],
            from_weights=from_weights, fold=fold, allow_leaks=allow_leaks, force=force,
            replicates=replicates, seed=seed, **studies.resumable(),
        )  # fmt: skip
    output.end_with_json(result, json_=json_)
    output.warn(*result["marks"])
    if result["why_not"] is None:
        output.table(
            "",
            ["figure", "old", "new", "new less old", "95 % interval", "p"],
            difference_rows(result)[NEW],
            right=["old", "new", "new less old", "p"],
        )
        output.note(shared_cases(result))
    output.note(*(f"note: {text}" for text in notes_on(result)))
    output.say(result["sentence"])
    output.say(f"written to {new}: retrain.json, retrain.md; next: eosin report {new}")
