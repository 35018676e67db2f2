"""Tensors of a weights file matched to those of an encoder: which fit, which must be adapted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from eosin.errors import RunError
from eosin.models.checkpoints import (
    from_hugging_face,
    may_be_left_out,
    resample_positions,
    without_prefix,
)
from eosin.records.encoder import EncoderSpec
from eosin.texts import from_json, read_text

#: The tensors of an attention pooling, in CONCH's names.
_POOLS = ((re.compile(r"(?:^|\.)attn_pool_contrast\.(.+)$"), "pool."),
          (re.compile(r"(?:^|\.)ln_contrast\.(.+)$"), "pool.norm."))  # fmt: skip
_PATCHES = "embeddings.patch_embeddings.projection.weight"


@dataclass
class Matched:
    """Tensors under the network's own names, and what was changed for it."""

    tensors: dict[str, Tensor]
    format: str  #: whose names the file has: "timm" or "Hugging Face"
    resampled: dict[str, str] = field(default_factory=dict)  #: name -> "37 x 37 to 16 x 16"
    adapted: dict[str, str] = field(default_factory=dict)  #: name -> "3 to 1 channels"
    left_out: list[str] = field(default_factory=list)  #: names in the file, for example a head


def match(
    spec: EncoderSpec,
    backbone: nn.Module,
    tensors: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    where: str,
) -> Matched:
    """Bring the tensors of a file to the names and shapes of ``target``.

    target: the network's tensors; those of its pooling begin with "pool.". where: the file, for
    messages.

    Raises RunError when tensors are missing, of another shape, or have no place.
    """
    theirs = any(_PATCHES.removesuffix(".weight") in name for name in tensors)
    form = "Hugging Face" if theirs else "timm"
    renamed = _renamed(tensors, target, form)
    matched = Matched({}, form)
    wrong, missing = [], []
    for name, expected in target.items():
        tensor = renamed.pop(name, None)
        if tensor is None:
            # A count of training steps; files that were converted leave it out.
            if name.endswith("num_batches_tracked"):
                matched.tensors[name] = expected
            else:
                missing.append(name)
            continue
        if tensor.shape != expected.shape:
            adapted = _adapted(name, tensor, expected, backbone, matched)
            if adapted is None:
                shapes = f"expected {tuple(expected.shape)}, found {tuple(tensor.shape)}"
                wrong.append(f"{name} {shapes}")
                continue
            tensor = adapted
        matched.tensors[name] = tensor
    unknown = [name for name in renamed if not may_be_left_out(name)]
    matched.left_out = sorted(name for name in renamed if may_be_left_out(name))
    for problem, names in (
        ("tensors of other shapes", wrong),
        ("tensors that are missing", missing),
        ("tensors that have no place in it", unknown),
    ):
        if names:
            raise RunError(
                f"{where} does not fit {spec.title} ({spec.architecture}): {len(names)} {problem}: "
                f"{_some(names)}"
            )
    return matched


def _renamed(
    tensors: Mapping[str, Tensor], target: Mapping[str, Tensor], form: str
) -> dict[str, Tensor]:
    if form == "Hugging Face":
        start = next(name for name in tensors if name.endswith(_PATCHES)).removesuffix(_PATCHES)
        return from_hugging_face(
            {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
        )
    pools: dict[str, Tensor] = {}
    if any(name.startswith("pool.") for name in target):
        for name, tensor in tensors.items():
            for pattern, start in _POOLS:
                if part := pattern.search(name):
                    pools[start + part[1]] = tensor
    rest = {name: t for name, t in tensors.items() if not any(p.search(name) for p, _ in _POOLS)}
    return without_prefix(rest, (n for n in target if not n.startswith("pool."))) | pools


def _adapted(
    name: str, tensor: Tensor, expected: Tensor, backbone: nn.Module, matched: Matched
) -> Tensor | None:
    """The tensor in the expected shape, where there is a way; else None."""
    patches = getattr(backbone, "patch_embed", None)
    if name == "pos_embed" and tensor.ndim == 3 and tensor.shape[2] == expected.shape[2]:
        rows, columns = (int(n) for n in patches.grid_size)  # type: ignore[union-attr]
        front = expected.shape[1] - rows * columns
        side = round(max(tensor.shape[1] - front, 0) ** 0.5)
        if not side or front + side * side != tensor.shape[1]:
            return None
        matched.resampled[name] = f"{side} x {side} to {rows} x {columns} places"
        return resample_positions(
            tensor, front, (rows, columns), antialias=matched.format == "timm"
        )
    one, other = tuple(tensor.shape), tuple(expected.shape)
    if len(one) == 4 and one[:1] + one[2:] == other[:1] + other[2:] and one[1] == 3:
        from timm.models import adapt_input_conv

        matched.adapted[name] = f"3 to {other[1]} channels"
        adapted: Tensor = adapt_input_conv(other[1], tensor)
        return adapted
    return None


def _some(names: Sequence[str], most: int = 4) -> str:
    return "; ".join(names[:most]) + (
        f"; and {len(names) - most} more" if len(names) > most else ""
    )


def check_config(spec: EncoderSpec, backbone: nn.Module, path: Path) -> None:
    """Compare the config.json that transformers writes next to weights with the network.

    It has what no tensor's shape shows, for example the number of heads. A missing file, or one of
    another library, is not an error.

    Raises RunError when the file is damaged or differs from the network.
    """
    if not path.is_file():
        return
    try:
        config: Any = from_json(read_text(path))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error})") from None
    if not isinstance(config, dict) or "num_hidden_layers" not in config:
        return
    blocks: Any = backbone.blocks
    expected = {
        "hidden_size": backbone.num_features,
        "num_hidden_layers": len(blocks),
        "num_attention_heads": blocks[0].attn.num_heads,
        "patch_size": spec.stride_px,
        "num_register_tokens": getattr(backbone, "num_reg_tokens", 0),
        "use_swiglu_ffn": spec.arguments.get("mlp_layer") == "SwiGLUPacked"
        or "giant" in spec.architecture,
    }
    differing = [
        f"{key} expected {value}, found {config[key]}"
        for key, value in expected.items()
        if key in config and config[key] != value
    ]
    if differing:
        raise RunError(f"{path} does not belong to {spec.title}: {_some(differing)}")
