"""`eosin prune`: a run made smaller and faster, retrained briefly, measured before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eosin.cli import options, output, studies

if TYPE_CHECKING:
    from eosin.studies.study import StudyResult


def prune(
    run: Path,
    folder: options.NewStudy,
    keep: list[float] | None = None,
    epochs: Annotated[int, typer.Option(min=1)] = 2,
    rate: float = 0.25,
    by: str = "taylor",
    distill: Annotated[bool, typer.Option("--distill")] = False,
    store: options.MovedStore = None,
    precision: str = "fp32",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    replicates: options.Replicates = 2000,
    force: options.Restart = False,
    json_: options.Json = False,
) -> None:
    """Prune a run: take out the least important channels, retrain, measure before and after.

    Each size becomes an ordinary run OUTPUT/keep-SHARE, which every command takes; the same network
    before retraining is beside it. Writes prune.json, prune.md and prune.png: parameters, size,
    operations, measured speed, and quality with paired differences on the same cases. The same
    command resumes where it was; further --keep are added.

    Options:
        run: An evaluated run of compact, article or digits.
        keep: Share of the channels to keep; repeat it for a curve.  [default: 0.5]
        epochs: Epochs of retraining.
        rate: Learning rates of retraining, as a share of the recipe's.
        by: How channels are ranked: taylor (what the loss would change by) or magnitude (the size
            of their weights).
        distill: Learn from the original's answers as well.
        precision: In which the speed is measured: fp32, bf16 or auto.
        seed: Of the patches that channels are judged by, and bootstrap.

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
