"""The house network: small, residual, made for two cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eosin.models.knn import make_head
from eosin.models.staged import StagedNetwork


class CompactNetwork(StagedNetwork):
    """A residual network whose convolutions are all dense 3x3 with channels in multiples of 16.

    Each stage widens the channels and halves the side (3x3 convolution, then 2x2 max pooling), so
    that every stage costs about the same; residual blocks are only where the side is small. Dense
    kernels are what a processor's matrix units are best at; depthwise ones are bound by memory. For
    50x50 patches: 77 million multiply-adds forward, 1.9 million parameters.

    widths: channels of the stem and of each stage; blocks: residual blocks of each; inner: channels
    between the two convolutions of every residual block, as `eosin prune` leaves them (by default
    those of its stage). drop_path: chance that the last residual block is skipped for a patch in
    training, growing linearly from the first (Huang et al. 2016, "Deep networks with stochastic
    depth").

    >>> CompactNetwork(classes=2)(torch.zeros(1, 3, 50, 50)).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        *,
        classes: int = 2,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        blocks: Sequence[int] = (0, 0, 1, 1, 1),
        inner: Sequence[int] | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        head: str = "linear",
        neighbors: int = 0,
        points: int = 0,
        distance: str = "cosine",
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or not widths:
            raise ValueError(f"widths {list(widths)} and blocks {list(blocks)} differ in length")
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path {drop_path} is not between 0 and 1")
        full = [width for width, n in zip(widths, blocks, strict=True) for _ in range(n)]
        if inner is not None and len(inner) != len(full):
            raise ValueError(f"inner {list(inner)} is not a number for each of {len(full)} blocks")
        hidden = iter(inner or full)
        layers: list[nn.Module] = [_convolution(3, widths[0])]
        rates = iter(drop_path * (k + 1) / max(1, sum(blocks)) for k in range(sum(blocks)))
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            if stage:
                layers += [_convolution(widths[stage - 1], width), nn.MaxPool2d(2)]
            layers += [_Residual(width, next(hidden), next(rates)) for _ in range(count)]
        self.features = nn.Sequential(*layers)
        #: Where the first pooling is among the features.
        self.pooling = next(
            (k for k, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)), len(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = make_head(
            head, widths[-1], classes, neighbors=neighbors, points=points, distance=distance
        )

    def forward(self, images: Tensor) -> Tensor:
        """images: float [N, 3, H, W], scaled. Returns logits float [N, K]."""
        if not self.training:
            return super().forward(images)
        logits: Tensor = self.head(self.dropout(self._learning(images).mean((2, 3))))
        return logits

    def _learning(self, images: Tensor) -> Tensor:
        """The last feature map; ReLU comes after each pooling, where a quarter is left to do.

        The largest of four is the same before and after ReLU, and so is the gradient.
        """
        hidden = images
        layers = list(self.features)
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(following, nn.MaxPool2d):
                parts: Any = layer
                hidden = parts[1](parts[0](hidden))
            elif isinstance(layer, nn.MaxPool2d):
                hidden = functional.relu(layer(hidden), inplace=True)
            else:
                hidden = layer(hidden)
        return hidden

    def early(self, images: Tensor) -> Tensor:
        """The feature map before the first pooling, [N, C, H, W]."""
        maps: Tensor = self.features[: self.pooling](images)
        return maps

    def late(self, maps: Tensor) -> Tensor:
        """From the map before the first pooling to logits float [N, K]."""
        logits: Tensor = self.head(self.dropout(self._pooled(maps)))
        return logits

    def embed(self, images: Tensor) -> Tensor:
        """Embeddings float [N, widths[-1]] of images float [N, 3, H, W], scaled."""
        return self._pooled(self.early(images))

    def _pooled(self, maps: Tensor) -> Tensor:
        pooled: Tensor = self.features[self.pooling :](maps).mean((2, 3))
        return pooled


class _Residual(nn.Module):
    def __init__(self, width: int, inner: int, skipped: float) -> None:
        super().__init__()
        self.skipped = skipped
        self.first = _convolution(width, inner)
        self.second = _convolution(inner, width, activation=False)

    def forward(self, hidden: Tensor) -> Tensor:
        added: Tensor = self.second(self.first(hidden))
        if self.training and self.skipped:
            kept = torch.rand(len(hidden), 1, 1, 1, device=hidden.device) >= self.skipped
            added = added * kept / (1 - self.skipped)
        return functional.relu(hidden + added)


class _Convolution(nn.Sequential):
    """A 3x3 convolution, batch norm and, where it has one, ReLU."""

    def forward(self, images: Tensor) -> Tensor:
        """images: float [N, inputs, H, W]. Returns float [N, outputs, H, W].

        In float32 without gradients the norm is part of the convolution's weights: a pass less over
        the maps, which takes most of the time where they are large. The last bit may differ. What
        follows gradients (training, pruning, maps of an explanation) sees both modules.
        """
        plain = self.training or torch.is_grad_enabled() or torch.compiler.is_exporting()
        if plain or torch.is_autocast_enabled(images.device.type):
            passed: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
            return passed
        parts: Any = self
        convolution, norm = parts[0], parts[1]
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = convolution.weight * scale[:, None, None, None]
        shift = norm.bias - norm.running_mean * scale
        maps = functional.conv2d(images, weight, shift, padding=convolution.padding)
        return functional.relu(maps, inplace=True) if len(parts) > 2 else maps


def _convolution(inputs: int, outputs: int, *, activation: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return _Convolution(*layers, *([nn.ReLU(inplace=True)] if activation else []))
