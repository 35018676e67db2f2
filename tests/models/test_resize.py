"""Resizing by matrices is torch's antialiased interpolation."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from eosin.models.resize import resize, resize_by_matrices


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("given", "wanted"),
    [((50, 50), (50, 50)), ((61, 57), (50, 50)), ((20, 30), (50, 50)), ((7, 90), (32, 20)),
     ((1, 1), (5, 5)), ((64, 64), (16, 24))],
)  # fmt: skip
def test_the_same_as_torch(given: tuple[int, int], wanted: tuple[int, int], mode: str) -> None:
    images = 255 * torch.rand(2, 3, *given, generator=torch.Generator().manual_seed(0))
    plain = functional.interpolate(images, size=wanted, mode=mode, antialias=True)
    found = resize_by_matrices(images, wanted, mode)
    torch.testing.assert_close(found, plain, atol=5e-4, rtol=0)
    assert torch.equal(resize(images, wanted, mode), plain)
    if given == wanted:
        assert torch.equal(found, images)
