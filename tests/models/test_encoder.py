"""EncoderNetwork: shapes, sizes, channels, and weights in the formats of timm and transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from eosin.errors import RecipeError, RunError
from eosin.models.classifier import Classifier, load_classifier, save_classifier
from eosin.models.encoder import AttentionPool, EncoderNetwork, load_encoder_weights
from eosin.models.pretrained import ENCODERS, find_encoder
from eosin.records.encoder import EncoderSpec

SWIGLU = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}
#: A ViT of two blocks; heads as the tiny transformers models have them.
TINY = {"embed_dim": 32, "depth": 2, "num_heads": 2}


@pytest.fixture(autouse=True)
def tiny_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with networks that are built in a moment, beside the real ones."""
    vit = replace(
        find_encoder("phikon"), name="tiny-vit", title="Tiny ViT", family="timm", width=32,
        arguments={**TINY, "patch_size": 14}, input_px=56, grid_px=56,
    )  # fmt: skip
    dino = replace(
        vit, name="tiny-dino", title="Tiny DINOv2", family="transformers",
        architecture="vit_base_patch14_dinov2", arguments=TINY, pooling="token+mean", width=64,
    )  # fmt: skip
    hidden = (int(32 * 4 * 2 / 3) + 7) // 8 * 8
    registers = replace(
        dino, name="tiny-registers", architecture="vit_base_patch14_reg4_dinov2",
        arguments={**TINY, **SWIGLU, "mlp_ratio": 2 * hidden / 32},
    )  # fmt: skip
    conch = replace(vit, name="tiny-conch", title="Tiny CONCH", pooling="attention", width=16)
    for spec in (vit, dino, registers, conch):
        monkeypatch.setitem(ENCODERS, spec.name, spec)


def network(encoder: str, **settings: Any) -> EncoderNetwork:
    torch.manual_seed(1)
    built = EncoderNetwork(encoder=encoder, **{"classes": 2, "patch_size": (20, 20), **settings})
    return built.eval()


def filled(module: nn.Module) -> nn.Module:
    """The module with weights that all matter: fresh ones have zeros and ones."""
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        parameter.data.normal_(std=0.2, generator=generator)
    return module.eval()


def tiny_dinov2(**settings: Any) -> Dinov2Config:
    return Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14,
        **{"image_size": 56, "mlp_ratio": 4, **settings},
    )  # fmt: skip


def tiny_transformers_vit() -> ViTConfig:
    return ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
        image_size=56, patch_size=14, layer_norm_eps=1e-6,
    )  # fmt: skip


def images(side: int = 56) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


# The network


@pytest.mark.parametrize("encoder", ["resnet18", "tiny-vit", "tiny-dino", "tiny-conch"])
def test_shapes(encoder: str) -> None:
    model = network(encoder, classes=3, input_px=28 if encoder != "resnet18" else 40)
    patches = images(20)
    assert model(patches).shape == (2, 3)
    assert model.embed(patches).shape == (2, model.spec.width)
    assert torch.equal(model(patches), model.late(model.early(patches)))
    assert model.early(patches).shape == (2, 3, 20, 20)
    held = {id(p) for group in model.blocks() for p in group}
    assert held == {id(p) for p in model.parameters()}
    assert sum(len(group) for group in model.blocks()) == len(held)
    assert model.blocks()[-1] == list(model.head.parameters())
    model(patches).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("encoder", ["convnext-tiny", "efficientnet-b0", "vit-small-dinov3"])
def test_real_rows_of_other_families(tmp_path: Path, encoder: str) -> None:
    model = network(encoder, input_px=32)
    assert model.embed(images(20)).shape == (2, model.spec.width)
    held = {id(p) for group in model.blocks() for p in group}
    assert held == {id(p) for p in model.parameters()}
    assert len(model.blocks()) > 4
    other = network(encoder, input_px=32)
    for parameter in other.parameters():
        parameter.data.add_(0.01)
    load_encoder_weights(other, timm_file(model.backbone, tmp_path / "a.safetensors"))
    assert torch.equal(other.embed(images(20)), model.embed(images(20)))


def test_a_classifier_needs_no_published_weights_to_be_read(tmp_path: Path) -> None:
    arguments = {"encoder": "tiny-vit", "input_px": 28, "dropout": 0.2}
    model = Classifier.build(
        "encoder", classes=["a", "b", "c"], patch_size=(20, 20), arguments=arguments,
        mean=find_encoder("phikon").mean, deviation=find_encoder("phikon").deviation,
    ).eval()  # fmt: skip
    save_classifier(model, tmp_path)
    read, _ = load_classifier(tmp_path)
    patches = torch.randint(0, 256, (2, 20, 20, 3), dtype=torch.uint8)
    assert torch.equal(read(patches), model(patches))
    logits, texture = read.examine(patches)
    assert logits.shape == (2, 3)
    assert texture.shape == (2, 9)


def test_the_registers_are_left_out_of_the_mean() -> None:
    model = network("tiny-registers")
    tokens = model.backbone.forward_features(images())
    assert tokens.shape[1] == 1 + 4 + 16
    wanted = torch.cat([tokens[:, 0], tokens[:, 5:].mean(1)], dim=1)
    assert torch.equal(model.embed(images()), wanted)


def test_oblong_patches_keep_their_shape() -> None:
    model = network("tiny-vit", patch_size=(20, 10))
    assert model.input_size == (56, 28)
    assert model(torch.zeros(1, 3, 20, 10)).shape == (1, 2)


def test_patches_at_the_encoders_mpp() -> None:
    model = network("tiny-vit", resize="mpp", patch_mpp=2.0)
    assert model.input_size == (84, 84)
    assert model(images(20)).shape == (2, 2)


def test_gray_is_the_mean_of_the_colors() -> None:
    model = network("resnet18", channels=1, input_px=32)
    gray = images(32).mean(1, keepdim=True)
    assert torch.allclose(model(images(32)), model(gray), atol=1e-5)
    assert network("tiny-vit", channels=5)(torch.zeros(1, 5, 20, 20)).shape == (1, 2)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"encoder": "resnet19"}, "unknown encoder 'resnet19'; did you mean resnet18"),
        ({"encoder": "tiny-vit", "input_px": 50}, "multiples of 14"),
        ({"encoder": "tiny-vit", "resize": "mpp"}, "patch_mpp"),
    ],
)
def test_wrong_arguments(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        network(**settings)


def test_wrong_values() -> None:
    with pytest.raises(ValueError, match="channels 0"):
        network("tiny-vit", channels=0)
    with pytest.raises((ValueError, RecipeError), match="head 'forest'"):
        network("tiny-vit", head="forest")


def test_stochastic_depth_reaches_the_backbone() -> None:
    model = network("tiny-vit", drop_path=0.5)
    assert any(type(part).__name__ == "DropPath" for part in model.modules())


# Weights under timm's own names


def timm_file(model: nn.Module, path: Path, **renamed: Tensor) -> Path:
    tensors = {k: v.clone().contiguous() for k, v in model.state_dict().items()} | renamed
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


def test_a_timm_resnet_with_its_head(tmp_path: Path) -> None:
    published = timm.create_model("resnet18", num_classes=10)
    timm.models.save_for_hf(published, tmp_path, safe_serialization=True)
    model = network("resnet18", input_px=64)
    facts = load_encoder_weights(model, tmp_path)
    published.eval().reset_classifier(0)
    assert torch.equal(model.embed(images(64)), published(images(64)))
    assert facts["format"] == "timm"
    assert facts["left_out"] == ["fc.bias", "fc.weight"]
    assert facts["files"] == ["model.safetensors"]
    assert len(facts["digest"]) == 64
    assert facts["resampled"] == facts["adapted"] == {}


@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.pth"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.backbone."])
def test_files_and_prefixes(tmp_path: Path, name: str, prefix: str) -> None:
    published = filled(network("tiny-vit").backbone)
    tensors = {prefix + k: v for k, v in published.state_dict().items()}
    tensors |= {f"{prefix}head.weight": torch.zeros(3, 32), "text.embedding": torch.zeros(4)}
    if not prefix:
        tensors.pop("text.embedding")
    if name.endswith("safetensors"):
        save_file(tensors, tmp_path / name)
    else:
        torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / name)
    model = network("tiny-vit")
    facts = load_encoder_weights(model, tmp_path / name)
    assert torch.equal(model.embed(images()), published.forward_features(images())[:, 0])
    assert facts["left_out"] == ["head.weight"]


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    published = filled(network("tiny-vit").backbone).half()
    model = network("tiny-vit")
    load_encoder_weights(model, timm_file(published, tmp_path / "a.safetensors"))
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_positions_of_another_grid_are_resampled_as_timm_does(tmp_path: Path) -> None:
    published = filled(network("tiny-vit").backbone)
    file = timm_file(published, tmp_path / "a.safetensors")
    model = network("tiny-vit", input_px=28)
    facts = load_encoder_weights(model, file)
    assert facts["resampled"] == {"pos_embed": "4 x 4 to 2 x 2 places"}
    wanted = timm.layers.resample_abs_pos_embed(
        published.pos_embed, (2, 2), (4, 4), num_prefix_tokens=1
    )
    assert torch.allclose(model.backbone.pos_embed, wanted, atol=1e-6)
    # At the size of the file nothing changes.
    assert load_encoder_weights(network("tiny-vit"), file)["resampled"] == {}


@pytest.mark.parametrize(
    ("encoder", "stem"), [("resnet18", "conv1.weight"), ("tiny-vit", "patch_embed.proj.weight")]
)
def test_other_channels_take_the_stem_as_timm_does(tmp_path: Path, encoder: str, stem: str) -> None:
    published = filled(network(encoder).backbone)
    file = timm_file(published, tmp_path / "a.safetensors")
    colors = published.state_dict()[stem]
    for channels in (1, 5):
        model = network(encoder, channels=channels, input_px=56)
        facts = load_encoder_weights(model, file)
        assert facts["adapted"] == {stem: f"3 to {channels} channels"}
        stem_now = model.backbone.state_dict()[stem]
        assert torch.allclose(stem_now, timm.models.adapt_input_conv(channels, colors))
    gray = network(encoder, channels=1, input_px=56)
    load_encoder_weights(gray, file)
    full = network(encoder, input_px=56)
    load_encoder_weights(full, file)
    one = images(56)[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(gray.embed(one), full.embed(one), atol=1e-3)


def test_a_run_of_eosin_gives_its_backbone(tmp_path: Path) -> None:
    trained = network("tiny-vit")
    filled(trained)
    model = network("tiny-vit", classes=5)
    load_encoder_weights(model, timm_file(trained, tmp_path / "model.safetensors"))
    assert torch.equal(model.embed(images()), trained.embed(images()))


def test_conch_and_its_pooling(tmp_path: Path) -> None:
    published = network("tiny-conch")
    filled(published)
    assert isinstance(published.pool, AttentionPool)
    tensors = {f"visual.trunk.{k}": v for k, v in published.backbone.state_dict().items()}
    for name, value in published.pool.state_dict().items():
        start = "ln_contrast." if name.startswith("norm.") else "attn_pool_contrast."
        tensors["visual." + start + name.removeprefix("norm.")] = value
    tensors |= {"visual.proj_contrast": torch.zeros(2), "text.positional": torch.zeros(2)}
    tensors |= {"visual.attn_pool_caption.query": torch.zeros(2), "logit_scale": torch.zeros(1)}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    model = network("tiny-conch")
    load_encoder_weights(model, tmp_path)
    assert torch.equal(model.embed(images()), published.embed(images()))


def test_the_attention_pooling_is_a_softmax_over_tokens() -> None:
    pool = filled(AttentionPool(12, 8, heads=2))
    tokens = torch.randn(3, 5, 12)
    keys = pool.ln_k(tokens)
    attn = pool.attn
    biases = attn.in_proj_bias.chunk(3)
    q = functional.linear(pool.ln_q(pool.query), attn.q_proj_weight, biases[0]).view(1, 2, 4)
    k = functional.linear(keys, attn.k_proj_weight, biases[1]).view(3, 5, 2, 4)
    v = functional.linear(keys, attn.v_proj_weight, biases[2]).view(3, 5, 2, 4)
    weights = (torch.einsum("qhd,nthd->nht", q, k) / 2).softmax(-1)
    mixed = torch.einsum("nht,nthd->nhd", weights, v).flatten(1)
    assert torch.allclose(pool(tokens), pool.norm(attn.out_proj(mixed)), atol=1e-5)


# Weights under Hugging Face's names, against transformers' own forward pass


def hugging_face_embedding(model: nn.Module, spec: EncoderSpec, patches: Tensor) -> Tensor:
    with torch.no_grad():
        hidden = model(patches).last_hidden_state
    if spec.pooling == "token":
        return hidden[:, 0]
    front = 5 if "reg4" in spec.architecture else 1
    return torch.cat([hidden[:, 0], hidden[:, front:].mean(1)], dim=1)


def test_dinov2(tmp_path: Path) -> None:
    published = filled(Dinov2Model(tiny_dinov2()))
    published.save_pretrained(tmp_path)
    model = network("tiny-dino")
    facts = load_encoder_weights(model, tmp_path)
    wanted = hugging_face_embedding(published, model.spec, images())
    assert torch.allclose(model.embed(images()), wanted, atol=1e-4)
    assert facts["format"] == "Hugging Face"
    assert "embeddings.mask_token" in facts["left_out"]


def test_dinov2_at_another_size_resamples_as_transformers_does(tmp_path: Path) -> None:
    published = filled(Dinov2Model(tiny_dinov2(image_size=70)))
    published.save_pretrained(tmp_path)
    model = network("tiny-dino", input_px=28)
    facts = load_encoder_weights(model, tmp_path)
    assert facts["resampled"] == {"pos_embed": "5 x 5 to 2 x 2 places"}
    wanted = hugging_face_embedding(published, model.spec, images(28))
    assert torch.allclose(model.embed(images(28)), wanted, atol=1e-4)


def test_dinov2_with_registers_and_gated_layers(tmp_path: Path) -> None:
    config = Dinov2WithRegistersConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14, image_size=56,
        use_swiglu_ffn=True, num_register_tokens=4,
    )  # fmt: skip
    published = filled(Dinov2WithRegistersModel(config))
    published.save_pretrained(tmp_path)
    model = network("tiny-registers")
    load_encoder_weights(model, tmp_path)
    wanted = hugging_face_embedding(published, model.spec, images())
    assert torch.allclose(model.embed(images()), wanted, atol=1e-4)


def test_a_vit_classifier_in_parts(tmp_path: Path) -> None:
    published = filled(ViTForImageClassification(tiny_transformers_vit()))
    published.save_pretrained(tmp_path, max_shard_size="40KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    model = network("tiny-vit")
    facts = load_encoder_weights(model, tmp_path)
    wanted = hugging_face_embedding(published.vit, model.spec, images())
    assert torch.allclose(model.embed(images()), wanted, atol=1e-4)
    assert len(facts["files"]) > 1
    assert load_encoder_weights(model, tmp_path / "model.safetensors.index.json") == (
        facts | {"path": str(tmp_path / "model.safetensors.index.json")}
    )
    (tmp_path / facts["files"][0]).unlink()
    with pytest.raises(RunError, match=r"lists parts that are missing: .*00001"):
        load_encoder_weights(model, tmp_path)


OLD_NAMES = (
    (".attention.q_proj.", ".attention.attention.query."),
    (".attention.k_proj.", ".attention.attention.key."),
    (".attention.v_proj.", ".attention.attention.value."),
    (".attention.o_proj.", ".attention.output.dense."),
)


@pytest.mark.parametrize("kind", ["vit", "dino"])
def test_names_as_transformers_4_wrote_them(tmp_path: Path, kind: str) -> None:
    """The published files are of that time; transformers 5 writes other names."""
    published: nn.Module
    if kind == "vit":
        published = filled(ViTModel(tiny_transformers_vit(), add_pooling_layer=True))
        more = ((".mlp.fc1.", ".intermediate.dense."), (".mlp.fc2.", ".output.dense."))
    else:
        published = filled(Dinov2Model(tiny_dinov2()))
        more = ()
    published.save_pretrained(tmp_path)
    tensors = old_names(load_file(tmp_path / "model.safetensors"), (*OLD_NAMES, *more))
    assert any(".attention.attention.query." in name for name in tensors)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = network(f"tiny-{kind}")
    load_encoder_weights(model, tmp_path)
    wanted = hugging_face_embedding(published, model.spec, images())
    assert torch.allclose(model.embed(images()), wanted, atol=1e-4)


def old_names(
    tensors: Mapping[str, Tensor], pairs: tuple[tuple[str, str], ...]
) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith("layers."):
            name = f"encoder.layer.{name.removeprefix('layers.')}"
        for new, old in pairs:
            name = name.replace(new, old)
        renamed[name] = tensor
    return renamed


def test_the_config_beside_the_weights_is_checked(tmp_path: Path) -> None:
    Dinov2Model(tiny_dinov2()).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_attention_heads": 4}))
    with pytest.raises(RunError, match=r"Tiny DINOv2: num_attention_heads expected 2, found 4"):
        load_encoder_weights(network("tiny-dino"), tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json cannot be read"):
        load_encoder_weights(network("tiny-dino"), tmp_path)


# What does not fit


def test_wrong_shapes_say_which_expected_and_found(tmp_path: Path) -> None:
    published = network("tiny-vit").backbone
    bad = {"blocks.1.norm1.weight": torch.zeros(48), "norm.bias": torch.zeros(3)}
    file = timm_file(published, tmp_path / "a.safetensors", **bad)
    with pytest.raises(RunError, match="2 tensors of other shapes") as caught:
        load_encoder_weights(network("tiny-vit"), file)
    assert "blocks.1.norm1.weight expected (32,), found (48,)" in str(caught.value)
    assert "does not fit Tiny ViT" in str(caught.value)


def test_nothing_changes_when_the_weights_do_not_fit(tmp_path: Path) -> None:
    file = timm_file(network("tiny-vit").backbone, tmp_path / "a.pth", extra=torch.zeros(3))
    model = filled(network("tiny-vit"))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(RunError, match="1 tensors that have no place in it: extra"):
        load_encoder_weights(model, file)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    tensors = dict(network("tiny-vit").backbone.state_dict())
    del tensors["blocks.0.attn.qkv.bias"], tensors["norm.weight"]
    save_file(tensors, tmp_path / "a.safetensors")
    named = r"2 tensors that are missing: blocks\.0\.attn\.qkv\.bias; norm\.weight"
    with pytest.raises(RunError, match=named):
        load_encoder_weights(network("tiny-vit"), tmp_path)


def test_weights_of_another_network(tmp_path: Path) -> None:
    file = timm_file(network("resnet18").backbone, tmp_path / "a.safetensors")
    with pytest.raises(RunError, match=r"missing: .*and \d+ more"):
        load_encoder_weights(network("tiny-vit"), file)


class Trap:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize(
    ("name", "make", "named"),
    [
        ("a.safetensors", lambda f: f.write_bytes(b"\x00" * 40), "damaged"),
        ("a.safetensors", lambda f: f.write_bytes(b""), "damaged"),
        ("a.bin", lambda f: f.write_bytes(b"nothing"), "damaged|more than tensors"),
        ("a.pth", lambda f: torch.save({"epoch": 3}, f), "no tensors by name, but dict"),
        ("a.pth", lambda f: torch.save([1], f), "no tensors by name, but list"),
        ("a.pt", lambda f: torch.save({"model": Trap()}, f), "more than tensors"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, make: Any, named: str) -> None:
    make(tmp_path / name)
    with pytest.raises(RunError, match=named):
        load_encoder_weights(network("tiny-vit"), tmp_path / name)


def test_a_torn_file(tmp_path: Path) -> None:
    file = timm_file(network("tiny-vit").backbone, tmp_path / "a.safetensors")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RunError, match="damaged"):
        load_encoder_weights(network("tiny-vit"), file)


def test_folders_without_one_weights_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file or folder"):
        load_encoder_weights(network("tiny-vit"), tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"contains no weights file; expected model\.safetensors"):
        load_encoder_weights(network("tiny-vit"), tmp_path)
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(RunError, match=r"2 weights files \(a\.pth, b\.pth\)"):
        load_encoder_weights(network("tiny-vit"), tmp_path)
