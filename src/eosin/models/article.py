"""The tutorial's breast-cancer network, as it was written and corrected."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from eosin.models.staged import StagedNetwork


class ArticleNetwork(StagedNetwork):
    """Three 3x3 convolutions, three linear layers, ONE output: the logit of the positive class.

    For 50x50 patches: 3 -> 64 -> 128 -> 256 channels, each followed by ReLU and 2x2 max pooling,
    then 4096 -> 1024 -> 512 -> 1. 5,091,457 parameters, 136.5 MFLOP forward a patch.

    width: channels of the first convolution, which all others follow; widths: instead of it, the
    outputs of the five layers before the last, as `eosin prune` leaves them.

    >>> network = ArticleNetwork()
    >>> sum(p.numel() for p in network.parameters())
    5091457
    """

    def __init__(
        self,
        *,
        patch_size: tuple[int, int] = (50, 50),
        width: int = 64,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        outputs = [width * times for times in (1, 2, 4, 16, 8)] if widths is None else list(widths)
        if len(outputs) != 5:
            raise ValueError(f"widths {outputs} are not five numbers, one a layer before the last")
        self.conv1 = nn.Conv2d(3, outputs[0], 3)
        self.conv2 = nn.Conv2d(outputs[0], outputs[1], 3)
        self.conv3 = nn.Conv2d(outputs[1], outputs[2], 3)
        height, breadth = (_after_pooling(side) for side in patch_size)
        self.fc1 = nn.Linear(outputs[2] * height * breadth, outputs[3])
        self.fc2 = nn.Linear(outputs[3], outputs[4])
        self.fc3 = nn.Linear(outputs[4], 1)

    def forward(self, images: Tensor) -> Tensor:
        """images: float [N, 3, H, W], scaled. Returns logits float [N, 1]."""
        if not self.training:
            return super().forward(images)
        # The largest of four is the same before and after ReLU, and so is the gradient; after
        # pooling a quarter of the work is left.
        hidden = images
        for convolution in (self.conv1, self.conv2, self.conv3):
            hidden = functional.relu(functional.max_pool2d(convolution(hidden), 2), inplace=True)
        return self._answer(hidden)

    def early(self, images: Tensor) -> Tensor:
        """The first feature map, before pooling: [N, C, H - 2, W - 2]."""
        return functional.relu(self.conv1(images))

    def late(self, maps: Tensor) -> Tensor:
        """From the first feature map to logits float [N, 1]."""
        hidden = functional.max_pool2d(maps, 2)
        for convolution in (self.conv2, self.conv3):
            hidden = functional.max_pool2d(functional.relu(convolution(hidden)), 2)
        return self._answer(hidden)

    def _answer(self, maps: Tensor) -> Tensor:
        """From the last feature map, pooled, to logits float [N, 1]."""
        hidden = maps.flatten(1)
        hidden = functional.relu(self.fc2(functional.relu(self.fc1(hidden))))
        logits: Tensor = self.fc3(hidden)
        return logits


class ArticleVerbatimNetwork(ArticleNetwork):
    """The same network as the tutorial ends it: log_softmax over ONE column.

    The softmax of a single number is 1 and its logarithm 0, whatever the weights: the output is
    constant, so its gradient is 0 and no weight ever changes.

    >>> network = ArticleVerbatimNetwork(width=2)
    >>> network(torch.randn(3, 3, 50, 50)).abs().max().item()
    0.0
    """

    def _answer(self, maps: Tensor) -> Tensor:
        """From the last feature map to zeros float [N, 1]."""
        return torch.log_softmax(super()._answer(maps), dim=1)


def _after_pooling(side: int) -> int:
    for _ in range(3):
        side = (side - 2) // 2
    if side < 1:
        raise ValueError("the article's network needs patches of at least 22 pixels")
    return side
