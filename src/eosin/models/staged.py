"""What all networks have in common: an early feature map, and the rest of the network."""

from __future__ import annotations

from torch import Tensor, nn


class StagedNetwork(nn.Module):
    """A network in two stages, so that the out-of-scope check can look between them."""

    def forward(self, images: Tensor) -> Tensor:
        """images: float [N, C, H, W], scaled. Returns logits float [N, K], or [N, 1]."""
        return self.late(self.early(images))

    def early(self, images: Tensor) -> Tensor:
        """What the out-of-scope check looks at: by default the images themselves."""
        return images

    def late(self, maps: Tensor) -> Tensor:
        """From ``early`` to logits float [N, K], or [N, 1]."""
        raise NotImplementedError
