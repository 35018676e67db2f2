"""plan.json: what a folder of many runs is about, so that it goes on with the same and no other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from eosin import __version__
from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import FailureError, StoreError, UserError
from eosin.runs import RunFolder

FORMAT = 1
PLAN = "plan.json"


def plan_of(
    study: str, store: PatchStore, recipe: Recipe, *, seeds: int, **settings: Any
) -> dict[str, Any]:
    """The facts that decide every run of a study.

    study: crossval or gap; settings: further numbers and words, such as the number of folds.
    """
    return {
        "format": FORMAT,
        "study": study,
        "recipe": recipe.model_dump(),
        "store": {
            "path": str(store.path.resolve()),
            "digest": store.digest,
            "patches": len(store),
        },
        "seeds": seeds,
        "settings": settings,
        "eosin": __version__,
    }


def open_study(
    path: str | os.PathLike[str], plan: Mapping[str, Any], *, force: bool = False
) -> RunFolder:
    """The folder of a study, new or the one that goes on; it holds plan.json afterwards.

    force: start anew; what the folder holds of an earlier study is removed, and nothing else ever.
    Raises UserError where the folder holds something else, or a study of another plan.
    """
    folder = RunFolder(path)
    store = Path(plan["store"]["path"])
    if folder.path.resolve() != store and folder.path.resolve().is_relative_to(store):
        raise UserError(f"{folder.path} lies inside the store; name a folder beside it")
    exists = folder.path.exists()
    if exists and not folder.path.is_dir():
        raise UserError(f"{folder.path} is a file; name a folder with -o FOLDER")
    if exists and any(folder.path.iterdir()):
        if not (folder / PLAN).is_file():
            raise UserError(
                f"{folder.path} holds something else (it has no {PLAN}); it is left as it is: "
                "name another folder with -o FOLDER"
            )
        if force:
            _clear(folder)
        else:
            earlier = folder.read_json(PLAN)
            said = differences(earlier, plan)
            if said and _begun(folder):
                raise UserError(
                    f"{folder.path} was begun otherwise: {'; '.join(said)}. Say the same again, "
                    "name another folder, or start anew with --force"
                )
            if said:
                _clear(folder)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_json(PLAN, plan)
    except OSError as error:
        raise FailureError(f"{folder.path} cannot be written: {error.strerror or error}") from None
    return folder


def check_classes(store: PatchStore, nothing: str) -> None:
    """Refuse a store without patches (``nothing`` says what cannot be done), or of one class."""
    if not len(store):
        raise StoreError(f"{store.path} holds no patch; {nothing}")
    present = np.unique(store.labels)
    if len(present) < 2:
        raise StoreError(
            f"all {len(store):,} patches of {store.path} are {store.classes[present[0]]}; "
            "a classifier needs at least two classes"
        )


@contextmanager
def writing(study: RunFolder) -> Iterator[None]:
    """Results that cannot be written become a FailureError that says the runs are kept."""
    try:
        yield
    except OSError as error:
        raise FailureError(
            f"{study.path} cannot be written: {error.strerror or error}; the runs are kept, "
            "so make room and say the same command again"
        ) from None


def differences(earlier: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """What two plans disagree about, in words; more seeds than before are no disagreement.

    >>> before = {"study": "gap", "recipe": {"epochs": 3}, "seeds": 2, "settings": {}}
    >>> differences(before, {**before, "recipe": {"epochs": 4}, "seeds": 3})
    ['epochs of the recipe was 3, now 4']
    >>> differences(before, {**before, "seeds": 1})
    ['seeds was 2, now 1']
    """
    said = []
    if earlier.get("format", FORMAT) != plan.get("format", FORMAT):
        said.append(f"the format of {PLAN} was {earlier.get('format')}, now {plan.get('format')}")
    if earlier.get("study") != plan["study"]:
        return [*said, f"it is a study of kind {earlier.get('study')}, not {plan['study']}"]
    stores = [str((each.get("store") or {}).get("digest", "")) for each in (earlier, plan)]
    if stores[0] != stores[1]:
        said.append(f"the store was {stores[0][:12]}, now {stores[1][:12]}")
    for key, of in (("recipe", " of the recipe"), ("settings", "")):
        before, now = earlier.get(key) or {}, plan[key] or {}
        said += [
            f"{name}{of} was {before.get(name)!r}, now {now.get(name)!r}"
            for name in {**before, **now}
            if _plain(before.get(name)) != _plain(now.get(name))
        ]
    if int(plan["seeds"]) < int(earlier.get("seeds") or 0):
        said.append(f"seeds was {earlier['seeds']}, now {plan['seeds']}")
    return said


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _begun(folder: RunFolder) -> bool:
    """Whether any run has trained for a while: only then is there something to lose."""
    return any(
        next(folder.path.glob(f"*/{name}"), None) for name in ("resume.pt", "model.safetensors")
    )


def _clear(folder: RunFolder) -> None:
    """Remove what a study writes: its run folders, results and plan; nothing of anyone else."""
    try:
        for entry in sorted(folder.path.iterdir()):
            if entry.is_dir() and not entry.is_symlink() and run_name(entry.name):
                shutil.rmtree(entry)
            elif entry.name in RESULTS:
                entry.unlink()
    except OSError as error:
        raise FailureError(
            f"{folder.path} cannot be cleared: {error.strerror or error} ({error.filename})"
        ) from None


#: Files that a study writes beside its runs.
RESULTS = (
    PLAN,
    "crossval.json",
    "predictions.parquet",
    "suspects.csv",
    "suspects.png",
    "gap.json",
    "gap.png",
    "gap.md",
    "prune.json",
    "prune.png",
    "prune.md",
)


def run_name(name: str) -> bool:
    """Whether a folder is called as the runs of a study are.

    >>> run_name("seed0-fold3"), run_name("seed2-patch"), run_name("notes"), run_name("seed-fold1")
    (True, True, False, False)
    >>> run_name("keep-0.5"), run_name("keep-0.5-cut"), run_name("keep-sake")
    (True, True, False)
    """
    head, _, tail = name.partition("-")
    if head == "keep":
        return tail.removesuffix("-cut").replace(".", "", 1).isdigit()
    number = tail.removeprefix("fold")
    return head.removeprefix("seed").isdigit() and head.startswith("seed") and (
        tail in ("patch", "case") or (tail.startswith("fold") and number.isdigit())
    )  # fmt: skip
