"""`eosin evaluate`: the figures of a run, with intervals and simple baselines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import output

if TYPE_CHECKING:
    from eosin.data.store import PatchStore
    from eosin.inference.records import Assessment
    from eosin.training.session import Session


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
            help="For an exported file: evaluate the test part of this split, not all patches.",
        ),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="For --split into folds: the one to test on.")
    ] = None,
    point: output.Point = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results on another store.")
    ] = None,
    replicates: output.Replicates = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    precision: output.Precision = "fp32",
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Fit the simple baselines as well.")
    ] = True,
    allow_seen: Annotated[
        bool,
        typer.Option(
            "--allow-seen", help="Evaluate on cases seen in training; every output has a mark."
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

    Temperature, operating points with their refer bands and the out-of-scope threshold are fitted
    on the validation part alone and kept in the model; so is the point that --point chooses. Each
    figure has a 95 % interval by bootstrap over cases. Writes evaluation.json, predictions.parquet,
    figures, report.html and MODEL_CARD.md. An exported file is asked without torch, and by what it
    contains: nothing is fitted.

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
    from eosin.inference.assess import assess_file, assess_unseen
    from eosin.inference.fitting import FittingOptions
    from eosin.inference.predictor import is_exported
    from eosin.runs import RunFolder

    options: dict[str, Any] = {
        "replicates": replicates, "seed": seed, "precision": precision, "with_baselines": baselines
    }  # fmt: skip
    fitting = FittingOptions(refer_error, refer_confidence, cost_ratio, point)
    new_fitting = fitting != FittingOptions(point=point)
    fixed = "--refer-error, --refer-confidence and --cost-ratio change what is fitted"
    elsewhere = {"output": out, "allow_seen": allow_seen, "point": point}
    if is_exported(run):
        if store is None:
            raise UserError(f"{run} is an exported file: give the store with --store STORE")
        if new_fitting:
            raise UserError(
                f"{fixed}, and nothing is fitted for an exported file: evaluate the run, then "
                "export it again"
            )
        from eosin.cli.train import split_for

        opened = PatchStore.open(store)
        parted = None if split is None else split_for(opened, split)
        options |= elsewhere | {"split": parted, "fold": fold}
        _evaluate(lambda **more: assess_file(run, opened, **more), opened, report, json_, options)
        return
    for option, chosen in (("--split", split is not None), ("--fold", fold is not None)):
        if chosen:
            raise UserError(f"{option} is for an exported file; a run keeps its own split")
    folder = RunFolder.open(run)
    if store is not None:
        opened = PatchStore.open(store)
        own = folder.read_json("environment.json").get("store", {}).get("digest")
        if opened.digest != own:
            if new_fitting:
                raise UserError(
                    f"{fixed} on the run's own validation part: use them with eosin evaluate "
                    f"{run}, without --store, before this"
                )
            options |= elsewhere
            _evaluate(
                lambda **more: assess_unseen(folder, opened, **more), opened, report, json_, options
            )
            return
    for option, chosen in (("-o", out is not None), ("--allow-seen", allow_seen)):
        if chosen:
            raise UserError(
                f"{option} is for another store (--store STORE); a run's evaluation on its own "
                "split is in the run folder"
            )
    from eosin.training.session import reopen

    session = reopen(run, None if store is None else str(store))
    assess_and_show(session, json_=json_, report=report, options=fitting, **options)


def assess_and_show(session: Session, *, json_: bool, report: bool = True, **options: Any) -> None:
    """Evaluate a run on its own split, with progress, write its report and print the result."""
    from eosin.inference.assess import assess

    _evaluate(lambda **more: assess(session, **more), session.store, report, json_, options)


def _evaluate(
    assess: Callable[..., Assessment],
    store: PatchStore,
    report: bool,
    json_: bool,
    options: dict[str, Any],
) -> None:
    """Assess with progress, write the report and print the result."""
    with output.progress() as bar:
        task = bar.add_task("predicting", total=None, rate="patches")
        assessment = assess(
            progress=lambda done, total: bar.update(task, completed=done, total=total), **options
        )
    page = None
    if report:
        from eosin.reporting.report import write_report

        written = write_report(assessment.folder, store=store)
        page = written.path
        for problem in written.problems:
            output.warn(f"report: {problem}")
    _show(assessment, page, json_)


def _show(assessment: Assessment, page: Path | None, json_: bool) -> None:
    result = assessment.evaluation
    files = [*assessment.files, *(["report.html", "MODEL_CARD.md"] if page else [])]
    if json_:
        folder = str(assessment.folder)
        report = None if page is None else str(page)
        output.result({**result, "folder": folder, "files": files, "report": report})
        return
    for mark in result["marks"]:
        output.warn(mark["sentence"])
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
    _show_decisions(result)
    output.say(f"written to {assessment.folder}: {', '.join(files)}")
    if page is not None:
        output.say(f"open {page}")


def _show_decisions(result: dict[str, Any]) -> None:
    """The rule that decides, what it does, calibration and out-of-scope check, a line each."""
    if point := result["threshold"]:
        output.say(
            f"point {result['point']}: threshold {point['value']:.4f} ({point['rule']}, chosen on "
            f"{point['chosen_on']})"
        )
    decided = result["decided"]
    output.say(
        f"decisions: {_share(decided['answered'])} answered, {_share(decided['referred'])} "
        f"referred, {_share(decided['out_of_scope'])} out of scope; of the answers "
        f"{_share(decided['error'])} are wrong"
    )
    for row in decided["classes"]:
        output.say(
            f"  {row['class']}: {_share(row['answered'])} answered, {_share(row['error'])} of "
            "them wrong"
        )
    calibration = result["calibration"]
    if text := calibration["note"] or calibration["sentence"]:
        output.say(f"calibration: {text}")
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
