"""EncoderNetwork: a pretrained backbone from the table, its pooling, and a head.

Building it never downloads: it starts with random weights, and load_encoder_weights puts published
ones in. So a run folder, which contains all weights, is read without the original file.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eosin.errors import needing
from eosin.models.checkpoints import digest, read_weights, weights_files
from eosin.models.knn import make_head
from eosin.models.matching import check_config, match
from eosin.models.pretrained import find_encoder, input_size
from eosin.models.resize import resize
from eosin.models.staged import StagedNetwork
from eosin.records.encoder import EncoderSpec


class EncoderNetwork(StagedNetwork):
    """Images at the store's size in, logits out; resize, backbone, pooling and head are inside.

    encoder: a name of the table. patch_size: (h, w) of the images in pixels. input_px: the longer
    side at which the encoder sees them, 0 for its own; resize: "pixels", or "mpp" with patch_mpp,
    the images' um a pixel (see eosin.models.pretrained.input_size). channels: of the images; 1
    takes RGB images as well and uses their gray mean. dropout: before the head; drop_path:
    stochastic depth of the backbone. head: "linear", or "knn" with neighbors, points and distance
    (see eosin.models.knn).

    Raises RecipeError for an unknown encoder or a size it cannot take, MissingExtraError without
    timm.

    >>> network = EncoderNetwork(encoder="resnet18", classes=2, patch_size=(50, 50), input_px=64)
    >>> network(torch.zeros(1, 3, 50, 50)).shape, network.embed(torch.zeros(1, 3, 50, 50)).shape
    (torch.Size([1, 2]), torch.Size([1, 512]))
    """

    def __init__(
        self,
        *,
        encoder: str,
        classes: int = 2,
        patch_size: tuple[int, int],
        input_px: int = 0,
        resize: str = "pixels",
        patch_mpp: float = 0.0,
        channels: int = 3,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        head: str = "linear",
        neighbors: int = 0,
        points: int = 0,
        distance: str = "cosine",
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels {channels}: at least 1")
        self.spec = find_encoder(encoder)
        self.channels = channels
        #: (h, w) in pixels at which the backbone sees a patch.
        self.input_size = input_size(
            self.spec, patch_size, input_px=input_px, resize=resize, patch_mpp=patch_mpp
        )
        self.backbone = build_backbone(
            self.spec, size=self.input_size, channels=channels, drop_path=drop_path
        )
        self.pool = (
            AttentionPool(int(self.backbone.num_features), self.spec.width)  # type: ignore[arg-type]
            if self.spec.pooling == "attention"
            else None
        )
        self.dropout = nn.Dropout(dropout)
        self.head = make_head(
            head, self.spec.width, classes, neighbors=neighbors, points=points, distance=distance
        )

    def late(self, maps: Tensor) -> Tensor:
        """From images float [N, channels, h, w], scaled, to logits float [N, K]."""
        logits: Tensor = self.head(self.dropout(self.embed(maps)))
        return logits

    def embed(self, images: Tensor) -> Tensor:
        """Embeddings float [N, width] of images float [N, channels, h, w], scaled."""
        if self.channels == 1 and images.shape[1] != 1:
            images = images.mean(1, keepdim=True)
        if tuple(images.shape[2:]) != self.input_size:
            images = resize(images, self.input_size, "bicubic")
        pooling = self.spec.pooling
        if pooling == "avg":
            pooled: Tensor = self.backbone(images)
            return pooled
        tokens: Tensor = self.backbone.forward_features(images)  # type: ignore[operator]
        if self.pool is not None:
            attended: Tensor = self.pool(tokens)
            return attended
        prefix = int(self.backbone.num_prefix_tokens)  # type: ignore[arg-type]
        if pooling == "token":
            return tokens[:, 0]
        mean = tokens[:, prefix:].mean(1)
        return mean if pooling == "mean" else torch.cat([tokens[:, 0], mean], dim=1)

    def blocks(self) -> list[list[nn.Parameter]]:
        """The parameters in groups from the stem to the last block, then those of the head.

        The groups are timm's own, those of layer-wise rates.
        """
        from timm.models import group_parameters

        matcher = self.backbone.group_matcher(coarse=False)  # type: ignore[operator]
        groups: dict[int, list[str]] = group_parameters(self.backbone, matcher)
        parameters = dict(self.backbone.named_parameters())
        blocks = [[parameters[name] for name in groups[depth]] for depth in sorted(groups)]
        after = [self.head] if self.pool is None else [self.pool, self.head]
        return [*blocks, *(list(part.parameters()) for part in after)]


class AttentionPool(nn.Module):
    """One trained query that attends to all tokens: float [N, T, C] to [N, width].

    The pooling of CoCa (arXiv 2205.01917) as CONCH uses it: keys and query are normalized, so is
    what comes out.

    >>> AttentionPool(768, 512)(torch.zeros(2, 10, 768)).shape
    torch.Size([2, 512])
    """

    def __init__(self, inputs: int, width: int, heads: int = 8) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, width) / math.sqrt(width))
        self.attn = nn.MultiheadAttention(width, heads, kdim=inputs, vdim=inputs, batch_first=True)
        self.ln_q = nn.LayerNorm(width)
        self.ln_k = nn.LayerNorm(inputs)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: float [N, T, C]. Returns float [N, width]."""
        keys = self.ln_k(tokens)
        query = self.ln_q(self.query).expand(tokens.shape[0], -1, -1)
        attended, _ = self.attn(query, keys, keys, need_weights=False)
        pooled: Tensor = self.norm(attended[:, 0])
        return pooled


def build_backbone(
    spec: EncoderSpec,
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    drop_path: float = 0.0,
) -> nn.Module:
    """The network of a spec without a head, with random weights.

    size: (h, w) of its input in pixels; None for the size of the published weights.

    Raises MissingExtraError without timm.
    """
    with needing("pretrained", "a pretrained encoder"):
        import timm
        from timm.layers import SwiGLUPacked
    layers: dict[str, Any] = {"SwiGLUPacked": SwiGLUPacked, "SiLU": nn.SiLU}
    arguments = {
        key: layers.get(value, value) if key.endswith("_layer") else value
        for key, value in spec.arguments.items()
    }
    if spec.pooling != "avg":
        # All tokens are needed, normalized; EncoderNetwork pools them.
        arguments |= {"global_pool": "", "img_size": size or spec.grid_px}
    backbone: nn.Module = timm.create_model(
        spec.architecture,
        pretrained=False,
        num_classes=0,
        in_chans=channels,
        drop_path_rate=drop_path,
        **arguments,
    )
    return backbone


def load_encoder_weights(network: EncoderNetwork, path: Path) -> dict[str, Any]:
    """Put published weights into the network's backbone, in place; the head keeps its own.

    path: a weights file, a list of parts, or a folder with one; names as timm or as Hugging Face
    writes them. Position embeddings of another grid are resampled and the first convolution is
    fitted to another number of channels, as timm does both. Returns a record: encoder, path, files,
    digest (SHA-256 of the files), format, tensors, resampled, adapted, left_out.

    Raises RunError when the file is damaged or does not fit, with the tensor and both shapes.
    """
    spec, backbone, pool = network.spec, network.backbone, network.pool
    files = weights_files(path, spec.files)
    check_config(spec, backbone, files[0].parent / "config.json")
    target = dict(backbone.state_dict())
    if pool is not None:
        target |= {f"pool.{name}": value for name, value in pool.state_dict().items()}
    matched = match(spec, backbone, read_weights(files), target, str(path))
    tensors = matched.tensors
    if pool is not None:
        names = [name for name in tensors if name.startswith("pool.")]
        pool.load_state_dict({name.removeprefix("pool."): tensors.pop(name) for name in names})
    backbone.load_state_dict(tensors)
    return {
        "encoder": spec.name,
        "path": str(path),
        "files": [file.name for file in files],
        "digest": digest(files),
        "format": matched.format,
        "tensors": len(target),
        "resampled": matched.resampled,
        "adapted": matched.adapted,
        "left_out": matched.left_out,
    }
