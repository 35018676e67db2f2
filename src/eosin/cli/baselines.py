"""`eosin baselines`: what simple methods reach on a split, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eosin.cli import options, output
from eosin.errors import UserError


def baselines(
    store: options.Store,
    split: options.Split = None,
    out: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    fold: options.Fold = None,
    allow_leaks: options.AllowLeaks = False,
    replicates: options.Replicates = 2000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json_: options.Json = False,
) -> None:
    """Measure what a network must beat: base rate, color, texture, nearest neighbors.

    The split is audited first. Each method learns from the training part, has its threshold from
    validation, and is measured on the test part (without one, on validation, with a mark) with
    95 % intervals by bootstrap over cases.

    Options:
        out: Folder for baselines.json and baselines.png.
        seed: Seed of draws and trees.

    Example: eosin baselines idc.store --split published
    """
    from eosin.data.store import PatchStore

    opened = PatchStore.open(store)
    if out is not None and out.resolve().is_relative_to(opened.path.resolve()):
        raise UserError(f"{out} is inside the store; choose another folder with -o FOLDER")
    from eosin.cli.train import split_for
    from eosin.experiments.baselines import STEPS, measure
    from eosin.experiments.drawing import baselines_figure
    from eosin.runs import RunFolder

    chosen = split_for(opened, split)
    with output.progress() as bar:
        task = bar.add_task("", total=STEPS, rate="steps")
        result = measure(
            opened,
            chosen,
            fold=fold,
            allow_leaks=allow_leaks,
            replicates=replicates,
            seed=seed,
            progress=lambda done, what: bar.update(task, completed=done, description=what),
        )
    files: list[str] = []
    if out is not None:
        if out.exists() and not out.is_dir():
            raise UserError(f"{out} is a file; choose a folder with -o FOLDER")
        files = ["baselines.json", baselines_figure(out / "baselines.png", result).name]
        RunFolder(out).write_json("baselines.json", result)
    output.end_with_json({**result, "files": files}, json_=json_)
    _show(result)
    if out is not None:
        output.say(f"written to {out}: {', '.join(files)}")


def _show(result: dict[str, Any]) -> None:
    from eosin.evaluation.definitions import NAMES
    from eosin.experiments.baselines import figures_of

    output.warn(*result["marks"])
    methods = result["baselines"]
    key = result["figure"]
    figures = [name for name in figures_of(result) if name != key][:4]
    columns = ["baseline", NAMES[key], "95 % interval", *(NAMES[name] for name in figures), "s"]
    output.table(
        f"{result['part']} part, {output.patches(result['n_patches'], result['n_cases'])}",
        columns,
        [
            [
                row["title"], output.value(row[key]["value"]), output.interval(row[key]),
                *(output.value(row[name]["value"]) for name in figures), f"{row['seconds']:.1f}",
            ]
            for row in sorted(methods.values(), key=lambda row: -(row[key]["value"] or 0))
        ],
        right=[columns[1], *columns[3:]],
    )  # fmt: skip
    for name in ("color_histogram", "texture", "nearest_neighbors"):
        output.note(f"note: {methods[name]['note']}")
    output.say(result["sentence"])
