"""Texture in numbers: against plain loops, turned patches, and patches too small to have any."""

import numpy as np
import pytest

from eosin.evaluation.textures import (
    STAINS,
    binary_patterns,
    co_occurrence,
    gray_levels,
    haralick,
    stain_levels,
    texture_features,
)

RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def noisy(n=3, height=14, width=11, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def plain_pattern(gray, row, column, radius):
    """The code of one pixel, as the paper says it."""
    bits = [gray[row + r * radius, column + c * radius] >= gray[row, column] for r, c in RING]
    changes = sum(bits[k] != bits[k - 1] for k in range(8))
    return sum(bits) if changes <= 2 else 9


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_binary_patterns_are_those_of_a_plain_loop(radius):
    gray = gray_levels(noisy()) // 64
    found = binary_patterns(gray, radius)
    _, height, width = gray.shape
    wanted = [
        [
            [plain_pattern(each, row, column, radius) for column in range(radius, width - radius)]
            for row in range(radius, height - radius)
        ]
        for each in gray.astype(int)
    ]
    assert found.tolist() == wanted


@pytest.mark.parametrize("distance", [1, 3])
def test_co_occurrence_is_that_of_a_plain_loop(distance):
    levels = gray_levels(noisy()) // 32
    wanted = np.zeros((3, 8, 8))
    for n, height, width in np.ndindex(levels.shape):
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            y, x = height + down * distance, width + right * distance
            if 0 <= y < levels.shape[1] and 0 <= x < levels.shape[2]:
                one, other = levels[n, height, width], levels[n, y, x]
                wanted[n, one, other] += 1
                wanted[n, other, one] += 1
    wanted /= wanted.sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(co_occurrence(levels, distance, 8), wanted, atol=1e-12)


def test_haralick_by_hand():
    rng = np.random.default_rng(1)
    table = rng.random((2, 5, 5))
    table = table + table.transpose(0, 2, 1)
    table /= table.sum(axis=(1, 2), keepdims=True)
    for row, p in zip(haralick(table), table, strict=True):
        cells = [(i, j, p[i, j]) for i in range(5) for j in range(5)]
        mean = sum(i * v for i, _, v in cells)
        spread = sum((i - mean) ** 2 * v for i, _, v in cells)
        wanted = [
            sum((i - j) ** 2 * v for i, j, v in cells),
            sum(abs(i - j) * v for i, j, v in cells),
            sum(v / (1 + (i - j) ** 2) for i, j, v in cells),
            sum(v**2 for *_, v in cells),
            -sum(v * np.log(v) for *_, v in cells),
            sum((i - mean) * (j - mean) * v for i, j, v in cells) / spread,
        ]
        np.testing.assert_allclose(row, wanted)


def test_stains_are_found_again():
    """A color mixed from known amounts of the three stains gives these amounts."""
    rows = np.array(STAINS) / np.linalg.norm(STAINS, axis=1, keepdims=True)
    amounts = np.array([[0.5, 0.1, 0.0], [0.0, 0.6, 0.1], [0.8, 0.4, 0.05]])
    color = np.exp(-amounts @ rows) * 256 - 1
    levels = stain_levels(color.round().astype(np.uint8).reshape(1, 1, 3, 3))
    found = levels[:, 0, 0].T / 255 * 3 - 0.5
    np.testing.assert_allclose(found, amounts, atol=0.02)


def test_a_turn_or_a_flip_changes_nothing():
    patches = noisy(4, 20, 20)
    wanted = texture_features(patches)
    for turned in (np.rot90(patches, axes=(1, 2)), patches[:, ::-1], patches.transpose(0, 2, 1, 3)):
        np.testing.assert_allclose(texture_features(turned), wanted, rtol=1e-4, atol=1e-5)


def test_patches_do_not_disturb_each_other():
    patches = noisy(5)
    alone = np.concatenate([texture_features(patch[None]) for patch in patches])
    np.testing.assert_allclose(texture_features(patches), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 9, 9), (2, 1, 1), (2, 2, 5), (2, 3, 3), (1, 17, 4)])
def test_any_size_gives_as_many_finite_numbers(shape):
    found = texture_features(np.full((*shape, 3), 7, np.uint8))
    assert found.shape == (shape[0], texture_features(noisy()).shape[1])
    assert np.isfinite(found).all()
