"""The patches that a lesson works on: made-up cases, or a sample of the reader's own store."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore, StoreWriter
from eosin.synthetic.archive import make_store

#: Names a packed store; lessons then work on a sample of its patches.
VARIABLE = "EOSIN_STORE"


def lesson_store(
    path: str | os.PathLike[str],
    *,
    cases: int,
    patches_per_case: int,
    seed: int = 0,
    size: int = 50,
) -> PatchStore:
    """A store for one lesson at ``path``, small enough for two cores.

    Made-up cases of ``size`` pixels; where the variable EOSIN_STORE names a packed store with two
    classes, as many cases and patches of that one. Raises StoreError when ``path`` exists or the
    named store cannot be read.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return sample(
            PatchStore.open(named), path, cases=cases, patches_per_case=patches_per_case, seed=seed
        )
    return make_store(path, cases=cases, patches_per_case=patches_per_case, seed=seed, size=size)


def sample(
    store: PatchStore,
    path: str | os.PathLike[str],
    *,
    cases: int,
    patches_per_case: int,
    seed: int = 0,
) -> PatchStore:
    """A new store with patches of some cases of a store, both classes in each where it has both.

    Cases are drawn among those with most patches of their smaller class, so that a small sample
    can be trained on. Raises StoreError when ``path`` exists.
    """
    rng = np.random.default_rng(seed)
    names, inverse = np.unique(store.cases, return_inverse=True)
    counts = np.zeros((len(names), len(store.classes)), np.int64)
    np.add.at(counts, (inverse, store.labels), 1)
    rich = np.argsort(-counts.min(axis=1), kind="stable")[: 2 * cases]
    chosen = rng.permutation(rich)[:cases]
    rows = np.sort(
        np.concatenate([_some(store, inverse == k, patches_per_case, rng) for k in sorted(chosen)])
    )
    with StoreWriter(
        path,
        classes=list(store.classes),
        patch_size=store.patch_size,
        mpp=store.mpp,
        info={"made_up": store.made_up, "layout": store.info.get("layout"), "rejects": []},
    ) as writer:
        writer.append(np.asarray(store.patches[rows]), store.index[rows].to_dicts())
    return PatchStore.open(path)


def _some(
    store: PatchStore, mine: npt.NDArray[np.bool_], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Up to ``count`` rows of a case in its own share of classes, at least one of each."""
    rows = rng.permutation(np.flatnonzero(mine))
    first = [rows[store.labels[rows] == k][:1] for k in range(len(store.classes))]
    rest = np.setdiff1d(rows, np.concatenate(first), assume_unique=True)
    rest = rng.permutation(rest)[: max(0, count - sum(map(len, first)))]
    return np.concatenate([*first, rest])[:count]
