"""Shuffled batches straight from the store's array: one gather a batch, no worker processes.

The training patches are in memory (or on the device) as uint8; the order of every epoch is
a function of the seed and the epoch's number alone, so that a resumed run sees what it would have
seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eosin.config import Recipe
from eosin.data.rows import StoreRows
from eosin.memory import forget_pages
from eosin.training.draws import mixed_seed, seeded

__all__ = ["Batches", "balanced_weights", "input_scaling", "mixed_seed", "seeded", "take"]


def take(patches: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> Tensor:
    """Copy rows of a memory-mapped array into a tensor: uint8 [n, H, W, 3].

    Rows are read in ascending order, which is what a disk is fast at.
    """
    result = np.empty((len(rows), *patches.shape[1:]), dtype=np.uint8)
    order = np.argsort(rows, kind="stable")
    for start in range(0, len(rows), 4096):
        block = order[start : start + 4096]
        result[block] = patches[rows[block]]
        forget_pages(patches)
    return torch.from_numpy(result)


class OnDisk:
    """Patches that are too many for the memory: read from the store batch by batch."""

    device = torch.device("cpu")

    def __init__(self, rows: StoreRows) -> None:
        self._rows = rows

    def index_select(self, axis: int, rows: Tensor) -> Tensor:
        """uint8 [n, H, W, 3] of rows int64 [n]; axis: 0."""
        return take(self._rows.patches, self._rows.rows[rows.numpy()])


@dataclass(eq=False)
class Batches:
    """Batches of one part of a store.

    patches: uint8 [N, H, W, 3]; labels: int64 [N]; both on the device where they are used. The
    recipe has batch_size, seed, sampling ("shuffle": each patch once an epoch; "balanced": classes
    drawn equally often) and drop_last.

    >>> blank = torch.zeros(5, 2, 2, 3, dtype=torch.uint8)
    >>> data = Batches(blank, torch.arange(5), Recipe(batch_size=2))
    >>> data.steps, sorted(int(i) for _, y in data.epoch(1) for i in y)
    (3, [0, 1, 2, 3, 4])
    """

    patches: Tensor | OnDisk
    labels: Tensor
    recipe: Recipe

    def __post_init__(self) -> None:
        self.batch_size = min(self.recipe.batch_size, len(self.labels))

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        full, rest = divmod(len(self.labels), self.batch_size)
        return full + (1 if rest and not self.recipe.drop_last else 0)

    @property
    def patches_an_epoch(self) -> int:
        """Patches that the steps of an epoch take."""
        return min(self.steps * self.batch_size, len(self.labels))

    def order(self, epoch: int) -> Tensor:
        """Row numbers in the order of an epoch: int64 [N]."""
        generator = seeded(self.recipe.seed, epoch, 0)
        count = len(self.labels)
        if self.recipe.sampling == "balanced":
            return torch.multinomial(self._weights, count, replacement=True, generator=generator)
        return torch.randperm(count, generator=generator)

    @cached_property
    def _weights(self) -> Tensor:
        labels = self.labels.cpu()
        return 1.0 / torch.bincount(labels).clamp(min=1)[labels].double()

    def rows(self, epoch: int, *, start: int = 0) -> Iterator[Tensor]:
        """Row numbers of each batch of an epoch, from step ``start`` on: int64 [n]."""
        order = self.order(epoch).to(self.patches.device)
        for step in range(start, self.steps):
            yield order[step * self.batch_size : (step + 1) * self.batch_size]

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Patches uint8 [n, H, W, 3] and labels int64 [n] of rows int64 [n]."""
        # Whole rows are copied; plain indexing goes value by value and takes six times as long.
        return self.patches.index_select(0, rows), self.labels[rows]

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch from step ``start`` on: (uint8 [n, H, W, 3], int64 [n])."""
        return map(self.of, self.rows(epoch, start=start))


def balanced_weights(counts: Tensor) -> Tensor:
    """Weights float32 [K] with which all classes count alike; counts: their patches, int64 [K].

    >>> balanced_weights(torch.tensor([1, 3]))
    tensor([2.0000, 0.6667])
    """
    return (counts.sum() / (len(counts) * counts.clamp(min=1).double())).float()


def input_scaling(
    patches: npt.NDArray[np.uint8] | StoreRows, recipe: Recipe
) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel, of values in 0..1, as the recipe's ``normalize`` asks.

    patches: uint8 [N, H, W, 3]. Exact: from the histogram of all values.

    >>> input_scaling(np.full((1, 2, 2, 3), 255, np.uint8), Recipe())
    ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    """
    kind = recipe.normalize
    if kind == "none":
        return [0.0] * 3, [1.0] * 3
    if kind == "half":
        return [0.5] * 3, [0.5] * 3
    if kind == "encoder":
        from eosin.models.pretrained import find_encoder

        spec = find_encoder(str(recipe.arguments.get("encoder")))
        return list(spec.mean), list(spec.deviation)
    import cv2

    values = np.arange(256) / 255.0
    counts = np.zeros((3, 256), dtype=np.int64)
    # OpenCV counts in float32, which is exact up to 2**24; NumPy takes five times as long.
    together = max(1, 2**24 * 3 * len(patches) // max(1, patches.nbytes))
    for start in range(0, len(patches), together):
        block = patches[start : start + together]
        block = block.reshape(-1, block.shape[2], 3)
        for channel in range(3):
            histogram = cv2.calcHist([block], [channel], None, [256], [0, 256])
            counts[channel] += histogram.ravel().astype(np.int64)
    share = counts / counts.sum(1, keepdims=True)
    mean = share @ values
    variance = share @ values**2 - mean**2
    # A constant channel is left as it is.
    deviation = np.where(variance > 1e-12, np.sqrt(np.maximum(variance, 1e-12)), 1.0)
    return mean.tolist(), deviation.tolist()
