"""What is known of a pretrained encoder: where its weights are, its license, its input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """The facts about one encoder; what has a default may be left out of the table.

    >>> from eosin.models.pretrained import find_encoder
    >>> find_encoder("resnet18").width
    512
    """

    name: str  #: what the user types
    title: str
    family: str = (
        "timm"  #: "timm" or "transformers": which library's names the published tensors have
    )
    architecture: str  #: timm's name of the network
    #: What timm.create_model gets besides the name.
    arguments: Mapping[str, Any] = field(default_factory=dict)
    hub: str  #: "owner/name" on the Hugging Face hub
    revision: str = ""  #: commit of the weights; "" where unknown: resolved at download, recorded
    #: Names of the weights file in that repository, best first.
    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    parameters: int  #: of the network without a head, at grid_px
    input_px: int  #: side of the square that the encoder is fed
    grid_px: int  #: side for which the published position embeddings were made; often input_px
    mpp: float | None = None  #: micrometers a pixel of the training images; None for photographs
    mean: tuple[float, float, float] = IMAGENET_MEAN
    deviation: tuple[float, float, float] = IMAGENET_DEVIATION
    width: int  #: length of the embedding after pooling
    pooling: str  #: one of models.pretrained.POOLINGS
    licence: str
    gated: bool = False  #: the weights must be requested on the model's page
    commercial: bool  #: whether the license allows commercial use
    pathology: bool = False  #: trained on histology
    trained_on: str
    source: str  #: where the facts of this row come from
    #: Published with code of its own, which transformers would run; here timm builds the network.
    remote_code: bool = False

    @property
    def page(self) -> str:
        """The model's page, for people."""
        return f"huggingface.co/{self.hub}"

    @property
    def stride_px(self) -> int:
        """The input's sides must be multiples of it (ViTs: the patch; CNNs: any side, so 1)."""
        if "patch_size" in self.arguments:
            return int(self.arguments["patch_size"])
        stride = re.search(r"_patch(\d+)", self.architecture)
        return int(stride[1]) if stride else 1
