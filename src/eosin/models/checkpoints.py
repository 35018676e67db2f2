"""Weights files as others publish them: read them, and bring their names and shapes to timm's.

Tensors are only read: safetensors, or torch files with weights_only, so no code of a file runs.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from eosin.errors import RunError
from eosin.texts import from_json, read_text

#: Names of the lists of parts that large checkpoints come with.
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
ENDINGS = (".safetensors", ".bin", ".pth", ".pt", ".torch")
#: Where training programs put the weights inside a file.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "teacher")
#: What a published file may contain besides the encoder: classifiers, poolers, training parts.
_LEFT_OUT = re.compile(
    r"(^|\.)(head|heads|head_dist|fc|classifier|pooler|mask_token|num_batches_tracked|"
    r"dino_head|ibot_head|logit_scale)(\.|$)|^rope\."
)


def weights_files(path: Path, names: Sequence[str]) -> list[Path]:
    """The file, or the files in a folder, that contain the weights.

    names: of weights files in the publisher's repository, best first; a list of parts (sharded
    checkpoint) means its parts.

    Raises RunError when there is none, or when a part is missing.
    """
    if path.is_file():
        return _parts(path)
    if not path.is_dir():
        raise RunError(f"{path}: no such file or folder; --weights takes a weights file or folder")
    likely = [each for name in names for each in (name, f"{name}.index.json")]
    for name in (*likely, *INDEXES):
        if (path / name).is_file():
            return _parts(path / name)
    files = sorted(file for file in path.iterdir() if file.suffix in ENDINGS)
    if len(files) == 1:
        return files
    many = f"{len(files)} weights files ({', '.join(file.name for file in files[:5])})"
    raise RunError(
        f"{path} contains {many if files else 'no weights file'}; expected {' or '.join(names)}"
        + ("; give the path of one of them" if files else "")
    )


def _parts(file: Path) -> list[Path]:
    """The file itself, or the parts that it lists."""
    if not file.name.endswith(".index.json"):
        return [file]
    try:
        names = sorted(set(from_json(read_text(file))["weight_map"].values()))
        # A list of parts must not lead out of its folder.
        parts = [file.parent / Path(name).name for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file} is not a list of parts ({error})") from None
    if missing := [part.name for part in parts if not part.is_file()]:
        raise RunError(f"{file} lists parts that are missing: {', '.join(missing)}")
    return parts


def read_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """All tensors of the files by the names that they have there, on the CPU.

    Raises RunError for a file that is damaged, or that contains more than tensors.
    """
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _read(file)
    if not tensors:
        raise RunError(f"{files[0]} contains no tensors")
    return tensors


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            loaded: dict[str, Tensor] = load_file(file)
            return loaded
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise RunError(
            f"{file} contains more than tensors, and reading it could run its code; get a "
            "safetensors file"
        ) from None
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise RunError(f"{file} is damaged or not a weights file ({reason})") from None
    return _tensors(content, file)


def _tensors(content: Any, file: Path) -> dict[str, Tensor]:
    """The tensors in the content of a torch file, also where they are wrapped."""
    if isinstance(content, Mapping):
        tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        for name in _WRAPPERS:
            if isinstance(content.get(name), Mapping):
                return _tensors(content[name], file)
    raise RunError(f"{file} contains no tensors by name, but {type(content).__name__}")


def digest(files: Iterable[Path]) -> str:
    """SHA-256 of the files, one after the other."""
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def without_prefix(tensors: Mapping[str, Tensor], expected: Iterable[str]) -> dict[str, Tensor]:
    """The tensors below the prefix ("model.", "module.vit.") under which most names are expected.

    >>> without_prefix({"vit.norm.bias": torch.zeros(1), "text.norm": torch.zeros(1)},
    ...                ["norm.bias"])
    {'norm.bias': tensor([0.])}
    """
    names = set(expected)
    counts: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        for depth in range(min(4, len(parts))):
            if ".".join(parts[depth:]) in names:
                counts[".".join(parts[:depth])] += 1
    prefix = counts.most_common(1)[0][0] if counts else ""
    if not prefix:
        return dict(tensors)
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


#: Hugging Face's names within a block -> timm's; both of transformers 4 and of 5.
_BLOCK_NAMES = (
    (r"attention\.output\.dense|attention\.o_proj", "attn.proj"),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"layer_scale([12])\.lambda1", r"ls\1.gamma"),
    (r"mlp\.weights_in|intermediate\.dense", "mlp.fc1"),
    (r"mlp\.weights_out|(?<!attention\.)output\.dense", "mlp.fc2"),
)
_OUTER_NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
_BLOCK = re.compile(r"^(?:encoder\.)?layers?\.(\d+)\.(.+)$")
_QKV = re.compile(r"^attention\.(?:attention\.)?(query|key|value|[qkv]_proj)\.(weight|bias)$")


def from_hugging_face(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a ViT, DINOv2 or DINOv2 with registers under timm's names.

    Query, key and value are joined as timm joins them. With registers timm adds no position to the
    class token, so the first position is added to the token itself, which is the same mathematics.
    """
    renamed: dict[str, Tensor] = {}
    joined: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        block = _BLOCK.match(name)
        if block is None:
            renamed[_OUTER_NAMES.get(name, name)] = tensor
            continue
        number, inner = block.groups()
        if part := _QKV.match(inner):
            joined.setdefault(f"blocks.{number}.attn.qkv.{part[2]}", {})[part[1][0]] = tensor
            continue
        for pattern, other in _BLOCK_NAMES:
            inner, changed = re.subn(rf"^(?:{pattern})", other, inner)
            if changed:
                break
        renamed[f"blocks.{number}.{inner}"] = tensor
    for name, parts in joined.items():
        if set(parts) == set("qkv"):
            renamed[name] = torch.cat([parts["q"], parts["k"], parts["v"]])
    if "reg_token" in renamed and {"pos_embed", "cls_token"} <= set(renamed):
        positions = renamed["pos_embed"]
        renamed["cls_token"] = renamed["cls_token"] + positions[:, :1]
        renamed["pos_embed"] = positions[:, 1:]
    return renamed


def resample_positions(
    positions: Tensor, tokens: int, grid: tuple[int, int], *, antialias: bool
) -> Tensor:
    """Position embeddings float [1, T, C] of a square grid for a grid of (rows, columns).

    tokens: how many at the front belong to no place (the class token) and are kept. Bicubic;
    antialias as timm does it, without as transformers does.

    >>> resample_positions(torch.zeros(1, 1 + 4, 8), 1, (3, 2), antialias=True).shape
    torch.Size([1, 7, 8])
    """
    front, places = positions[:, :tokens], positions[:, tokens:].float()
    side = round(places.shape[1] ** 0.5)
    if side * side != places.shape[1]:
        raise ValueError(f"{places.shape[1]} positions are not a square")
    maps = places.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    maps = functional.interpolate(maps, size=grid, mode="bicubic", antialias=antialias)
    moved = maps.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)
    return torch.cat([front, moved], dim=1)


def may_be_left_out(name: str) -> bool:
    """Whether a tensor of the file is not part of the encoder: a head, a pooler, a mask token.

    >>> may_be_left_out("head.weight"), may_be_left_out("blocks.3.norm1.weight")
    (True, False)
    """
    return _LEFT_OUT.search(name) is not None
