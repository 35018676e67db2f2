"""What is special about training weights that are good already.

Head first, then blocks with rates that fall toward the stem, frozen batch norm, adapters of low
rank instead of the weights themselves, and activations computed again instead of kept.
"""

from __future__ import annotations

import re
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from eosin.config import Recipe
from eosin.errors import RecipeError, needing
from eosin.models.classifier import Classifier

#: The linear layers inside a block of timm's vision transformers.
_ADAPTED = r".*\.attn\.(qkv|proj)|.*\.mlp\.(fc1|fc2)"


class Finetuning:
    """Which parts of a classifier learn, and when. By default all of them, always.

    Made before the optimizer, which takes what may learn at any time. Raises RecipeError where the
    network has no such part, MissingExtraError without peft.
    """

    def __init__(self, model: Classifier, recipe: Recipe) -> None:
        self.model = model
        self.recipe = recipe
        network = model.network
        self._norms = norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
        if recipe.head_epochs >= recipe.epochs > 0 and recipe.head_epochs:
            raise RecipeError(
                f"head_epochs={recipe.head_epochs} leaves none of {recipe.epochs} epochs for the "
                "rest of the network; for the head alone use: eosin probe"
            )
        if recipe.checkpointing:
            _recompute(network, bool(norms) and not recipe.freeze_norm)
        if recipe.lora_rank:
            add_adapters(network, rank=recipe.lora_rank, alpha=recipe.lora_alpha)
        if recipe.freeze_norm:
            for norm in norms:
                norm.requires_grad_(False)
        learning = [p for p in network.parameters() if p.requires_grad]
        head = {id(p) for p in blocks_of(network)[-1]}
        #: What waits until the head has learned something.
        self._waiting = [p for p in learning if id(p) not in head] if recipe.head_epochs else []

    def epoch(self, number: int) -> None:
        """Set the classifier, in training mode, as epoch ``number`` (from 1) needs it."""
        head_only = number <= self.recipe.head_epochs
        for parameter in self._waiting:
            parameter.requires_grad_(not head_only)
        if head_only or self.recipe.freeze_norm:
            for norm in self._norms:
                norm.eval()

    def finish(self) -> None:
        """Leave an ordinary network: adapters added to the weights, everything able to learn."""
        if self.recipe.lora_rank:
            merge_adapters(self.model.network)
        self.model.network.requires_grad_(True)


def blocks_of(network: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters in groups from the stem to the head, for rates that fall with depth.

    A network may have them itself (``blocks``); else each convolution or linear layer starts one.

    >>> from eosin.models.compact import CompactNetwork
    >>> [len(block) for block in blocks_of(CompactNetwork(widths=[8, 16], blocks=[0, 0]))]
    [3, 3, 2]
    """
    own_blocks: Any = getattr(network, "blocks", None)
    if own_blocks is not None:
        return [block for block in own_blocks() if block]
    groups: list[list[nn.Parameter]] = []
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if not own:
            continue
        if isinstance(module, nn.Conv2d | nn.Linear) or not groups:
            groups.append([])
        groups[-1].extend(own)
    return groups


def add_adapters(network: nn.Module, *, rank: int, alpha: float) -> None:
    """Freeze the backbone, and give its blocks' linear layers adapters of low rank that learn.

    Hu et al. 2022, "LoRA: low-rank adaptation of large language models". They start as zero, so the
    network's answers do not change. The head learns as before.
    """
    with needing("pretrained", "lora_rank"):
        from peft import LoraConfig, inject_adapter_in_model
    backbone = getattr(network, "backbone", None)
    adapted = [
        name
        for name, module in (() if backbone is None else backbone.named_modules())
        if isinstance(module, nn.Linear) and re.fullmatch(_ADAPTED, name)
    ]
    if backbone is None or not adapted:
        raise RecipeError(
            "lora_rank is for vision transformers (network encoder): this network has no "
            "attention; leave it at 0 and use layer_decay and freeze_norm"
        )
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=adapted), backbone)


def merge_adapters(network: nn.Module) -> None:
    """Add every adapter to the weights it belongs to, and remove it."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(network.named_modules()):
        if not isinstance(module, LoraLayer):
            continue
        layer: Any = module
        layer.merge()
        above, _, last = name.rpartition(".")
        setattr(network.get_submodule(above), last, layer.get_base_layer())


def _recompute(network: nn.Module, moving_norms: bool) -> None:
    backbone = getattr(network, "backbone", None)
    try:
        if backbone is None:
            raise AttributeError
        backbone.set_grad_checkpointing(True)
    except (AttributeError, AssertionError, NotImplementedError):
        raise RecipeError(
            "checkpointing is for encoders that can compute a block again; this network cannot: "
            "set micro_batch instead"
        ) from None
    if moving_norms:
        raise RecipeError(
            "checkpointing computes blocks twice, and batch norm would count each batch twice: "
            "set freeze_norm=true as well"
        )
