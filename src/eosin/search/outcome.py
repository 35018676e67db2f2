"""The result of a search: the rows of all trials, the best, what decides, and honest sentences."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from eosin.config import Recipe
from eosin.search.plan import SearchPlan
from eosin.search.space import outside, shown
from eosin.search.storage import Row, optuna, trial_recipe

#: Complete trials below which no importance is shown.
LEAST_FOR_IMPORTANCE = 6
#: Complete trials below which an importance is a hint at most.
ENOUGH_FOR_IMPORTANCE = 30
#: Share of a range at either end in which a best value asks for a wider range.
_AT_THE_END = 0.05


def complete(rows: Sequence[Row]) -> dict[int, float]:
    """Number -> value of every complete trial, in their order."""
    return {r.number: r.value for r in rows if r.state == "complete" and r.value is not None}


def best_of(rows: Sequence[Row], plan: SearchPlan) -> Row | None:
    """The complete trial with the best value; of equals the first, so the recipe as given wins."""
    values, sign = complete(rows), -1 if plan.higher_is_better else 1
    best = min(values, key=lambda number: (sign * values[number], number), default=None)
    return next((row for row in rows if row.number == best), None)


def running_best(rows: Sequence[Row], plan: SearchPlan) -> list[tuple[int, float]]:
    """For every complete trial its number and the best value so far."""
    better = max if plan.higher_is_better else min
    values = complete(rows)
    return list(zip(values, accumulate(values.values(), better), strict=True))


def importance(study: Any, plan: SearchPlan) -> dict[str, float]:
    """Share of the spread between complete trials that each key explains; none where too few.

    fANOVA over a random forest (Hutter et al., An Efficient Approach for Assessing Hyperparameter
    Importance, 2014). Only trials that have a value for every key count.
    """
    library = optuna()
    keys = {dimension.key for dimension in plan.space}
    complete = study.get_trials(deepcopy=False, states=(library.trial.TrialState.COMPLETE,))
    usable = [trial for trial in complete if keys <= set(trial.params)]
    if len(usable) < LEAST_FOR_IMPORTANCE or len({trial.value for trial in usable}) < 2:
        return {}
    kept = library.create_study(direction=study.direction)
    kept.add_trials(usable)
    evaluator = library.importance.FanovaImportanceEvaluator(seed=plan.seed)
    result = library.importance.get_param_importances(kept, evaluator=evaluator)
    return {key: float(share) for key, share in result.items() if math.isfinite(share)}


def sentences(plan: SearchPlan, rows: Sequence[Row], best: Row, folder: Path) -> list[str]:
    """What the result shows, and what it does not."""
    assert best.value is not None
    values, figure = complete(rows), f"{plan.words} {best.value:.4f}"
    lead = f"The best is trial {best.number} with {figure}; the recipe as given (trial 0)"
    if best.number == 0:
        result = [f"No trial was better than the recipe as given (trial 0, {figure})."]
    elif 0 in values:
        difference = f"{values[0]:.4f}, a difference of {best.value - values[0]:+.4f}"
        result = [f"{lead} has {difference}."]
    else:
        why = next((f" ({row.reason})" for row in rows if row.number == 0 and row.reason), "")
        result = [f"{lead} did not finish{why}, so there is nothing to compare."]
    if len(values) > 1:
        way = "high" if plan.higher_is_better else "low"
        result.append(
            f"It was picked as the best of {len(values)} complete trials on the very patches that "
            f"measured it, so {best.value:.4f} is too {way}. No test patch was read."
        )
    if plan.share < 1:
        result.append(
            f"Trials learned from {plan.share:.0%} of the training cases; with all of them other "
            "settings may be best, above all less regularization."
        )
    if keys := outside(plan.space, plan.recipe):
        result.append(
            f"The recipe's own {', '.join(keys)} is outside the space: trial 0 used it, and the "
            "search learned nothing from it."
        )
    for dimension in plan.space if best.number else ():
        place = 0.5 if dimension.kind == "choice" else dimension.place(best.values[dimension.key])
        if place < _AT_THE_END or place > 1 - _AT_THE_END:
            end = dimension.low if place < 0.5 else dimension.high
            result.append(
                f"The best {dimension.key} ({shown(best.values[dimension.key])}) is at the end "
                f"of its range ({end:g}): a wider range may contain a better one."
            )
    if failed := [str(row.number) for row in rows if row.state == "failed"]:
        result.append(
            f"{len(failed)} of {len(rows)} trials failed ({', '.join(failed)}); trials.csv has the "
            "reasons."
        )
    return result


def importance_sentence(shares: dict[str, float], rows: Sequence[Row]) -> str:
    """What the importance figure is based on."""
    count = f"{len(complete(rows))} complete trials"
    if not shares:
        return (
            f"{count} are too few to show which setting decides "
            f"(at least {LEAST_FOR_IMPORTANCE} that differ)."
        )
    first = next(iter(shares))
    hint = "" if len(complete(rows)) >= ENOUGH_FOR_IMPORTANCE else ", which is a hint at most"
    return f"{first} explains {shares[first]:.0%} of the spread between {count}{hint}."


def train_command(plan: SearchPlan, folder: Path) -> str:
    """The command that trains the best recipe."""
    words = ["eosin", "train", plan.store["path"], "--recipe", str(folder / "best.toml")]
    return shlex.join([*words, *plan.split_words, "-o", "RUN"])


def best_toml(
    plan: SearchPlan, best: Row, rows: Sequence[Row], folder: Path, marks: Sequence[str]
) -> str:
    """The best recipe, complete, under a comment with its origin."""
    recipe: Recipe = trial_recipe(plan, best.number, best.values)
    lines = [
        f"Trial {best.number} of a search with {len(rows)} trials ({len(complete(rows))} complete) "
        f"from the recipe {plan.recipe_name},",
        f"on the store {Path(plan.store['path']).name} ({plan.store['digest'][:12]}): "
        f"{plan.words} {best.value:.4f}.",
        "It was picked on the validation part, so that figure is too good; no test patch was read.",
        *[f"Searched: {dimension.sentence()}." for dimension in plan.space],
        *[f"Mark: {mark}" for mark in marks],
        f"Train it with: {train_command(plan, folder)}",
    ]
    if best.number:
        recipe = recipe.changed(
            name=f"{plan.recipe.name}-searched",
            about=f"Trial {best.number} of a search from the recipe {plan.recipe.name}.",
        )
    # A line break in a path or mark must not end the comment.
    comment = "".join(f"# {' '.join(line.split())}\n" for line in lines)
    return comment + recipe.to_toml()


def trials_csv(rows: Sequence[Row], plan: SearchPlan) -> str:
    """The table of all trials as CSV text, one row a trial in their order."""
    keys = [dimension.key for dimension in plan.space]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trial", "state", plan.metric, "epochs", "seconds", *keys, "reason"])
    for row in rows:
        value, *values = (_cell(each) for each in (row.value, *map(row.values.get, keys)))
        cells = [row.number, row.state, value, row.epochs, row.seconds, *values, row.reason]
        writer.writerow(cells)
    return out.getvalue()


def _cell(value: Any) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else shown(value)
