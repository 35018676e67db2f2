"""The leakage gap: the same recipe under a patch-random and a case-disjoint split of equal size.

For every seed a case-disjoint split is made, and a patch-random one whose parts have exactly as
many patches; the same network is trained on both with the same seed. Two methods without a network,
color alone and nearest neighbors, are fitted on both as well: neighbors show the leak without any
training. What the patch-random figures are too high by is the gap.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from eosin.config import Recipe
from eosin.data.rows import StoreRows
from eosin.data.store import MADE_UP, PatchStore
from eosin.errors import FailureError, SplitError, StoreError
from eosin.evaluation.baselines import color_histogram, nearest_neighbors
from eosin.evaluation.decisions import choose_threshold
from eosin.evaluation.definitions import figure_names
from eosin.evaluation.intervals import LEVEL
from eosin.splitting.split_file import PARTS, Split
from eosin.splitting.splits import PATCH_RANDOM, by_case, groups_of
from eosin.studies.answers import measured, measured_runs, read_arrays, write_arrays
from eosin.studies.drawings import gap_dots
from eosin.studies.gap_page import page, sentence
from eosin.studies.markdown import counted
from eosin.studies.nested import METHOD, Arm, nested_differences
from eosin.studies.plan import Plan, identity
from eosin.studies.study import Done, PlannedRun, Study, StudyResult, check_classes, marks_of
from eosin.training.session import Session

#: Shares of train, validation and test: those of the tutorial, a fifth of its training part taken
#: for validation.
FRACTIONS = (0.6, 0.15, 0.25)
ARMS = {"patch": "patch-random", "case": "case-disjoint"}
NETWORK = "network"
BASELINES = {"color_histogram": color_histogram, "nearest_neighbors": nearest_neighbors}
_KEPT = "baselines.npz"


def gap(
    store: PatchStore,
    recipe: Recipe,
    folder: str | os.PathLike[str],
    *,
    seeds: int = 3,
    allow_leaks: bool = False,
    replicates: int = 2000,
    **options: Any,
) -> StudyResult:
    """Train under both splits with every seed and measure the difference; called again it resumes.

    seeds: how many; the recipe's seed and the following ones decide split and training alike;
    allow_leaks: of the case-disjoint split (copies in two cases); options: force, again, watch and
    note, as for `Study.open`.
    Raises StoreError or SplitError where cases are unknown or too few, UserError where the folder
    contains something else, StoppedError at Ctrl-C, FailureError where no seed finished both runs.
    """
    _check(store)
    plan = Plan("gap", identity(store), recipe, {"fractions": list(FRACTIONS)}, seeds)
    study = Study.open(folder, store, plan, **options)
    numbers = [recipe.seed + i for i in range(seeds)]
    done = measured_runs(
        study,
        (
            PlannedRun(
                f"seed{seed}-{arm}", split, recipe.changed(seed=seed), None,
                {"allow_leaks": allow_leaks}, f"seed {seed}, {ARMS[arm]}",
            )
            for seed in numbers
            for arm, split in splits_of_equal_size(store, seed=seed).items()
        ),
    )  # fmt: skip
    complete = [s for s in numbers if all(f"seed{s}-{arm}" in done.finished for arm in ARMS)]
    if not complete:
        why = next(iter(done.failed.values()))
        raise FailureError(f"no seed finished both of its runs; the first failed: {why}")
    arms: dict[str, list[tuple[Arm, Arm]]] = {name: [] for name in (NETWORK, *BASELINES)}
    for seed in complete:
        study.note(f"seed {seed}: network, color and nearest neighbors on both test parts")
        first, second = (_arms(done.finished[f"seed{seed}-{arm}"]) for arm in ARMS)
        for method, pairs in arms.items():
            pairs.append((first[method], second[method]))
    result = _result(study, done, complete, arms, replicates)
    return study.write(
        result, {"gap.png": partial(gap_dots, result=result), "gap.md": page(result)}
    )


def splits_of_equal_size(store: PatchStore, *, seed: int) -> dict[str, Split]:
    """A patch-random and a case-disjoint split whose parts have exactly as many patches.

    The case-disjoint split is made first: whole cases give some sizes, and the patches drawn at
    random are cut at the same ones.
    """
    case = by_case(store, fractions=FRACTIONS, seed=seed)
    codes = case.patch_codes(store)
    sizes = [int((codes == code).sum()) for code in range(len(PARTS))]
    order = np.random.default_rng([seed, 1]).permutation(len(store))
    drawn = np.empty(len(store), np.int16)
    drawn[order] = np.repeat(np.arange(len(PARTS), dtype=np.int16), sizes)
    patch = Split(
        scheme="patch",
        store_digest=store.digest,
        unit="patch",
        codes=drawn,
        seed=seed,
        leaking=True,
        marks=(PATCH_RANDOM,),
        headers={"sizes": "/".join(map(str, sizes))},
    )
    return {"patch": patch, "case": case}


def _check(store: PatchStore) -> None:
    """Refuse at once what no run could change."""
    check_classes(store, "there is no gap to measure")
    if not store.cases_known:
        raise StoreError(
            f"{store.path} does not have the case of every patch; the gap compares with a "
            "case-disjoint split, which needs it"
        )
    cases = len(np.unique(groups_of(store)))
    if cases < len(PARTS):
        raise SplitError(
            f"{store.path} has {counted(cases, 'case')}; a case-disjoint "
            "split into train, val and test needs at least 3"
        )


def _arms(session: Session) -> dict[str, Arm]:
    """The network's and the baselines' answers on a run's test part."""
    store, parts = session.store, session.parts
    truths = {name: store.labels[rows] for name, rows in parts.items()}
    cases = store.cases[parts["test"]]
    probs = measured(session)
    two = probs["val"].shape[1] == 2
    cut = float(choose_threshold(truths["val"], probs["val"])) if two else 0.5
    result = {NETWORK: Arm(truths["test"], probs["test"], cases, cut)}
    kept = read_arrays(session.run / _KEPT)
    count = len(parts["test"])
    if not all(len(kept.get(name, ())) == count and f"{name}_cut" in kept for name in BASELINES):
        kept = {}
        train, val, test = (StoreRows(store.patches, parts[name]) for name in PARTS)
        for name, method in BASELINES.items():
            answer = method(
                train, truths["train"], val, truths["val"], test,
                classes=len(store.classes), seed=session.recipe.seed,
            )  # fmt: skip
            kept[name] = answer.y_prob
            kept[f"{name}_cut"] = np.array(float(answer.threshold))
        write_arrays(session.run / _KEPT, kept)
    for name in BASELINES:
        result[name] = Arm(truths["test"], kept[name], cases, float(kept[f"{name}_cut"]))
    return result


def _result(
    study: Study,
    done: Done[Session],
    seeds: Sequence[int],
    arms: Mapping[str, Sequence[tuple[Arm, Arm]]],
    replicates: int,
) -> dict[str, Any]:
    store = study.store
    shown = ("auroc", "average_precision", "balanced_accuracy")
    names = [name for name in figure_names(arms[NETWORK][0][0].prob) if name.endswith(shown)]
    methods = {}
    for method, pairs in arms.items():
        differences = nested_differences(pairs, names, replicates=replicates)
        methods[method] = {
            "differences": {n: {**i.as_dict(), "note": i.note} for n, i in differences.items()},
            "per_seed": [
                {"seed": seed, **{name: _pair(*pair, name) for name in names}}
                for seed, pair in zip(seeds, pairs, strict=True)
            ],
        }
    # The patch-random split leaks on purpose: that is not a mark of the study.
    marks = [MADE_UP] if store.made_up else []
    marks += [f"{name} failed and is left out: {why}" for name, why in done.failed.items()]
    for name, session in done.finished.items():
        of_split = () if name.endswith("-case") else session.marks
        marks += [
            text if text.startswith(f"{name}: ") else f"{name}: {text}"
            for text in marks_of(session)
            if text != MADE_UP and text not in of_split
        ]
    result = study.result(
        marks,
        done.failed,
        classes=list(store.classes),
        figures=names,
        seeds=list(seeds),
        fractions=list(FRACTIONS),
        sizes=[
            {"seed": seed}
            | {part: len(r) for part, r in done.finished[f"seed{seed}-case"].parts.items()}
            for seed in seeds
        ],
        n_patches=len(store),
        n_cases=len(np.unique(store.cases)),
        methods=methods,
        interval={"method": METHOD, "level": LEVEL, "replicates": replicates},
        made_up=store.made_up,
    )
    return {**result, "sentence": sentence(result, study.plan.recipe.name)}


def _pair(patch: Arm, case: Arm, name: str) -> dict[str, float | None]:
    one, two = patch.value(name), case.value(name)
    values = {"patch_random": one, "case_disjoint": two, "difference": one - two}
    return {key: float(value) if np.isfinite(value) else None for key, value in values.items()}
