"""`eosin compare`: which of several runs is better on the same cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eosin.cli import options, output


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...")],
    folder: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    replicates: options.Replicates = 2000,
    seed: options.Seed = 0,
    allow_seen: options.AllowSeen = False,
    json_: options.Json = False,
) -> None:
    """Compare runs on the patches that all were measured on, with intervals of the differences.

    Cases are drawn once for all runs (paired bootstrap). Each run keeps its own threshold.

    Options:
        runs: Evaluated runs, or folders of eosin crossval; all are compared with the first.
        folder: Folder for compare.json and compare.md.

    Example: eosin compare article compact
    """
    from eosin.studies.compare import compare as compare_runs
    from eosin.studies.compare import difference_rows

    result = compare_runs(
        runs, allow_seen=allow_seen, replicates=replicates, seed=seed, folder=folder
    )
    output.end_with_json(result, json_=json_)
    output.warn(*result["marks"])
    common = output.patches(result["common"]["patches"], result["common"]["cases"])
    for name, rows in difference_rows(result).items():
        output.table(
            f"{name} less {result['reference']}, {common}",
            ["figure", result["reference"], name, "difference", "95 % interval", "p"],
            rows,
            right=[result["reference"], name, "difference", "p"],
        )
    output.note(*(f"note: {text}" for text in result["warnings"]))
    output.note(f"note: {result['interval']['p']}.")
    output.say(*result["sentences"])
    if folder is not None:
        output.say(f"written to {folder}: compare.json, compare.md")
