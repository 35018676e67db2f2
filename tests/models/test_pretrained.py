"""The table of encoders: each row against the network that it builds."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from unittest.mock import patch

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from eosin.errors import RecipeError
from eosin.models.encoder import AttentionPool, build_backbone
from eosin.models.pretrained import (
    ENCODERS,
    POOLINGS,
    find_encoder,
    input_size,
    read_encoders,
    resize_policy,
)


@cache
def counted(architecture: str, arguments: str, grid_px: int) -> tuple[int, int, int]:
    """Parameters, features and patch of a network; on the meta device, so without memory."""
    spec = next(
        spec
        for spec in ENCODERS.values()
        if (spec.architecture, repr(spec.arguments), spec.grid_px)
        == (architecture, arguments, grid_px)
    )
    # Filling the weights would take most of the time, and there are none.
    with (
        torch.device("meta"),
        patch.object(VisionTransformer, "init_weights", lambda *_, **__: None),
    ):
        backbone = build_backbone(spec)
    side = backbone.patch_embed.patch_size[0] if hasattr(backbone, "patch_embed") else 1
    return sum(p.numel() for p in backbone.parameters()), int(backbone.num_features), int(side)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_parameters_and_width_are_those_of_the_network(name: str) -> None:
    spec = ENCODERS[name]
    parameters, features, side = counted(spec.architecture, repr(spec.arguments), spec.grid_px)
    assert parameters == spec.parameters
    assert side == spec.stride_px
    if spec.pooling == "attention":
        assert AttentionPool(features, spec.width).norm.weight.numel() == spec.width
    else:
        assert features * (2 if spec.pooling == "token+mean" else 1) == spec.width


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_a_row_is_complete(name: str) -> None:
    spec = ENCODERS[name]
    assert spec.pooling in POOLINGS
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", spec.hub)
    assert re.fullmatch(r"[0-9a-f]{40}|", spec.revision)
    assert spec.input_px % spec.stride_px == 0
    assert spec.grid_px % spec.stride_px == 0
    assert spec.pathology == (spec.mpp is not None)
    assert all(0 < v < 1 for v in (*spec.mean, *spec.deviation))
    assert all((spec.licence, spec.trained_on, spec.source, spec.title))
    assert not (spec.commercial and "NC" in spec.licence.split("-"))
    # Hugging Face's own key names are translated for ViTs alone.
    assert spec.family == "timm" or spec.architecture.startswith("vit_")


def test_the_published_counts() -> None:
    """Millions of parameters as the publishers and other tools' tables give them."""
    published = {
        "virchow": 631.2, "virchow2": 631.2, "uni": 303.4, "uni2-h": 681.4, "hibou-b": 85.7,
        "hibou-l": 303.7, "phikon": 85.8, "phikon-v2": 303.4, "h0-mini": 85.7, "lunit-s8": 21.7,
    }  # fmt: skip
    for name, millions in published.items():
        assert ENCODERS[name].parameters / 1e6 == pytest.approx(millions, abs=0.06), name


def test_an_unknown_name_gives_the_closest() -> None:
    with pytest.raises(RecipeError, match=r"unknown encoder 'uni2'; did you mean uni or uni2-h"):
        find_encoder("uni2")


def test_a_row_that_lacks_a_key_is_named() -> None:
    with pytest.raises(RecipeError, match=r"encoder 'a'.*missing"):
        read_encoders('[a]\ntitle = "A"\ninput_px = 8\n')
    with pytest.raises(RecipeError, match=r"encoder 'a'.*colour"):
        read_encoders('[a]\ntitle = "A"\ncolour = 8\n')


def test_sizes() -> None:
    uni2, resnet = find_encoder("uni2-h"), find_encoder("resnet18")
    assert input_size(uni2, (50, 50)) == (224, 224)
    assert input_size(uni2, (96, 48), input_px=56) == (56, 28)
    # 200 um at 0.5 mpp are 400 px: 29 patches of 14.
    assert input_size(uni2, (50, 50), resize="mpp", patch_mpp=4.0) == (406, 406)
    # 800 um would be 1,600 px; twice the own input is the most.
    assert input_size(uni2, (50, 50), resize="mpp", patch_mpp=16.0) == (448, 448)
    assert input_size(resnet, (50, 50), input_px=33) == (33, 33)
    assert input_size(uni2, (50, 50), resize="mpp", patch_mpp=0.01) == (14, 14)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"input_px": 50}, "multiples of 14, for example 42 or 56"),
        ({"input_px": -14}, "multiples of 14"),
        ({"resize": "mmp"}, "did you mean mpp"),
        ({"resize": "mpp"}, "needs the mpp of the patches"),
        ({"resize": "mpp", "patch_mpp": 4.0, "input_px": 56}, "leave out input_px"),
    ],
)
def test_sizes_that_cannot_be(settings: dict[str, object], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        input_size(find_encoder("uni2-h"), (50, 50), **settings)  # type: ignore[arg-type]


def test_photographs_have_no_mpp() -> None:
    with pytest.raises(RecipeError, match="photographs"):
        input_size(find_encoder("resnet18"), (50, 50), resize="mpp", patch_mpp=4.0)


def test_the_policy_is_one_sentence() -> None:
    uni2 = find_encoder("uni2-h")
    assert resize_policy(uni2, 50, 4.0) == (
        "50 px patches (200 um at 4 mpp) are resized to 224 px, 0.893 mpp; "
        "UNI2-h was trained at 0.5 mpp"
    )
    assert resize_policy(uni2, (50, 50), 4.0, resize="mpp") == (
        "50 px patches (200 um at 4 mpp) are resized to 406 px, 0.493 mpp; "
        "UNI2-h was trained at 0.5 mpp"
    )
    assert resize_policy(uni2, 224, None) == (
        "224 px patches are used at their own size; UNI2-h was trained at 0.5 mpp, "
        "and the mpp of the patches is not known"
    )


def test_specs_are_frozen_and_the_table_can_be_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(find_encoder("resnet18"), name="tiny")
    monkeypatch.setitem(ENCODERS, "tiny", spec)
    assert find_encoder("tiny") is spec
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.width = 3  # type: ignore[misc]
