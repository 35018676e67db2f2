"""`eosin evaluate`: the figures of a run, with intervals, beside simple baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import output

if TYPE_CHECKING:
    from eosin.inference.assess import Assessment
    from eosin.training.session import Session

_PRECISION = "fp32 is exact and the reference; bf16 is faster where the machine is good at it."


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    store: Annotated[
        Path | None,
        typer.Option(
            help="A store that the run has never seen: all of it is evaluated. "
            "The run's own store, where it has moved, is recognized."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results on another store.")
    ] = None,
    replicates: Annotated[int, typer.Option(min=10, help="Bootstrap replicates.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    precision: Annotated[str, typer.Option(help=_PRECISION)] = "fp32",
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Fit the simple baselines as well.")
    ] = True,
    allow_seen: Annotated[
        bool,
        typer.Option(
            "--allow-seen", help="Evaluate on cases seen in training; every output says so."
        ),
    ] = False,
    json_: output.Json = False,
) -> None:
    """Evaluate a run on the test part of its split, or on a store that it has never seen.

    The threshold comes from the validation part alone. Each figure has a 95 % interval by bootstrap
    over cases. Writes evaluation.json, predictions.parquet and figures.

    Example: eosin evaluate run --store hospital-b.store
    """
    output.use_json(json_)
    from eosin.errors import UserError

    if precision not in ("fp32", "bf16", "auto"):
        raise UserError(f"--precision {precision}: choose fp32, bf16 or auto")
    from eosin.data.store import PatchStore
    from eosin.runs import RunFolder
    from eosin.training.session import reopen

    options: dict[str, Any] = {"replicates": replicates, "seed": seed, "precision": precision}
    folder = RunFolder.open(run)
    if store is not None:
        opened = PatchStore.open(store)
        own = folder.read_json("environment.json").get("store", {}).get("digest")
        if opened.digest != own:
            from eosin.inference.assess import assess_unseen

            with output.progress() as bar:
                task = bar.add_task("predicting", total=len(opened), rate="patches")
                found = assess_unseen(
                    folder,
                    opened,
                    output=out,
                    allow_seen=allow_seen,
                    with_baselines=baselines,
                    progress=lambda done, total: bar.update(task, completed=done),
                    **options,
                )
            _show(found, json_)
            return
    session = reopen(run, None if store is None else str(store))
    assess_and_show(session, json_=json_, with_baselines=baselines, **options)


def assess_and_show(session: Session, *, json_: bool, **options: Any) -> None:
    """Evaluate a run on its own split, with progress, and print the result."""
    from eosin.inference.assess import assess

    with output.progress() as bar:
        task = bar.add_task("predicting", total=None, rate="patches")
        found = assess(
            session,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **options,
        )
    _show(found, json_)


def _show(found: Assessment, json_: bool) -> None:
    result = found.evaluation
    if json_:
        output.result({**result, "folder": str(found.folder), "files": list(found.files)})
        return
    for mark in result["marks"]:
        output.warn(mark)
    names = [name for name in _FIGURES if name in result]
    others = result["baselines"]
    output.table(
        f"{result['part']} part, {result['n_patches']:,} patches"
        + (f" of {result['n_cases']} cases" if result["n_cases"] else ""),
        ["figure", "value", "95 % interval", *others],
        [
            [_FIGURES[n], _value(result[n]), _interval(result[n])]
            + [_value(other[n]) for other in others.values()]
            for n in names
        ],
        right=["value", *others],
    )
    for warning in result["warnings"]:
        output.warn(warning)
    if result["threshold"]:
        point = result["threshold"]
        output.say(
            f"threshold {point['value']:.4f} ({point['rule']}, chosen on {point['chosen_on']})"
        )
    output.say(f"written to {found.folder}: {', '.join(found.files)}")


_FIGURES = {
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


def _value(figure: dict[str, Any]) -> str:
    return "-" if figure["value"] is None else f"{figure['value']:.4f}"


def _interval(figure: dict[str, Any]) -> str:
    if figure["low"] is None:
        return "-"
    return f"{figure['low']:.4f} to {figure['high']:.4f}"
