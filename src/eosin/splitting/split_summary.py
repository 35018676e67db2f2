"""What the parts of a split contain: cases, patches, classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore
from eosin.splitting.split_file import OUT, Split


class PartSummary(NamedTuple):
    """What a part of a split contains."""

    part: str
    cases: int
    patches: int
    #: Patches by class, in the order of the store's classes.
    counts: tuple[int, ...]

    def share(self, label: int) -> float:
        """The share of a class among the part's patches; NaN for an empty part."""
        return self.counts[label] / self.patches if self.patches else float("nan")


def summarize(split: Split, store: PatchStore, fold: int | None = None) -> list[PartSummary]:
    """Cases, patches and classes of every part, or of every fold where ``fold`` is not given.

    A last row "out" counts what is left out; it is missing where nothing is.
    """
    codes = split.patch_codes(store)
    if split.folds and fold is None:
        rows = {f"fold {k}": np.flatnonzero(codes == k) for k in range(split.folds)}
    else:
        rows = split.parts(store, fold)
    left = np.flatnonzero(codes == OUT)
    if len(left):
        rows["out"] = left
    return [_summary(name, store, index) for name, index in rows.items()]


def _summary(name: str, store: PatchStore, rows: npt.NDArray[np.int64]) -> PartSummary:
    counts = np.bincount(store.labels[rows], minlength=len(store.classes)).tolist()
    cases = np.unique(store.cases[rows])
    return PartSummary(name, int((cases != "").sum()), len(rows), tuple(counts))


def header_of(split: Split) -> dict[str, Any]:
    """What a split has besides its rows, for JSON."""
    return {
        "scheme": split.scheme,
        "seed": split.seed,
        "store": split.store_digest,
        "leaking": split.leaking,
        "folds": split.folds or None,
        "notes": list(split.notes),
        "marks": list(split.marks),
        **split.headers,
    }


def missing_classes(split: Split, store: PatchStore) -> list[str]:
    """A sentence for every class that a part with patches lacks."""
    sentences = []
    for part in summarize(split, store):
        lacking = [name for name, n in zip(store.classes, part.counts, strict=True) if not n]
        if part.patches and lacking and part.part != "out":
            sentences.append(f"{part.part} has no patch of class {', '.join(lacking)}")
    return sentences
