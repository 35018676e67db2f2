"""Antialiased resizing, as torch does it and as two matrix products that every runtime knows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def resize(images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """float [N, C, H, W] to [N, C, h, w], antialiased; mode: "bilinear" or "bicubic".

    While a graph is exported it is written as matrix products: OpenVINO and runtimes of browsers
    leave the antialiasing out of the operator that torch exports for it, without a word.
    """
    if torch.compiler.is_exporting():
        return resize_by_matrices(images, size, mode)
    return functional.interpolate(images, size=size, mode=mode, antialias=True)


def resize_by_matrices(images: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """The same as ``functional.interpolate(..., antialias=True)`` by two matrix products.

    images: float [N, C, H, W], of sizes that may be free in an exported graph. Images of the right
    size stay as they are, to the bit.

    >>> resize_by_matrices(torch.arange(4.0).reshape(1, 1, 1, 4), (1, 2)).flatten()
    tensor([0.7143, 2.2857])
    """
    height, width = images.shape[2:]
    down, across = weights(size[0], height, mode), weights(size[1], width, mode)
    return torch.matmul(torch.matmul(down, images), across.T)


def weights(wanted: int, given: int, mode: str = "bilinear") -> Tensor:
    """Share of each given pixel in each wanted one along a side: float32 [wanted, given].

    The kernel (a triangle, or Keys' cubic with a = -0.5) is as wide as the larger of the two pixels
    and its values sum to 1, as in Pillow and in torch's antialiased interpolation.

    >>> weights(1, 2)
    tensor([[0.5000, 0.5000]])
    """
    # A tensor from the start: in an exported graph the given size is known at run time only.
    scale = torch.ones(()) * given / wanted
    centers = (torch.arange(wanted) + 0.5) * scale
    apart = (torch.arange(given) + 0.5 - centers[:, None]).abs() / scale.clamp(min=1.0)
    kernel = _cubic(apart) if mode == "bicubic" else _triangle(apart)
    return kernel / kernel.sum(1, keepdim=True)


def _triangle(apart: Tensor) -> Tensor:
    return (1 - apart).clamp(min=0)


def _cubic(apart: Tensor) -> Tensor:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", a = -0.5."""
    near = (1.5 * apart - 2.5) * apart * apart + 1
    far = ((-0.5 * apart + 2.5) * apart - 4) * apart + 2
    return torch.where(apart < 1, near, torch.where(apart < 2, far, torch.zeros_like(apart)))
