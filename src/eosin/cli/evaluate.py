"""`eosin evaluate`: the figures of a run, with intervals, beside simple baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import output

if TYPE_CHECKING:
    from eosin.data.store import PatchStore
    from eosin.inference.records import Assessment
    from eosin.reporting.report import Written
    from eosin.training.session import Session

_PRECISION = "fp32 is exact and the reference; bf16 is faster where the machine is good at it."


def evaluate(
    run: Annotated[
        Path, typer.Argument(help="A run folder, or an exported file (.onnx, .xml) or its folder.")
    ],
    store: Annotated[
        Path | None,
        typer.Option(
            help="A store that the run has never seen: all of it is evaluated. "
            "The run's own store, where it has moved, is recognized. An exported file needs it."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|SCHEME",
            help="For an exported file: evaluate the test part of this split, not the whole store.",
        ),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="For --split into folds: the one to test on.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results on another store.")
    ] = None,
    replicates: output.Replicates = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
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
    refer_error: Annotated[
        float, typer.Option(help="Promise: at most this share of the automatic answers is wrong.")
    ] = 0.05,
    refer_confidence: Annotated[
        float, typer.Option(help="How sure the promise must be, between 0 and 1.")
    ] = 0.9,
    cost_ratio: Annotated[
        float, typer.Option(help="What a missed positive costs, in false alarms.")
    ] = 5.0,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html and MODEL_CARD.md.")
    ] = True,
    json_: output.Json = False,
) -> None:
    """Evaluate a run on the test part of its split, or a run or exported file on another store.

    Temperature, operating points, the refer band and the out-of-scope threshold are fitted on the
    validation part alone and kept in the model. Each figure has a 95 % interval by bootstrap over
    cases. Writes evaluation.json, predictions.parquet, figures, report.html and MODEL_CARD.md. An
    exported file is asked without torch, and by what it carries: nothing is fitted.

    Example: eosin evaluate run --store hospital-b.store
    """
    output.use_json(json_)
    from eosin.errors import UserError

    if precision not in ("fp32", "bf16", "auto"):
        raise UserError(f"--precision {precision}: choose fp32, bf16 or auto")
    for name, value in (("error", refer_error), ("confidence", refer_confidence)):
        if not 0 < value < 1:
            raise UserError(f"--refer-{name} {value:g}: give a number between 0 and 1")
    if not 0 < cost_ratio < float("inf"):
        raise UserError(f"--cost-ratio {cost_ratio:g}: give a number above 0")
    from eosin.data.store import PatchStore
    from eosin.inference.predictor import is_exported
    from eosin.runs import RunFolder

    options: dict[str, Any] = {"replicates": replicates, "seed": seed, "precision": precision}
    fitting = (refer_error, refer_confidence, cost_ratio) != (0.05, 0.9, 5.0)
    if is_exported(run):
        if store is None:
            raise UserError(f"{run} is an exported file: name the store with --store STORE")
        if fitting:
            raise UserError(
                "--refer-error, --refer-confidence and --cost-ratio act on what is fitted, and "
                "nothing is fitted for an exported file: evaluate the run, then export it again"
            )
        options |= {"output": out, "allow_seen": allow_seen, "with_baselines": baselines}
        opened = PatchStore.open(store)
        _show(*_file(run, opened, split, report=report, fold=fold, **options), json_)
        return
    for option, given in (("--split", split is not None), ("--fold", fold is not None)):
        if given:
            raise UserError(f"{option} is for an exported file; a run keeps its own split")
    folder = RunFolder.open(run)
    if store is not None:
        opened = PatchStore.open(store)
        own = folder.read_json("environment.json").get("store", {}).get("digest")
        if opened.digest != own:
            from eosin.inference.unseen import assess_unseen

            if fitting:
                raise UserError(
                    "--refer-error, --refer-confidence and --cost-ratio act on what is fitted on "
                    f"the run's own validation part: give them to eosin evaluate {run}, without "
                    "--store, before this"
                )

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
            _show(found, _report(found, opened) if report else None, json_)
            return
    for option, said in (("-o", out is not None), ("--allow-seen", allow_seen)):
        if said:
            raise UserError(
                f"{option} is for another store (--store STORE); a run's evaluation on its own "
                "split lies in the run folder"
            )
    from eosin.inference.fitting import Wishes
    from eosin.training.session import reopen

    session = reopen(run, None if store is None else str(store))
    options["wishes"] = Wishes(refer_error, refer_confidence, cost_ratio)
    assess_and_show(session, json_=json_, with_baselines=baselines, report=report, **options)


def assess_and_show(session: Session, *, json_: bool, report: bool = True, **options: Any) -> None:
    """Evaluate a run on its own split, with progress, write its report and print the result."""
    from eosin.inference.assess import assess

    with output.progress() as bar:
        task = bar.add_task("predicting", total=None, rate="patches")
        found = assess(
            session,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **options,
        )
    _show(found, _report(found, session.store) if report else None, json_)


def _file(
    path: Path, store: PatchStore, split: str | None, *, report: bool, **options: Any
) -> tuple[Assessment, Written | None]:
    """Evaluate an exported file, with progress, and write its report."""
    from eosin.cli.train import split_for
    from eosin.inference.assess_file import assess_file

    parted = None if split is None else split_for(store, split)
    with output.progress() as bar:
        task = bar.add_task("predicting", total=None, rate="patches")
        found = assess_file(
            path,
            store,
            split=parted,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **options,
        )
    return found, _report(found, store) if report else None


def _report(found: Assessment, store: PatchStore) -> Written:
    from eosin.reporting.report import write_report

    report = write_report(found.folder, store=store)
    for problem in report.problems:
        output.warn(f"report: {problem}")
    return report


def _show(found: Assessment, report: Written | None, json_: bool) -> None:
    result = found.evaluation
    files = [*found.files, *(["report.html", "MODEL_CARD.md"] if report else [])]
    if json_:
        output.result(
            {
                **result,
                "folder": str(found.folder),
                "files": files,
                "report": None if report is None else str(report.path),
            }
        )
        return
    for mark in result["marks"]:
        output.warn(mark)
    from eosin.evaluation.definitions import NAMES

    others = result["baselines"]
    output.table(
        f"{result['part']} part, {result['n_patches']:,} patches"
        + (f" of {result['n_cases']} cases" if result["n_cases"] else ""),
        ["figure", "value", "95 % interval", *others],
        [
            [words, output.value(result[n]["value"]), output.interval(result[n])]
            + [output.value(other[n]["value"]) for other in others.values()]
            for n, words in NAMES.items()
            if n in result
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
    _show_trust(result)
    output.say(f"written to {found.folder}: {', '.join(files)}")
    if report is not None:
        output.say(f"open {report.path}")


def _show_trust(result: dict[str, Any]) -> None:
    """Calibration, refer band and out-of-scope check, a line each."""
    calibration = result["calibration"]
    said = calibration["note"] or calibration["sentence"]
    if said:
        output.say(f"calibration: {said}")
    if "referral" in result:
        output.say(result["referral"]["sentence"])
    scope = result["scope"]
    if scope["note"]:
        output.say(f"out of scope: {scope['note']}")
    else:
        probes = ", ".join(f"{row['name']} {_share(row['flagged'])}" for row in scope["probes"])
        output.say(f"out of scope: {_share(scope['flagged'])} of these patches; of {probes}")
    suspects = result["suspects"]
    if suspects["total"]:
        output.say(f"{suspects['total']} of {suspects['of']} labels look wrong to the model")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
