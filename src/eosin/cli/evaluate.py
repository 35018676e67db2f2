"""`eosin evaluate`: the figures of a run, with intervals and simple baselines."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.errors import DiskError

if TYPE_CHECKING:
    from eosin.data.store import PatchStore
    from eosin.inference.records import Assessment
    from eosin.records.model import ModelFacts
    from eosin.training.session import Session


def evaluate(
    run: options.Model,
    store: Path | None = None,
    split: Annotated[str | None, typer.Option(metavar="FILE|SCHEME")] = None,
    fold: Annotated[int | None, typer.Option(min=0)] = None,
    point: options.Point = None,
    out: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    replicates: options.Replicates = 2000,
    seed: options.Seed = 0,
    precision: options.Precision = "fp32",
    baselines: Annotated[bool, typer.Option("--baselines/--no-baselines")] = True,
    allow_seen: options.AllowSeen = False,
    resample: Annotated[bool, typer.Option("--resample")] = False,
    refer_error: float = 0.05,
    refer_confidence: float = 0.9,
    cost_ratio: float = 5.0,
    report: Annotated[bool, typer.Option("--report/--no-report")] = True,
    json_: options.Json = False,
) -> None:
    """Evaluate a run on the test part of its split, or a run or exported file on another store.

    Temperature, operating points with their refer bands and the out-of-scope threshold are fitted
    on the validation part alone and kept in the model; so is the point that --point chooses. Each
    figure has a 95 % interval by bootstrap over cases. Writes evaluation.json, predictions.parquet,
    figures, report.html and MODEL_CARD.md. An exported file is asked without torch, and by what it
    contains: nothing is fitted.

    Options:
        store: A store that the run has never seen: all of it is evaluated. The run's own store,
            where it has moved, is recognized. An exported file needs it.
        split: For an exported file: evaluate the test part of this split, not all patches.
        fold: For --split into folds: the one to test on.
        out: Folder for the results on another store.
        baselines: Fit the simple baselines as well.
        resample: Bring the patches of another store to the model's scale.
        refer_error: Promise: at most this share of the automatic answers is wrong.
        refer_confidence: How sure the promise must be, between 0 and 1.
        cost_ratio: What a missed positive costs, in false alarms.
        report: Write report.html and MODEL_CARD.md.

    Example: eosin evaluate run --store hospital-b.store
    """
    from eosin.errors import UserError

    if precision not in ("fp32", "bf16", "auto"):
        raise UserError(f"--precision {precision}: choose fp32, bf16 or auto")
    for name, value in (("error", refer_error), ("confidence", refer_confidence)):
        if not 0 < value < 1:
            raise UserError(f"--refer-{name} {value:g}: give a number between 0 and 1")
    if not 0 < cost_ratio < float("inf"):
        raise UserError(f"--cost-ratio {cost_ratio:g}: give a number above 0")
    from eosin.data.store import PatchStore
    from eosin.inference.assess import assess, assess_file, assess_unseen
    from eosin.inference.fitting import FittingOptions
    from eosin.inference.predictor import is_exported
    from eosin.runs import RunFolder

    measuring: dict[str, Any] = {
        "replicates": replicates, "seed": seed, "precision": precision, "with_baselines": baselines
    }  # fmt: skip
    fitting = FittingOptions(refer_error, refer_confidence, cost_ratio, point)
    refitted = fitting != FittingOptions(point=point)
    fixed = "--refer-error, --refer-confidence and --cost-ratio change what is fitted"
    elsewhere = measuring | {"output": out, "allow_seen": allow_seen, "point": point}
    elsewhere |= {"resample": resample}
    measure: Callable[..., Assessment]
    if is_exported(run):
        if store is None:
            raise UserError(f"{run} is an exported file: add its store with --store STORE")
        if refitted:
            raise UserError(
                f"{fixed}, and nothing is fitted for an exported file: evaluate the run, then "
                "export it again"
            )
        from eosin.cli.train import split_for

        opened = PatchStore.open(store)
        parts = None if split is None else split_for(opened, split)
        measure = partial(assess_file, run, opened, split=parts, fold=fold, **elsewhere)
        _show(*measured(measure, opened, report=report), json_)
        return
    if split is not None or fold is not None:
        option = "--fold" if split is None else "--split"
        raise UserError(f"{option} is for an exported file; a run keeps its own split")
    folder = RunFolder.open(run)
    own = folder.read_environment()["store"]["digest"]
    if store is not None and (opened := PatchStore.open(store)).digest != own:
        if refitted:
            raise UserError(
                f"{fixed} on the run's own validation part: use them with eosin evaluate "
                f"{run}, without --store, before this"
            )
        measure = partial(assess_unseen, folder, opened, **elsewhere)
    else:
        if out is not None or allow_seen or resample:
            option = "-o" if out is not None else "--allow-seen" if allow_seen else "--resample"
            raise UserError(
                f"{option} is for another store (--store STORE); "
                "a run's evaluation on its own split is in the run folder"
            )
        from eosin.training.session import reopen

        session = reopen(run, None if store is None else str(store))
        opened, measure = session.store, partial(assess, session, options=fitting, **measuring)
    _show(*measured(measure, opened, report=report), json_)


def finish(session: Session, facts: ModelFacts, *, evaluate: bool, json_: bool) -> None:
    """The end of a command that made a run: evaluate it, or print the command that does."""
    run = session.run.path
    if evaluate:
        from eosin.inference.assess import assess

        try:
            done = measured(partial(assess, session), session.store)
        except DiskError as error:
            # The run is complete: the same command would refuse to replace it.
            raise error.followed_by(f"run: eosin evaluate {shlex.quote(str(run))}") from None
        _show(*done, json_)
    else:
        show_next(run, facts, json_=json_)


def show_next(run: Path, facts: ModelFacts, *, json_: bool) -> None:
    """What a run that is not evaluated is, or for people the command that evaluates it."""
    if json_:
        output.result({"run": str(run), "model": facts.to_json()})
    else:
        output.say(f"next: eosin evaluate {shlex.quote(str(run))}")


def measured(
    measure: Callable[..., Assessment], store: PatchStore, *, report: bool = True
) -> tuple[Assessment, Path | None]:
    """Measure with progress and write the report: the result, and the page where there is one."""
    with output.progress() as bar:
        task = bar.add_task("predicting", total=None, rate="patches")
        assessment = measure(
            progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    if not report:
        return assessment, None
    from eosin.reporting.report import write_report

    written = write_report(assessment.folder, store=store)
    for problem in written.problems:
        output.warn(f"report: {problem}")
    return assessment, written.path


def _show(assessment: Assessment, page: Path | None, json_: bool) -> None:
    from eosin.data.positive import positive_sentence

    result = assessment.evaluation
    files = [*assessment.files, *(["report.html", "MODEL_CARD.md"] if page else [])]
    if json_:
        folder = str(assessment.folder)
        report = None if page is None else str(page)
        output.result({**result, "folder": folder, "files": files, "report": report})
        return
    output.say(positive_sentence(result["classes"], result["positive_by"]))
    for mark in result["marks"]:
        output.warn(mark["sentence"])
    show_figures(result, "value", result["baselines"])
    for warning in result["warnings"]:
        output.warn(warning)
    _show_decisions(result)
    output.say(f"written to {assessment.folder}: {', '.join(files)}")
    if page is not None:
        output.say(f"open {page}")


def show_figures(
    result: dict[str, Any], name: str, others: Mapping[str, Mapping[str, Any]]
) -> None:
    """A table of figures with their intervals, and beside them the figures of others."""
    from eosin.evaluation.definitions import NAMES

    output.table(
        f"{result['part']} part, {output.patches(result['n_patches'], result['n_cases'])}",
        ["figure", name, "95 % interval", *others],
        [
            [words, output.value(result[figure]["value"]), output.interval(result[figure])]
            + [output.value((row.get(figure) or {}).get("value")) for row in others.values()]
            for figure, words in NAMES.items()
            if figure in result
        ],
        right=[name, *others],
    )


def _show_decisions(result: dict[str, Any]) -> None:
    """The rule that decides, what it does, calibration and out-of-scope check, a line each."""
    from eosin.records.figures import chosen

    if point := result["threshold"]:
        origin = f"{point['rule']}, {chosen(point['chosen_on'])}"
        output.say(f"point {result['point']}: threshold {point['value']:.4f} ({origin})")
    decided = result["decided"]
    shares = [
        f"{_share(decided[key])} {key.replace('_', ' ')}"
        for key in ("answered", "referred", "out_of_scope")
    ]
    wrong = "" if decided["error"] is None else f"; of the answers {decided['error']:.1%} are wrong"
    output.say(f"decisions: {', '.join(shares)}{wrong}")
    for row in decided["classes"]:
        wrong = "" if row["error"] is None else f", {row['error']:.1%} of them wrong"
        output.say(f"  {row['class']}: {_share(row['answered'])} answered{wrong}")
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
