"""The plan of a search, and its split without test rows.

Test patches are taken out before the first trial, and every trial and every process reads this
split, so no trial can reach them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.data.views import for_recipe
from eosin.errors import SplitError, UserError, closest
from eosin.runs import RunFolder
from eosin.search.space import Dimension
from eosin.search.space_file import parse_space
from eosin.splitting.balance import balanced
from eosin.splitting.split_file import OUT, PARTS, Split, read_split
from eosin.splitting.splits import groups_of
from eosin.studies.plan import PLAN, Plan
from eosin.studies.study import Study

LEFT_OUT = "test patches left out for a search"

#: What a trial is judged by -> (words, whether more is better).
METRICS: dict[str, tuple[str, bool]] = {
    "val_auroc": ("validation AUROC", True),
    "val_average_precision": ("validation average precision", True),
    "val_accuracy": ("validation accuracy", True),
    "val_loss": ("validation loss", False),
}


@dataclass(frozen=True)
class SearchPlan:
    """Everything that decides the trials; their number alone may grow."""

    #: Path, digest and patches.
    store: Mapping[str, Any]
    recipe: Recipe
    #: What the user typed for the recipe.
    recipe_name: str
    space: tuple[Dimension, ...]
    #: "the built-in space" or the file.
    space_origin: str
    metric: str
    seed: int
    trials: int
    allow_leaks: bool = False
    #: Share of the training cases that trials learn from.
    share: float = 1.0
    #: Options that name the split for `eosin train`, such as ("--split", "published").
    split_words: tuple[str, ...] = ()
    #: Where an encoder's weights are, as `session.start` takes it.
    weights: Mapping[str, Any] | None = None

    @property
    def higher_is_better(self) -> bool:
        return METRICS[self.metric][1]

    @property
    def words(self) -> str:
        """The metric in words."""
        return METRICS[self.metric][0]

    def settings(self) -> dict[str, Any]:
        """All but store, recipe and trials, as JSON has it."""
        own = {k: v for k, v in vars(self).items() if k not in ("store", "recipe", "trials")}
        return {**own, "space": {dimension.key: dimension.table() for dimension in self.space}}

    def plan(self) -> Plan:
        """The same as every study keeps it."""
        return Plan("search", self.store, self.recipe, self.settings(), self.trials, "trials")

    @classmethod
    def read(cls, folder: RunFolder) -> SearchPlan:
        """The plan of a search's folder; raises UserError where there is none."""
        plan, origin = Plan.read(folder, "search"), str(folder / PLAN)
        settings = dict(plan.settings)
        try:
            if str(settings["metric"]) not in METRICS:
                raise ValueError(f"metric is {settings['metric']!r}")
            if not isinstance(settings.get("weights"), dict | None):
                raise ValueError("weights is no table")
            settings |= {
                "recipe_name": str(settings["recipe_name"]),
                "space_origin": str(settings["space_origin"]),
                "allow_leaks": bool(settings["allow_leaks"]),
                "space": parse_space(settings["space"], origin=origin),
                "seed": int(settings["seed"]),
                "share": float(settings["share"]),
                "split_words": tuple(map(str, settings["split_words"])),
            }
            return cls(plan.store, plan.recipe, trials=plan.count, **settings)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(f"{origin} is damaged ({type(error).__name__}: {error})") from None


@dataclass(frozen=True)
class Search:
    """A search at work: its folder, its plan, and its split without test rows."""

    study: Study
    plan: SearchPlan
    split: Split

    @property
    def folder(self) -> Path:
        return self.study.folder.path

    @classmethod
    def reopen(
        cls,
        path: str | os.PathLike[str],
        store_path: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Search:
        """The search of a folder; store_path: where the store is now, by default where it was.

        options: again, watch, note. Raises UserError where there is no search or the store is
        missing or another one.
        """
        folder = RunFolder(path)
        plan = SearchPlan.read(folder)
        where = Path(store_path or plan.store["path"])
        if store_path is None and not where.exists():
            raise UserError(
                f"{folder.path} searches on the store {where}, which does not exist anymore; name "
                f"its new place: eosin search STORE --resume {folder.path}"
            )
        store = PatchStore.open(where)
        if store.digest != plan.store["digest"]:
            raise UserError(
                f"{folder.path} was started on store {plan.store['digest'][:12]}, but {store.path} "
                f"is {store.digest[:12]}: its trials cannot be compared with new ones. Use the "
                "same store, or start another search in another folder"
            )
        store = for_recipe(store, plan.recipe)
        split = read_split(folder / "split.csv")
        if len(split.parts(store)["test"]):
            raise SplitError(
                f"{folder / 'split.csv'} has test patches, which a search must not see; it was "
                "changed by hand: start another search"
            )
        plan = replace(plan, store={**plan.store, "path": str(store.path.resolve())})
        return cls(Study(store, plan.plan(), folder, **options), plan, split)


def check_metric(metric: str, store: PatchStore, split: Split) -> None:
    """Refuse a metric that the validation part cannot give.

    Raises UserError for an unknown one, SplitError where the validation part is empty or lacks a
    class.
    """
    if metric not in METRICS:
        raise UserError(f"--metric {metric}: unknown; {closest(metric, METRICS)}")
    if metric == "val_average_precision" and len(store.classes) > 2:
        raise UserError(
            f"--metric {metric} is for two classes, the store has {len(store.classes)}; "
            "use val_auroc"
        )
    rows = split.parts(store)["val"]
    if not len(rows):
        raise SplitError(
            "the split has no validation patches, and trials are judged by them alone; make a "
            "split with a validation part: eosin split"
        )
    counts = np.bincount(store.labels[rows], minlength=len(store.classes))
    missing = [name for name, count in zip(store.classes, counts, strict=True) if not count]
    if missing and metric in ("val_auroc", "val_average_precision"):
        raise SplitError(
            f"the validation part has no patch of class {', '.join(missing)}, so {metric} is not "
            "defined; make another split, or use --metric val_accuracy"
        )


def without_test(
    split: Split, store: PatchStore, *, fold: int | None = None, share: float = 1.0, seed: int = 0
) -> Split:
    """The same split with its test part, and all training cases beyond ``share``, left out.

    fold: for a split into folds, the one that would be tested on. Raises SplitError as
    `Split.parts` does, or when the share leaves no case.
    """
    parts = split.parts(store, fold)
    codes = split.codes.copy()
    if split.folds:
        validates = (int(fold or 0) + 1) % split.folds
        codes[(split.codes >= 0) & (split.codes != validates)] = PARTS.index("train")
        codes[split.codes == validates] = PARTS.index("val")
        codes[split.codes == fold] = OUT
    codes[codes == PARTS.index("test")] = OUT
    notes = [*split.notes, LEFT_OUT]
    if share < 1:
        kept = _share_of(store, parts["train"], share, seed)
        units, names = np.arange(len(store)), kept
        if split.unit != "patch":
            units, names = np.array(split.names), np.unique(store.cases[kept])
        codes[(codes == PARTS.index("train")) & ~np.isin(units, names)] = OUT
        notes.append(f"{share:.0%} of the training cases, chosen with seed {seed}")
    return replace(split, codes=codes, folds=0, notes=tuple(notes))


def _share_of(store: PatchStore, rows: Any, share: float, seed: int) -> Any:
    """About this share of the rows, by complete cases, with the same shares of classes."""
    groups = np.unique(groups_of(store)[rows], return_inverse=True)[1]
    contents = np.zeros((int(groups.max()) + 1, len(store.classes) + 1))
    np.add.at(contents, (groups, store.labels[rows]), 1)
    contents[:, -1] = 1
    return rows[balanced(contents, [share, 1 - share], seed=seed)[groups] == 0]
