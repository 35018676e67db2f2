"""`eosin ensemble`: several runs as one classifier."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from eosin.cli import options, output
from eosin.cli.evaluate import measured, show_figures, show_next


def ensemble(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...")],
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

    Options:
        runs: Finished runs of the same store and split.

    Example: eosin ensemble run-seed0 run-seed1 run-seed2 -o together
    """
    from eosin.records.model import ModelFacts
    from eosin.refining.ensemble import ensemble as make

    moved = None if store is None else str(store)
    made = make(runs, run, store=moved, allow_leaks=allow_leaks, force=force)
    facts = ModelFacts.of_run(made.path)
    output.note(f"{len(runs)} members, {facts.parameters:,} parameters; {made.path}")
    output.warn(*map(str, facts.marks))
    if not evaluate:
        show_next(made.path, facts, json_=json_)
        return
    from eosin.inference.assess import assess
    from eosin.training.session import reopen

    session = reopen(made.path, moved)
    result, _ = measured(partial(assess, session), session.store)
    compared = _compared(made.path, runs)
    output.end_with_json(
        {"run": str(made.path), "evaluation": result.evaluation, "compare": compared}, json_=json_
    )
    _show(made.path, result.evaluation, compared)


def _compared(run: Path, members: list[Path]) -> dict[str, Any] | None:
    """The members less the ensemble, for those that were evaluated; written into its folder."""
    from eosin.errors import UserError
    from eosin.studies.compare import compare

    evaluated = [member for member in members if (member / "evaluation.json").is_file()]
    if not evaluated:
        return None
    try:
        # What a member has seen was refused before, or is in the ensemble's own marks.
        return compare([run, *evaluated], folder=run, allow_seen=True)
    except UserError as error:
        output.warn(f"no comparison with the members: {error}")
        return None


def _show(run: Path, result: dict[str, Any], compared: dict[str, Any] | None) -> None:
    # The first is the ensemble itself.
    rows = compared["runs"][1:] if compared else []
    show_figures(result, run.name, {row["name"]: row["figures"] for row in rows})
    output.warn(*result["warnings"])
    if compared is None:
        output.note("no member was evaluated, so there is nothing to compare it with")
    else:
        output.say(*compared["sentences"])
    output.say(f"written to {run}; open {run / 'report.html'}")
