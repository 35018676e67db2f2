"""Whole-batch augmentation against one patch at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from eosin.config import Recipe
from eosin.models.symmetry import turn
from eosin.training.augment import augment, blend, dihedral, shift, stain_and_brightness
from eosin.training.draws import of_step, seeded


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
    after = dihedral(before, 3)
    kinds = [
        next(k for k in range(8) if torch.equal(turn(before[i : i + 1], k)[0], after[i]))
        for i in range(80)
    ]
    assert sorted(np.bincount(kinds).tolist()) == [10] * 8


def test_dihedral_of_patches_that_are_not_square_keeps_their_shape() -> None:
    before = patches(8, 4, 6)
    after = dihedral(before, 0)
    assert after.shape == before.shape
    assert len({after[i].numpy().tobytes() for i in range(8)}) == 8


def test_shift_is_the_mirrored_pad_and_crop() -> None:
    before = patches(40, 7, 9)
    numbers = of_step(Recipe(shift_px=2), 40, (7, 9), epoch=1, step=0)
    assert int(numbers["moves"].abs().max()) == 2
    after = shift(before, numbers["moves"])
    for one, other in zip(before.numpy(), after.numpy(), strict=True):
        wide = np.pad(one, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        crops = [wide[y : y + 7, x : x + 9] for y in range(5) for x in range(5)]
        assert any(np.array_equal(other, crop) for crop in crops)


def test_a_shift_larger_than_the_patch_is_bounded() -> None:
    numbers = of_step(Recipe(shift_px=12), 4, (3, 3), epoch=1, step=0)
    assert int(numbers["moves"].abs().max()) <= 2
    assert shift(patches(4, 3, 3), numbers["moves"]).shape == (4, 3, 3, 3)


def test_stain_of_strength_zero_changes_nothing() -> None:
    before = patches()
    after = stain_and_brightness(before, torch.eye(3).repeat(16, 1, 1), torch.zeros(16, 1, 1))
    assert torch.equal(before, after)


def test_stain_is_the_color_deconvolution_of_one_patch() -> None:
    before = patches(2)
    numbers = of_step(Recipe(stain=0.2, brightness=0.1, seed=7), 2, (6, 6), epoch=1, step=0)
    after = stain_and_brightness(before, numbers["stains"], numbers["offsets"])
    generator = seeded(7, 1, 0, 3)
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
    one = drawn_and_done(recipe, n, step=2)
    assert torch.equal(one, drawn_and_done(recipe, n, step=2))
    assert not torch.equal(one, drawn_and_done(recipe, n, step=3))
    assert one.dtype == torch.uint8
    assert torch.equal(drawn_and_done(Recipe(), n, step=0), patches(n))


def drawn_and_done(recipe: Recipe, n: int, *, step: int) -> torch.Tensor:
    return augment(patches(n), of_step(recipe, n, (6, 6), epoch=1, step=step))


def dark_and_light(n: int) -> torch.Tensor:
    given = torch.zeros(n, 10, 10, 3, dtype=torch.uint8)
    given[n // 2 :] = 200
    return given


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_targets_are_blended_as_the_pixels_are(way: str) -> None:
    recipe = Recipe(**{way: 0.8})
    targets = functional.one_hot((torch.arange(40) >= 20).long(), 2).float()
    for step in range(20):
        numbers = of_step(recipe, 40, (10, 10), epoch=1, step=step)
        mixed, (blended,) = blend(dark_and_light(40), [targets], numbers)
        share = mixed.float().mean((1, 2, 3)) / 200
        assert torch.allclose(blended[:, 1], share, atol=0.004)
        assert torch.allclose(blended.sum(1), torch.ones(40))
        assert mixed.dtype == torch.uint8


def values_after(recipe: Recipe, step: int) -> set[int]:
    numbers = of_step(recipe, 8, (10, 10), epoch=1, step=step)
    return set(blend(dark_and_light(8), [], numbers)[0].unique().tolist())


def test_cutmix_keeps_pixels_and_mixup_blends_them() -> None:
    assert values_after(Recipe(cutmix=1.0), 1) <= {0, 200}
    assert len(values_after(Recipe(mixup=1.0), 1)) > 2


def test_with_both_a_coin_decides() -> None:
    recipe = Recipe(mixup=1.0, cutmix=1.0)
    blended = [bool(values_after(recipe, step) - {0, 200}) for step in range(40)]
    assert 8 < sum(blended) < 32


def test_a_single_patch_is_not_blended() -> None:
    numbers = of_step(Recipe(mixup=1.0), 1, (10, 10), epoch=1, step=0)
    assert torch.equal(blend(dark_and_light(1), [], numbers)[0], dark_and_light(1))
