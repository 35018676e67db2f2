"""plan.json and split.csv: what a search is about, so that it goes on with the same and no other.

The search's split holds training and validation rows only. Test patches are taken out here, before
the first trial, and every trial and every worker reads this file: there is no way back to them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eosin import __version__
from eosin.config import Recipe, make_recipe
from eosin.data.store import PatchStore
from eosin.errors import FailureError, SplitError, UserError, closest
from eosin.runs import RunFolder
from eosin.search.space import Dimension
from eosin.search.space_file import parse_space
from eosin.splitting.balance import balanced
from eosin.splitting.split_file import OUT, PARTS, Split, read_split, write_split
from eosin.splitting.splits import groups_of

FORMAT = 1
PLAN = "plan.json"
LEFT_OUT = "test patches left out for a search"

#: What a trial is judged by -> (words, whether more is better).
METRICS: dict[str, tuple[str, bool]] = {
    "val_auroc": ("validation AUROC", True),
    "val_average_precision": ("validation average precision", True),
    "val_accuracy": ("validation accuracy", True),
    "val_loss": ("validation loss", False),
}


@dataclass(frozen=True)
class Plan:
    """Everything that decides the trials; their number alone may grow."""

    store_path: str
    store_digest: str
    recipe: Recipe
    #: What the user typed for the recipe.
    recipe_name: str
    space: tuple[Dimension, ...]
    #: "built in" or the file.
    space_origin: str
    metric: str
    seed: int
    trials: int
    allow_leaks: bool = False
    #: Share of the training cases that trials learn from.
    share: float = 1.0
    #: Options that name the split for `eosin train`, such as ("--split", "published").
    split_words: tuple[str, ...] = ()
    #: Where an encoder's weights lie, as `session.start` takes it.
    weights: Mapping[str, Any] | None = None

    @property
    def higher_is_better(self) -> bool:
        return METRICS[self.metric][1]

    def to_dict(self) -> dict[str, Any]:
        """As plan.json holds it."""
        return {
            "format": FORMAT,
            "study": "search",
            "store": {"path": self.store_path, "digest": self.store_digest},
            "recipe": self.recipe.model_dump(),
            "recipe_name": self.recipe_name,
            "space": {dimension.key: dimension.table() for dimension in self.space},
            "space_origin": self.space_origin,
            "metric": self.metric,
            "seed": self.seed,
            "trials": self.trials,
            "allow_leaks": self.allow_leaks,
            "share": self.share,
            "split_words": list(self.split_words),
            "weights": None if self.weights is None else dict(self.weights),
            "eosin": __version__,
        }


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
            "the split has no validation patches, and trials are judged by nothing else; make a "
            "split with a validation part: eosin split"
        )
    present = np.unique(store.labels[rows])
    if len(present) < len(store.classes) and metric in ("val_auroc", "val_average_precision"):
        missing = [name for k, name in enumerate(store.classes) if k not in present]
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
    codes[(codes == PARTS.index("test"))] = OUT
    notes = [*split.notes, LEFT_OUT]
    if share < 1:
        kept = _share_of(store, parts["train"], share, seed)
        rows = np.zeros(len(store), np.bool_)
        rows[kept] = True
        if split.unit == "patch":
            codes[(codes == PARTS.index("train")) & ~rows] = OUT
        else:
            names = set(np.unique(store.cases[kept]).tolist())
            dropped = np.array([name not in names for name in split.names], np.bool_)
            codes[(codes == PARTS.index("train")) & dropped] = OUT
        notes.append(f"{share:.0%} of the training cases, chosen with seed {seed}")
    return replace(split, codes=codes, folds=0, notes=tuple(notes))


def _share_of(store: PatchStore, rows: Any, share: float, seed: int) -> Any:
    """About this share of the rows, whole cases, with the classes as they are."""
    groups = np.unique(groups_of(store)[rows], return_inverse=True)[1]
    contents = np.zeros((int(groups.max()) + 1, len(store.classes) + 1))
    np.add.at(contents, (groups, store.labels[rows]), 1)
    contents[:, -1] = 1
    return rows[balanced(contents, [share, 1 - share], seed=seed)[groups] == 0]


def begin(path: str | os.PathLike[str], plan: Plan, split: Split) -> RunFolder:
    """Make the folder of a search, with its plan and its split.

    Raises UserError where something is there already, FailureError where it cannot be written.
    """
    folder = RunFolder(path)
    store = Path(plan.store_path)
    if folder.path.resolve().is_relative_to(store):
        raise UserError(f"{folder.path} lies inside the store; name a folder beside it")
    if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        hint = (
            f"go on with: eosin search --resume {folder.path}"
            if (folder / PLAN).exists()
            else "choose another name with -o FOLDER"
        )
        raise UserError(f"{folder.path} exists already; {hint}")
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        write_split(split, folder / "split.csv")
        # Last: a folder with a plan is complete.
        folder.write_json(PLAN, plan.to_dict())
    except OSError as error:
        raise FailureError(f"{folder.path} cannot be written: {error.strerror or error}") from None
    return folder


def reopen(
    path: str | os.PathLike[str], store_path: str | os.PathLike[str] | None = None
) -> tuple[RunFolder, Plan, PatchStore, Split]:
    """The search of a folder: plan, store and split without test rows.

    store_path: where the store is now; by default where it was.
    Raises UserError where there is no search or the store is gone or another one.
    """
    folder = RunFolder(path)
    if not (folder / PLAN).is_file():
        raise UserError(
            f"{folder.path} is not the folder of a search (it has no {PLAN}); begin one with: "
            f"eosin search STORE -o {folder.path}"
        )
    plan = _plan(folder.read_json(PLAN), str(folder / PLAN))
    where = Path(store_path or plan.store_path)
    if store_path is None and not where.exists():
        raise UserError(
            f"{folder.path} searches on the store {where}, which is gone; say where it is now: "
            f"eosin search STORE --resume {folder.path}"
        )
    store = PatchStore.open(where)
    if store.digest != plan.store_digest:
        raise UserError(
            f"{folder.path} was begun on store {plan.store_digest[:12]}, but {store.path} is "
            f"{store.digest[:12]}: its trials cannot be compared with new ones. Name the store it "
            "was begun on, or begin another search in another folder"
        )
    split = read_split(folder / "split.csv")
    if len(split.parts(store)["test"]):
        raise SplitError(
            f"{folder / 'split.csv'} has test patches, which a search must not see; it was changed "
            "by hand: begin another search"
        )
    return folder, replace(plan, store_path=str(store.path.resolve())), store, split


def grown(folder: RunFolder, plan: Plan, trials: int | None) -> Plan:
    """The plan with another number of trials in all, kept in the folder."""
    if trials is None or trials == plan.trials:
        return plan
    found = replace(plan, trials=trials)
    folder.write_json(PLAN, found.to_dict())
    return found


def _plan(data: Mapping[str, Any], origin: str) -> Plan:
    if data.get("study") != "search":
        raise UserError(f"{origin} is of a study of kind {data.get('study')!r}, not of a search")
    if data.get("format") != FORMAT:
        raise UserError(f"{origin} has format {data.get('format')!r}, this version reads {FORMAT}")
    try:
        return Plan(
            store_path=str(data["store"]["path"]),
            store_digest=str(data["store"]["digest"]),
            recipe=make_recipe(data["recipe"], origin=origin),
            recipe_name=str(data["recipe_name"]),
            space=parse_space(data["space"], origin=origin),
            space_origin=str(data["space_origin"]),
            metric=str(data["metric"]),
            seed=int(data["seed"]),
            trials=int(data["trials"]),
            allow_leaks=bool(data["allow_leaks"]),
            share=float(data["share"]),
            split_words=tuple(map(str, data["split_words"])),
            weights=data["weights"] and dict(data["weights"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{origin} is damaged ({type(error).__name__}: {error})") from None
