"""Whole-batch augmentation against one patch at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eosin.config import Recipe
from eosin.models.symmetry import turn
from eosin.training.augment import augment, dihedral, shift, stain_and_brightness
from eosin.training.batches import seeded


def patches(n: int = 16, height: int = 6, width: int = 6) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)
    )


def test_turn_gives_the_eight_symmetries() -> None:
    patch = patches(1)
    found = {turn(patch, k).contiguous().numpy().tobytes() for k in range(8)}
    square = patch[0].numpy()
    expected = {
        np.ascontiguousarray(np.rot90(m, k)).tobytes()
        for m in (square, square[::-1])
        for k in range(4)
    }
    assert found == expected


def test_dihedral_turns_each_patch_by_one_symmetry_in_equal_shares() -> None:
    before = patches(80)
    after = dihedral(before, seeded(3))
    kinds = [
        next(k for k in range(8) if torch.equal(turn(before[i : i + 1], k)[0], after[i]))
        for i in range(80)
    ]
    assert sorted(np.bincount(kinds).tolist()) == [10] * 8


def test_dihedral_of_patches_that_are_not_square_keeps_their_shape() -> None:
    before = patches(8, 4, 6)
    after = dihedral(before, seeded(0))
    assert after.shape == before.shape
    assert len({after[i].numpy().tobytes() for i in range(8)}) == 8


def test_shift_is_the_mirrored_pad_and_crop() -> None:
    before = patches(40, 7, 9)
    after = shift(before, 2, seeded(5))
    for one, other in zip(before.numpy(), after.numpy(), strict=True):
        wide = np.pad(one, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        crops = [wide[y : y + 7, x : x + 9] for y in range(5) for x in range(5)]
        assert any(np.array_equal(other, crop) for crop in crops)


def test_a_shift_larger_than_the_patch_is_bounded() -> None:
    assert shift(patches(4, 3, 3), 60, seeded(0)).shape == (4, 3, 3, 3)


def test_stain_of_strength_zero_changes_nothing() -> None:
    before = patches()
    after = stain_and_brightness(before, stain=0.0, brightness=0.0, generator=seeded(0))
    assert torch.equal(before, after)


def test_stain_is_the_color_deconvolution_of_one_patch() -> None:
    before = patches(2)
    after = stain_and_brightness(before, stain=0.2, brightness=0.1, generator=seeded(7))
    generator = seeded(7)
    factors = 1 + 0.2 * (2 * torch.rand(2, 3, generator=generator).numpy() - 1)
    offsets = 0.1 * (2 * torch.rand(2, 1, 1, generator=generator).numpy() - 1)
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    for k in range(2):
        density = -np.log((before[k].numpy() + 1.0) / 256)
        amounts = density @ np.linalg.inv(stains) * factors[k]
        expected = 256 * np.exp(-(amounts @ stains + offsets[k])) - 1
        assert np.abs(after[k].numpy() - expected.clip(0, 255)).max() < 0.51


@pytest.mark.parametrize("n", [1, 5, 16])
def test_augment_is_a_function_of_its_seed(n: int) -> None:
    recipe = Recipe(dihedral=True, shift_px=2, stain=0.1, brightness=0.1)
    one = augment(patches(n), recipe, seeded(1, 2))
    assert torch.equal(one, augment(patches(n), recipe, seeded(1, 2)))
    assert not torch.equal(one, augment(patches(n), recipe, seeded(1, 3)))
    assert one.dtype == torch.uint8
    assert torch.equal(augment(patches(n), Recipe(), seeded(1)), patches(n))
