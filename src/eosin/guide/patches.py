"""The patches of a lesson: made-up cases, or a sample of the reader's own store."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import StoreError
from eosin.synthetic.archive import make_store

#: The path of a packed store; lessons then use a sample of its patches.
VARIABLE = "EOSIN_STORE"
#: The side of a sample's patches in pixels, as the lessons' networks need it.
SIDE_PX = 50


def lesson_store(
    path: str | os.PathLike[str],
    *,
    cases: int,
    patches_per_case: int,
    seed: int = 0,
) -> PatchStore:
    """A store for one lesson at ``path``, small enough for two cores.

    Made-up cases; where the variable EOSIN_STORE is the path of a packed store with two classes,
    as many cases and patches of that one. Raises StoreError when ``path`` exists or that store
    cannot be read or is too small.
    """
    store = named_store(cases=cases, patches_per_case=patches_per_case)
    if store is None:
        return make_store(path, cases=cases, patches_per_case=patches_per_case, seed=seed)
    return sample(store, path, cases=cases, patches_per_case=patches_per_case, seed=seed)


def named_store(
    *, classes: int | None = 2, cases: int = 0, patches_per_case: int = 0
) -> PatchStore | None:
    """The store at the path in EOSIN_STORE, or None where that is not set.

    Raises StoreError, with a sentence for the reader, where it cannot be read, has other than
    ``classes`` classes (None takes any number), or fewer than ``cases`` cases that have
    ``patches_per_case`` patches and some of each class.
    """
    named = os.environ.get(VARIABLE, "").strip()
    if not named:
        return None
    advice = f"set another store, or unset {VARIABLE} to use made-up patches"
    try:
        store = PatchStore.open(Path(named).expanduser())
    except StoreError as error:
        raise StoreError(f"{VARIABLE} is not a usable store: {error}") from None
    if len(store) == 0:
        raise StoreError(f"{VARIABLE}: {named} has no patches; {advice}")
    if classes is not None and len(store.classes) != classes:
        listed = ", ".join(store.classes[:4]) + (", ..." if len(store.classes) > 4 else "")
        count = f"{len(store.classes)} class{'es' if len(store.classes) != 1 else ''} ({listed})"
        raise StoreError(f"{VARIABLE}: {named} has {count}; this lesson needs {classes}; {advice}")
    if cases and (usable := len(_usable(store, patches_per_case))) < cases:
        raise StoreError(
            f"{VARIABLE}: {named} has {usable} cases with at least {patches_per_case} patches, "
            f"{_fewest(patches_per_case)} of them of either class; this lesson needs {cases}; "
            f"{advice}"
        )
    return store


def check_named(lesson: Path) -> None:
    """Raise StoreError where a lesson, not yet run, cannot use the store of EOSIN_STORE.

    lesson: its file; its needs are read from its calls, and none of it runs.
    """
    if not os.environ.get(VARIABLE, "").strip():
        return
    for node in ast.walk(ast.parse(lesson.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="lesson_store" | "named_store"), keywords=keywords):
                values = {str(key.arg): key.value for key in keywords}
                needs = values.keys() & {"classes", "cases", "patches_per_case"}
                named_store(**{key: ast.literal_eval(values[key]) for key in needs})


def sample(
    store: PatchStore,
    path: str | os.PathLike[str],
    *,
    cases: int,
    patches_per_case: int,
    seed: int = 0,
) -> PatchStore:
    """A new store with patches of some cases of a store, both classes in each.

    Cases are drawn among those with enough patches of each class to train on; within a case,
    patches are drawn at random, so that its share of positives stays about the same. Patches of
    another size are resized to 50 pixels. Raises StoreError when ``path`` exists.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(_usable(store, patches_per_case))[:cases]
    rows = np.sort(
        np.concatenate(
            [_some(store, store.cases == case, patches_per_case, rng) for case in sorted(chosen)]
        )
    )
    patches = np.asarray(store.patches[rows])
    height, width = patches.shape[1:3]
    if (height, width) != (SIDE_PX, SIDE_PX):
        from eosin.data.fit import resized

        patches = np.stack([resized(patch, (SIDE_PX, SIDE_PX)) for patch in patches])
    with StoreWriter(
        path,
        classes=list(store.classes),
        patch_size=(SIDE_PX, SIDE_PX),
        mpp=None if store.mpp is None else store.mpp * width / SIDE_PX,
        info={"made_up": store.made_up, "layout": store.info.get("layout"), "rejects": []},
    ) as writer:
        writer.append(patches, store.index[rows].to_dicts())
    return PatchStore.open(path)


def _usable(store: PatchStore, patches_per_case: int) -> npt.NDArray[np.str_]:
    """The names of the cases that a sample can be drawn from."""
    names, inverse = np.unique(store.cases, return_inverse=True)
    counts = np.zeros((len(names), len(store.classes)), np.int64)
    np.add.at(counts, (inverse, store.labels), 1)
    many = counts.sum(axis=1) >= patches_per_case
    both = counts.min(axis=1) >= _fewest(patches_per_case)
    return np.asarray(names[many & both & (names != "")])


def _fewest(patches_per_case: int) -> int:
    """Patches of either class that a case must have."""
    return max(1, patches_per_case // 10)


def _some(
    store: PatchStore, mine: npt.NDArray[np.bool_], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Up to ``count`` rows of a case in its own share of classes, at least one of each."""
    rows = rng.permutation(np.flatnonzero(mine))
    first = [rows[store.labels[rows] == k][:1] for k in range(len(store.classes))]
    rest = np.setdiff1d(rows, np.concatenate(first), assume_unique=True)
    rest = rng.permutation(rest)[: max(0, count - sum(map(len, first)))]
    return np.concatenate([*first, rest])[:count]
