"""`eosin ensemble`: several runs as one classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eosin.cli import options, output


def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="Finished runs of the same store and split."),
    ],
    run: options.NewRun,
    store: options.MovedStore = None,
    evaluate: options.Evaluate = True,
    allow_leaks: options.AllowLeaks = False,
    force: options.Force = False,
    json_: options.Json = False,
) -> None:
    """Make one run of several: it answers with the mean of their probabilities.

    Nothing is trained. The members' weights and temperatures are copied into the new run folder,
    which every command takes as any other; it costs as much time a patch as all members together.
    It is compared with those members that were evaluated. --allow-leaks also joins members that
    have seen what is measured on.

    Example: eosin ensemble run-seed0 run-seed1 run-seed2 -o together
    """
    from eosin.records.model import ModelFacts
    from eosin.refining.ensemble import ensemble as make

    made = make(
        runs,
        run,
        store=None if store is None else str(store),
        allow_leaks=allow_leaks,
        force=force,
    )
    facts = ModelFacts.of_run(made.path)
    output.note(f"{len(runs)} members, {facts.parameters:,} parameters; {made.path}")
    for mark in facts.marks:
        output.warn(str(mark))
    if not evaluate:
        if json_:
            output.result({"run": str(made.path), "model": facts.to_json()})
        else:
            output.say(f"next: eosin evaluate {made.path}")
        return
    from eosin.inference.assess import assess
    from eosin.reporting.report import write_report
    from eosin.training.session import reopen

    session = reopen(made.path, None if store is None else str(store))
    with output.progress() as bar:
        task = bar.add_task("predicting", total=None, rate="patches")
        result = assess(
            session, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    for problem in write_report(result.folder, store=session.store).problems:
        output.warn(f"report: {problem}")
    compared = _compared(made.path, runs)
    if json_:
        output.result({"run": str(made.path), "evaluation": result.evaluation, "compare": compared})
        return
    _show(made.path, result.evaluation, compared)


def _compared(run: Path, members: list[Path]) -> dict[str, Any] | None:
    """The members less the ensemble, for those that were evaluated; written into its folder."""
    from eosin.errors import UserError
    from eosin.studies.compare import compare

    evaluated = [member for member in members if (member / "evaluation.json").is_file()]
    if not evaluated:
        return None
    try:
        # What a member has seen was refused before, or is said by the ensemble's own marks.
        return compare([run, *evaluated], folder=run, allow_seen=True)
    except UserError as error:
        output.warn(f"no comparison with the members: {error}")
        return None


def _show(run: Path, result: dict[str, Any], compared: dict[str, Any] | None) -> None:
    from eosin.evaluation.definitions import NAMES

    names = [name for name in NAMES if name in result]
    others = {} if compared is None else {row["name"]: row["figures"] for row in compared["runs"]}
    others.pop(compared["reference"] if compared else "", None)
    output.table(
        f"{result['part']} part, {result['n_patches']:,} patches"
        + (f" of {result['n_cases']} cases" if result["n_cases"] else ""),
        ["figure", run.name, "95 % interval", *others],
        [
            [NAMES[n], output.value(result[n]["value"]), output.interval(result[n])]
            + [output.value((row.get(n) or {"value": None})["value"]) for row in others.values()]
            for n in names
        ],
        right=[run.name, *others],
    )
    for text in result["warnings"]:
        output.warn(text)
    if compared is None:
        output.note("no member was evaluated, so there is nothing to compare it with")
    for text in (compared or {"sentences": []})["sentences"]:
        output.say(text)
    output.say(f"written to {run}; open {run / 'report.html'}")
