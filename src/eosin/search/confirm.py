"""Whether the best is better than the recipe as given, or only luckier: both with other seeds.

The search trains every trial with one seed and picks the best, so part of its lead is chance. Here
the best and the recipe as given are trained with the same further seeds. None of these runs was
picked, so chance does not favor either.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from eosin.folders import set_mark
from eosin.runs import RunFolder
from eosin.search.plan import Search
from eosin.search.storage import Row, trial_name, trial_recipe
from eosin.search.trials import kept_value, open_trial
from eosin.studies.study import Job, train

FOLDER = "confirm"


def confirm(search: Search, best: Row, seeds: int) -> dict[str, Any]:
    """Train the best and trial 0 with ``seeds`` further seeds; finished runs are kept.

    Raises StoppedError at Ctrl-C; a run that fails is left out and listed.
    """
    plan = search.plan
    numbers = sorted({0, best.number})
    seeds_used = [plan.recipe.seed + 1 + k for k in range(seeds)]
    names = {(n, s): f"{FOLDER}/{trial_name(n)}-seed{s}" for s in seeds_used for n in numbers}

    def value(name: str, number: int, seed: int) -> float | None:
        recipe = trial_recipe(plan, number, best.values if number else {}).changed(seed=seed)
        run = RunFolder(search.folder / name)
        session, resume = open_trial(search, run, recipe)
        train(session, resume=resume, watch=search.study.watch)
        (run / "resume.pt").unlink(missing_ok=True)
        return kept_value(run, plan.metric)

    (search.folder / FOLDER).mkdir(exist_ok=True)
    set_mark(search.folder / FOLDER, "study")
    done = search.study.do(
        Job(name, f"trial {number} with seed {seed}", partial(value, name, number, seed))
        for (number, seed), name in names.items()
    )
    values: dict[int, dict[int, float]] = {number: {} for number in numbers}
    for (number, seed), name in names.items():
        if (one := done.finished.get(name)) is not None:
            values[number][seed] = one
    own, better = values[0], values[best.number]
    both = [seed for seed in seeds_used if seed in own and seed in better]
    leads = {seed: better[seed] - own[seed] for seed in both}
    return {
        "seeds": seeds_used,
        "given": _summary(own),
        "best": _summary(better) if best.number else None,
        "difference": _summary(leads) if best.number else None,
        "failed": {name.removeprefix(f"{FOLDER}/"): why for name, why in done.failed.items()},
    }


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


def words_of(seeds: dict[str, Any] | None, *, higher_is_better: bool, best: Row) -> list[str]:
    """What the further seeds show, or how to train some."""
    if seeds is None:
        unknown = "How much results differ between training seeds is unknown, so the lead may be "
        return [f"{unknown}luck: measure it with --confirm 3."] if best.number else []
    sentences = [f"Seed run {name} failed: {why}" for name, why in seeds["failed"].items()]
    own, difference = seeds["given"], seeds["difference"]
    if own["sd"] is not None:
        sentences.append(
            f"With {len(own['values'])} further seeds the recipe as given has "
            f"{own['mean']:.4f} ± {own['sd']:.4f} (standard deviation over seeds)."
        )
    if difference and difference["mean"] is not None:
        sentences.append(_verdict(difference, seeds["best"], higher_is_better))
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
    # Twice the standard error: a rule of thumb.
    error = difference["sd"] / len(values) ** 0.5
    if sign * difference["mean"] > 2 * error and better == len(values):
        return text + (
            " That is more than twice its standard error over seeds, on these validation cases."
        )
    return text + " That is within the noise of the training seed: no lead is shown."
