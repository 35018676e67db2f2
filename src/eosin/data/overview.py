"""Counts of a store: patches by case and class, odd sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eosin.data.store import PatchStore


class CaseCounts(NamedTuple):
    """One case: its patches by class, in the order of the store's classes."""

    case: str
    counts: tuple[int, ...]

    @property
    def patches(self) -> int:
        """All patches of the case."""
        return sum(self.counts)

    @property
    def share(self) -> float:
        """Of two classes the share of the second (prevalence); of more, that of the commonest."""
        top = self.counts[1] if len(self.counts) == 2 else max(self.counts)
        return top / self.patches


def case_counts(store: PatchStore) -> list[CaseCounts]:
    """Every known case with its counts, by name.

    >>> CaseCounts("8863", (772, 207)).patches, round(CaseCounts("8863", (772, 207)).share, 3)
    (979, 0.211)
    """
    known = store.cases != ""
    if not known.any():
        return []
    names, inverse = np.unique(store.cases[known], return_inverse=True)
    classes = len(store.classes)
    flat = np.bincount(inverse * classes + store.labels[known], minlength=len(names) * classes)
    table = flat.reshape(len(names), classes).tolist()
    return [CaseCounts(str(name), tuple(row)) for name, row in zip(names, table, strict=True)]


def edge_patches(store: PatchStore) -> int:
    """Patches whose image had another size than the store's."""
    height, width = store.patch_size
    other = (store.index["height"] != height) | (store.index["width"] != width)
    return int(other.sum())


def quantiles(values: Sequence[float]) -> list[float]:
    """Lowest, 5 %, 25 %, median, 75 %, 95 %, highest.

    >>> quantiles([1, 2, 3])
    [1.0, 1.1, 1.5, 2.0, 2.5, 2.9, 3.0]
    """
    values_at: list[float] = np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).tolist()
    return values_at


def largest_image(store: PatchStore) -> tuple[int, int] | None:
    """The tallest and the widest image before it became a patch, in pixels; None without patches.

    Returns (height_px, width_px), perhaps of two images.
    """
    sides = store.index.select("height", "width").to_numpy()
    return (int(sides[:, 0].max()), int(sides[:, 1].max())) if len(sides) else None
