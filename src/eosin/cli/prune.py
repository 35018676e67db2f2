"""`eosin prune`: a run made smaller and faster, retrained briefly, measured before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eosin.cli import options, output, studies

if TYPE_CHECKING:
    from eosin.studies.study import StudyResult


def prune(
    run: Annotated[Path, typer.Argument(help="An evaluated run of compact, article or digits.")],
    folder: options.NewStudy,
    keep: Annotated[
        list[float] | None,
        typer.Option(help="Share of the channels to keep; repeat it for a curve.  [default: 0.5]"),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of retraining.")] = 2,
    rate: Annotated[
        float, typer.Option(help="Learning rates of retraining, as a share of the recipe's.")
    ] = 0.25,
    by: Annotated[
        str,
        typer.Option(
            help="How channels are ranked: taylor (what the loss would change by) or magnitude "
            "(the size of their weights)."
        ),
    ] = "taylor",
    distill: Annotated[
        bool, typer.Option("--distill", help="Learn from the original's answers as well.")
    ] = False,
    store: options.MovedStore = None,
    precision: Annotated[
        str, typer.Option(help="In which the speed is measured: fp32, bf16 or auto.")
    ] = "fp32",
    seed: Annotated[
        int, typer.Option(min=0, help="Of the patches that channels are judged by, and bootstrap.")
    ] = 0,
    replicates: options.Replicates = 2000,
    force: options.Restart = False,
    json_: options.Json = False,
) -> None:
    """Prune a run: take out the least important channels, retrain, measure before and after.

    Each size becomes an ordinary run OUTPUT/keep-SHARE, which every command takes; the same network
    before retraining is beside it. Writes prune.json, prune.md and prune.png: parameters, size,
    operations, measured speed, and quality with paired differences on the same cases. The same
    command resumes where it was; further --keep are added.

    Example: eosin prune run --keep 0.75 --keep 0.5 -o pruned
    """
    from eosin.errors import UserError
    from eosin.refining.prune import Pruning
    from eosin.refining.prune import prune as make

    if precision not in ("fp32", "bf16", "auto"):
        raise UserError(f"--precision {precision}: choose fp32, bf16 or auto")
    studies.show_study(
        lambda: make(
            run, folder, keep or [0.5], pruning=Pruning(epochs, rate, by, distill, seed),
            store=None if store is None else str(store), precision=precision,
            replicates=replicates, force=force, **studies.resumable(),
        ),
        _show,
        json_=json_,
    )  # fmt: skip


def _show(study: StudyResult) -> None:
    from eosin.refining.prune_page import table_rows

    columns, rows = table_rows(study.result)
    output.table("", columns, rows, right=columns[1:])
    output.say(*study.result["sentences"])
