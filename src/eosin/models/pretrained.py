"""The table of pretrained encoders: facts about each, in encoders.toml; no weights, no network.

A row has where the weights are published, what they were trained on and at which scale, what the
license allows, and what timm needs to build the network. Nothing here loads torch.
"""

from __future__ import annotations

import tomllib
from collections import UserDict
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from typing import Any

from eosin.errors import RecipeError, closest
from eosin.records.encoder import EncoderSpec
from eosin.records.origin import Origin

#: How an embedding is made of what the network gives: "avg", the network's own average over space
#: (CNNs); "token", the class token; "mean", of the patch tokens; "token+mean", both, joined;
#: "attention", a trained query that attends to all tokens.
POOLINGS = ("avg", "token", "mean", "token+mean", "attention")
#: "pixels": the complete patch at the encoder's input size. "mpp": at the encoder's mpp.
RESIZES = ("pixels", "mpp")
#: A patch resized to the encoder's mpp has at most so many times the encoder's own pixels a side.
MOST_ENLARGED = 2


def read_encoders(text: str) -> dict[str, EncoderSpec]:
    """Specs from TOML: a table an encoder.

    Raises RecipeError when a row lacks a key or has one that no row has.
    """
    specs = {}
    for name, row in tomllib.loads(text).items():
        row = {
            key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
        }
        row.setdefault("grid_px", row.get("input_px"))
        try:
            spec = EncoderSpec(name=name, **row)
        except TypeError as error:
            raise RecipeError(f"encoder {name!r}: {error}") from None
        if spec.pooling not in POOLINGS or spec.family not in ("timm", "transformers"):
            raise RecipeError(f"encoder {name!r}: pooling {spec.pooling!r}, family {spec.family!r}")
        specs[name] = spec
    return specs


class EncoderTable(UserDict[str, EncoderSpec]):
    """Name -> spec, read from encoders.toml at the first access."""

    def __init__(self) -> None:
        """Reads nothing yet."""

    @cached_property
    def data(self) -> dict[str, EncoderSpec]:  # type: ignore[override]
        """The rows of the table, then those that this process has added."""
        path = resources.files("eosin.models") / "encoders.toml"
        return read_encoders(path.read_text("utf-8"))


#: All known encoders by name.
ENCODERS = EncoderTable()


def find_encoder(name: str) -> EncoderSpec:
    """The spec of an encoder by name.

    Raises RecipeError for an unknown name, with the closest known ones.

    >>> find_encoder("resnet18").title
    'ResNet-18'
    """
    if name not in ENCODERS:
        raise RecipeError(f"unknown encoder {name!r}; {closest(name, ENCODERS)} (eosin encoders)")
    return ENCODERS[name]


def input_size(
    spec: EncoderSpec,
    patch_size: tuple[int, int],
    *,
    input_px: int = 0,
    resize: str = "pixels",
    patch_mpp: float | None = None,
) -> tuple[int, int]:
    """Height and width in pixels at which the encoder sees a patch of ``patch_size`` (h, w).

    input_px: the longer side, 0 for the encoder's own. resize: one of RESIZES; "mpp" needs
    ``patch_mpp`` (um a pixel of the patches) and an encoder whose mpp is known. The shape of the
    patch is kept; sides are rounded to the encoder's stride, enlarged to at most MOST_ENLARGED
    times its own input.

    Raises RecipeError when the policy cannot be applied.

    >>> spec = find_encoder("resnet18")
    >>> input_size(spec, (50, 50)), input_size(spec, (50, 25))
    ((224, 224), (224, 112))
    """
    stride, longest = spec.stride_px, max(patch_size)
    if resize not in RESIZES:
        raise RecipeError(f"resize {resize!r}; {closest(resize, RESIZES)}")
    if resize == "mpp":
        if input_px:
            raise RecipeError('resize = "mpp" sets the pixels automatically; leave out input_px')
        if spec.mpp is None:
            raise RecipeError(
                f'{spec.title} was trained on photographs, which have no mpp; use resize = "pixels"'
            )
        if not patch_mpp:
            raise RecipeError('resize = "mpp" needs the mpp of the patches: patch_mpp, in um')
        side = min(longest * patch_mpp / spec.mpp, MOST_ENLARGED * spec.input_px)
    else:
        side = float(input_px or spec.input_px)
        if input_px and (input_px < 0 or input_px % stride):
            below = max(stride, input_px // stride * stride)
            raise RecipeError(
                f"input_px {input_px}: {spec.title} takes multiples of {stride}, for example "
                f"{below} or {below + stride}"
            )
    height, width = (max(1, round(side * px / longest / stride)) * stride for px in patch_size)
    return height, width


def resize_policy(
    spec: EncoderSpec,
    patch_px: int | tuple[int, int],
    mpp: float | None,
    *,
    input_px: int = 0,
    resize: str = "pixels",
) -> str:
    """One sentence on how patches reach the encoder, for model cards and `eosin encoders`.

    patch_px: side of a square patch or (h, w), in pixels. mpp: of the patches, um a pixel, or None.

    >>> resize_policy(find_encoder("resnet18"), 50, 4.0)
    '50 px patches (200 um at 4 mpp) are resized to 224 px, 0.893 mpp; ResNet-18 was trained on \
photographs, which have no mpp'
    """
    size = (patch_px, patch_px) if isinstance(patch_px, int) else patch_px
    fed = input_size(spec, size, input_px=input_px, resize=resize, patch_mpp=mpp)
    known = f" ({max(size) * mpp:.4g} um at {mpp:.3g} mpp)" if mpp else ""
    if fed == tuple(size):
        text = f"{_px(size)} patches{known} are used at their own size"
    else:
        reached = f", {mpp * max(size) / max(fed):.3g} mpp" if mpp else ""
        text = f"{_px(size)} patches{known} are resized to {_px(fed)}{reached}"
    if spec.mpp is None:
        return f"{text}; {spec.title} was trained on photographs, which have no mpp"
    unknown = "" if mpp else ", and the mpp of the patches is not known"
    return f"{text}; {spec.title} was trained at {spec.mpp:.3g} mpp{unknown}"


def _px(size: tuple[int, int]) -> str:
    return f"{size[0]} px" if size[0] == size[1] else f"{size[0]} x {size[1]} px"


def built_on(
    arguments: Mapping[str, Any],
    patch_size: tuple[int, int],
    mpp: float | None,
    start: Origin | None = None,
) -> list[str]:
    """Sentences for a model card on the encoder in a network: its source, license and input.

    arguments: of the network "encoder". patch_size: (h, w) in pixels; mpp: um a pixel, or None.
    start: where its first weights came from, as model.json records it. Empty for an encoder
    that this version's table does not have.

    >>> for text in built_on({"encoder": "uni2-h"}, (50, 50), None): print(text)
    Built on UNI2-h, trained on 350,000 slides, H&E and IHC, not public.
    The license of its weights, CC-BY-NC-ND-4.0, allows no commercial use; it binds what is made \
of them.
    50 px patches are resized to 224 px; UNI2-h was trained at 0.5 mpp, and the mpp of the \
patches is not known.
    """
    spec = ENCODERS.get(str(arguments.get("encoder")))
    if spec is None or min(patch_size) < 1:
        return []
    use = "allows commercial use" if spec.commercial else "allows no commercial use"
    try:
        policy = resize_policy(
            spec,
            patch_size,
            mpp or arguments.get("patch_mpp") or None,
            input_px=int(arguments.get("input_px") or 0),
            resize=str(arguments.get("resize") or "pixels"),
        )
    except RecipeError as error:
        policy = f"How patches reach it is not known ({error})"
    if start and start.kind == "random":
        return [f"The network is that of {spec.title}, started with random weights.", f"{policy}."]
    return [
        f"Built on {spec.title}, trained on {spec.trained_on}.",
        f"The license of its weights, {spec.licence}, {use}; it binds what is made of them.",
        f"{policy}.",
    ]
