"""Whether the best is better than the recipe as given, or only luckier: both with other seeds.

The search trains every trial with one seed and picks the best, so part of its lead is chance. Here
the best and the recipe as given are trained with the same further seeds; none of these runs was
picked, so their difference is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import EosinError, StoppedError
from eosin.runs import RunFolder
from eosin.search.outcome import Row
from eosin.search.plan import Plan
from eosin.search.study import trial_recipe
from eosin.search.trials import Watch, kept_value, session_of, trial_name, unwatched
from eosin.splitting.split_file import Split
from eosin.training.session import fit

FOLDER = "confirm"


def confirm(
    folder: Path,
    plan: Plan,
    store: PatchStore,
    split: Split,
    best: Row,
    *,
    seeds: int,
    again: str,
    watch: Watch = unwatched,
    said: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Train the best and trial 0 with ``seeds`` further seeds; what is trained already is kept.

    Raises StoppedError at Ctrl-C; a run that fails is left out and named.
    """
    numbers = sorted({0, best.number})
    seeds_used = [plan.recipe.seed + 1 + k for k in range(seeds)]
    found: dict[int, dict[int, float]] = {number: {} for number in numbers}
    failed: dict[str, str] = {}
    for seed in seeds_used:
        for number in numbers:
            values = best.values if number else {}
            recipe = trial_recipe(plan, number, values).changed(seed=seed)
            run = RunFolder(folder / FOLDER / f"{trial_name(number)}-seed{seed}")
            try:
                value = _trained(run, store, split, recipe, plan, watch, said)
            except StoppedError:
                raise StoppedError(
                    f"stopped in trial {number} with seed {seed}, its state is saved; "
                    f"go on with: {again}"
                ) from None
            except (EosinError, RuntimeError, ValueError, MemoryError) as error:
                failed[run.path.name] = str(error)
                said(f"{run.path.name} failed: {error}")
                continue
            if value is not None:
                found[number][seed] = value
    result: dict[str, Any] = {
        "seeds": seeds_used,
        "given": _summary(found[0]),
        "best": _summary(found[best.number]) if best.number else None,
        "difference": None,
        "failed": failed,
    }
    if best.number:
        both = [seed for seed in seeds_used if seed in found[0] and seed in found[best.number]]
        result["difference"] = _summary({s: found[best.number][s] - found[0][s] for s in both})
    return result


def _trained(
    run: RunFolder,
    store: PatchStore,
    split: Split,
    recipe: Recipe,
    plan: Plan,
    watch: Watch,
    said: Callable[[str], None],
) -> float | None:
    """The metric of one run, trained or gone on with where it is not finished."""
    session, going_on = session_of(run, store, split, recipe, plan)
    if not run.finished:
        said(f"{run.path.name}: {recipe.name} with seed {recipe.seed}")
        with watch(session) as reporter:
            fit(session, reporter=reporter, resume=going_on)
    (run / "resume.pt").unlink(missing_ok=True)
    return kept_value(run, plan.metric)


def _summary(values: dict[int, float]) -> dict[str, Any]:
    """Mean and standard deviation (n - 1) of figures by seed; None where there are too few.

    >>> _summary({1: 0.9, 2: 0.8})["mean"], _summary({1: 0.9})["sd"]
    (0.8500000000000001, None)
    """
    numbers = list(values.values())
    return {
        "values": {str(seed): value for seed, value in values.items()},
        "mean": float(np.mean(numbers)) if numbers else None,
        "sd": float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None,
    }


def words_of(found: dict[str, Any] | None, *, higher_is_better: bool, best: Row) -> list[str]:
    """What the further seeds say, or that nobody asked them."""
    if found is None:
        if not best.number:
            return []
        return [
            "How much one training seed differs from the next is not known here, so neither is "
            "whether the lead is more than luck: measure it with --confirm 3."
        ]
    sentences = [f"Seed run {name} failed: {why}" for name, why in found["failed"].items()]
    given, difference = found["given"], found["difference"]
    if given["sd"] is not None:
        sentences.append(
            f"With {len(given['values'])} further seeds the recipe as given has "
            f"{given['mean']:.4f} ± {given['sd']:.4f} (standard deviation over seeds)."
        )
    if difference and difference["mean"] is not None:
        sentences.append(_verdict(difference, found["best"], higher_is_better))
    return sentences


def _verdict(difference: dict[str, Any], best: dict[str, Any], higher_is_better: bool) -> str:
    values: Sequence[float] = list(difference["values"].values())
    sign = 1 if higher_is_better else -1
    better = sum(sign * value > 0 for value in values)
    spread = "" if best["sd"] is None else f" ± {best['sd']:.4f}"
    text = (
        f"The best trial has {best['mean']:.4f}{spread} with the same seeds: a mean difference of "
        f"{difference['mean']:+.4f}, better with {better} of {len(values)} seeds."
    )
    if difference["sd"] is None:
        return text + " One seed shows no spread."
    # Twice the standard error: a rule of thumb, said as one.
    error = difference["sd"] / len(values) ** 0.5
    lead = sign * difference["mean"]
    beyond = lead > 2 * error and better == len(values)
    return text + (
        " That is more than twice its standard error over seeds, on these validation cases."
        if beyond
        else " That is within the noise of the training seed: no lead is shown."
    )
