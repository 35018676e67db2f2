"""Batches and input scaling against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eosin.config import Recipe
from eosin.data.rows import StoreRows
from eosin.training.batches import Batches, OnDisk, input_scaling, take


def data(n: int = 23) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 4, 4, 3)
    return pixels.contiguous(), torch.arange(n)


def seen(batches: Batches, epoch: int, start: int = 0) -> list[int]:
    found = []
    for patches, labels in batches.epoch(epoch, start=start):
        assert torch.equal(patches[:, 0, 0, 0].long(), labels)
        found += labels.tolist()
    return found


def test_an_epoch_is_every_patch_once_in_another_order() -> None:
    batches = Batches(*data(), Recipe(batch_size=5, seed=1))
    first, second = seen(batches, 1), seen(batches, 2)
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second
    assert first == seen(Batches(*data(), Recipe(batch_size=5, seed=1)), 1)
    assert first != seen(Batches(*data(), Recipe(batch_size=5, seed=2)), 1)


def test_an_epoch_can_be_entered_in_the_middle() -> None:
    batches = Batches(*data(), Recipe(batch_size=5, seed=1))
    assert seen(batches, 3, start=2) == seen(batches, 3)[10:]


def test_the_last_batch() -> None:
    assert Batches(*data(), Recipe(batch_size=5, seed=0)).steps == 5
    dropped = Batches(*data(), Recipe(batch_size=5, seed=0, drop_last=True))
    assert dropped.steps == 4
    assert len(seen(dropped, 1)) == 20
    # A batch larger than the data is the data.
    assert Batches(*data(3), Recipe(batch_size=50, seed=0, drop_last=True)).steps == 1


def test_balanced_sampling_draws_classes_equally() -> None:
    pixels = torch.zeros(1000, 1, 1, 3, dtype=torch.uint8)
    labels = (torch.arange(1000) < 50).long()
    batches = Batches(pixels, labels, Recipe(batch_size=100, seed=0, sampling="balanced"))
    share = np.mean([y.float().mean().item() for _, y in batches.epoch(1)])
    assert share == pytest.approx(0.5, abs=0.05)


def test_take_reads_rows_in_the_order_asked_for() -> None:
    array = np.random.default_rng(0).integers(0, 256, (50, 2, 3, 3), dtype=np.uint8)
    rows = np.array([7, 3, 3, 49, 0])
    assert np.array_equal(take(array, rows).numpy(), array[rows])


def test_scaling_is_exactly_the_mean_and_deviation() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 5, 4, 3), dtype=np.uint8)
    mean, deviation = input_scaling(pixels, Recipe(normalize="train"))
    scaled = pixels.reshape(-1, 3) / 255.0
    assert np.allclose(mean, scaled.mean(0))
    assert np.allclose(deviation, scaled.std(0))
    assert input_scaling(pixels, Recipe(normalize="half")) == (
        [0.5] * 3,
        [0.5] * 3,
    )
    assert input_scaling(pixels, Recipe(normalize="none")) == (
        [0.0] * 3,
        [1.0] * 3,
    )


def test_patches_that_stay_on_the_disk_give_the_same_batches() -> None:
    array = np.random.default_rng(0).integers(0, 256, (50, 2, 3, 3), dtype=np.uint8)
    rows, labels = np.arange(3, 43)[::-1].copy(), torch.arange(40)
    recipe = Recipe(batch_size=7, seed=1, normalize="train")
    kept = Batches(take(array, rows), labels, recipe)
    stored = Batches(OnDisk(StoreRows(array, rows)), labels, recipe)
    for (one, first), (other, second) in zip(kept.epoch(1), stored.epoch(1), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(first, second)
    assert input_scaling(StoreRows(array, rows), recipe) == input_scaling(array[rows], recipe)
