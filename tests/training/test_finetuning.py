"""Training weights that are good already: what learns, when, and how fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from eosin.config import Recipe, read_recipe
from eosin.data.store import PatchStore
from eosin.errors import RecipeError, StoppedError
from eosin.models.classifier import Classifier, load_classifier
from eosin.models.networks import NETWORKS
from eosin.runs import RunFolder
from eosin.training.finetuning import Finetuning, blocks_of
from eosin.training.loop import Reporter, Trainer
from eosin.training.optimizers import Optimizer, layered

pytest.importorskip("timm")
pytest.importorskip("peft")

RESNET: dict[str, Any] = {"encoder": "resnet18", "input_px": 32}
VIT: dict[str, Any] = {"encoder": "vit-small-dinov2", "input_px": 28}


def classifier(name: str = "encoder", arguments: dict[str, Any] | None = None) -> Classifier:
    torch.manual_seed(0)
    given = RESNET if name == "encoder" and arguments is None else arguments or {}
    return Classifier.build(name, classes=["a", "b"], patch_size=(50, 50), arguments=given)


def recipe(arguments: dict[str, Any] = RESNET, **values: Any) -> Recipe:
    return Recipe(
        network="encoder",
        arguments=arguments,
        normalize="encoder",
        optimizer="adamw",
        learning_rate=0.01,
        batch_size=16,
        precision="fp32",
        **values,
    )


def images(n: int = 4) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (n, 50, 50, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"ensemble"}))
def test_blocks_hold_every_parameter_once_and_the_head_last(name: str) -> None:
    network = classifier(name).network
    blocks = blocks_of(network)
    flat = [id(p) for block in blocks for p in block]
    assert sorted(flat) == sorted(id(p) for p in network.parameters())
    last = [m for m in network.modules() if isinstance(m, nn.Linear)][-1]
    assert {id(p) for p in blocks[-1]} == {id(p) for p in last.parameters()}
    assert len(blocks) > 3


def test_rates_fall_from_the_head_down() -> None:
    model = classifier()
    chosen = recipe(layer_decay=0.5, weight_decay=0.1)
    groups = layered(model, chosen)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    blocks = blocks_of(model.network)
    for depth, block in enumerate(blocks):
        for parameter in block:
            expected = 0.01 * 0.5 ** (len(blocks) - 1 - depth)
            assert rates[id(parameter)] == pytest.approx(expected)
    for group in groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)
    optimizer = Optimizer(model, chosen)
    optimizer.set_rate(0.5)
    assert optimizer.parts[0].param_groups[-1]["lr"] == pytest.approx(0.005)
    with pytest.raises(RecipeError, match="not muon"):
        chosen.changed(optimizer="muon")


def test_the_head_learns_first_and_then_all() -> None:
    model = classifier()
    tuning = Finetuning(model, recipe(head_epochs=1, epochs=2, freeze_norm=True))
    head = {id(p) for p in model.network.head.parameters()}  # type: ignore[union-attr]
    model.train()
    tuning.epoch(1)
    assert {id(p) for p in model.network.parameters() if p.requires_grad} == head
    model.train()
    tuning.epoch(2)
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    still = {id(p) for norm in norms for p in norm.parameters()}
    learning = {id(p) for p in model.network.parameters() if p.requires_grad}
    assert learning == {id(p) for p in model.network.parameters()} - still
    before = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
    model(images())
    assert all(
        torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True)
    )
    tuning.finish()
    assert all(p.requires_grad for p in model.network.parameters())
    with pytest.raises(RecipeError, match="leaves none of 2 epochs"):
        Finetuning(classifier(), recipe(head_epochs=2, epochs=2))


def test_adapters_begin_as_nothing_and_end_inside_the_weights() -> None:
    model = classifier(arguments=VIT).eval()
    names = set(model.network.state_dict())
    before = model(images())
    tuning = Finetuning(model, recipe(VIT, lora_rank=2))
    assert torch.allclose(model(images()), before, atol=1e-6)
    learning = [n for n, p in model.network.named_parameters() if p.requires_grad]
    assert learning
    assert all("lora" in name or name.startswith("head") for name in learning)
    for name, parameter in model.network.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.3)
    with_adapters = model(images())
    assert not torch.allclose(with_adapters, before, atol=1e-5)
    tuning.finish()
    assert set(model.network.state_dict()) == names
    assert torch.allclose(model(images()), with_adapters, atol=1e-6)


def test_what_a_network_cannot_do_is_said() -> None:
    with pytest.raises(RecipeError, match="vision transformers"):
        Finetuning(classifier(), recipe(lora_rank=4))
    with pytest.raises(RecipeError, match="vision transformers"):
        Finetuning(classifier("compact"), Recipe(lora_rank=4))
    with pytest.raises(RecipeError, match="freeze_norm=true"):
        Finetuning(classifier(), recipe(checkpointing=True))
    with pytest.raises(RecipeError, match="micro_batch"):
        Finetuning(classifier("compact"), Recipe(checkpointing=True))


@pytest.mark.parametrize("arguments", [RESNET, VIT])
def test_computing_activations_again_gives_the_same_gradients(arguments: dict[str, Any]) -> None:
    found = []
    for again in (False, True):
        model = classifier(arguments=arguments)
        tuning = Finetuning(model, recipe(arguments, checkpointing=again, freeze_norm=True))
        model.train()
        tuning.epoch(1)
        model(images())[:, 0].sum().backward()
        found.append([p.grad for p in model.network.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1])
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("finetune", ["arguments.input_px=32", "layer_decay=0.5"]),
        ("lora", ["arguments.input_px=28", "checkpointing=true"]),
    ],
)
def test_an_encoder_is_trained_stopped_and_goes_on_to_the_same_weights(
    made_up_store: PatchStore, tmp_path: Path, name: str, settings: list[str]
) -> None:
    chosen = read_recipe(name, [*settings, "epochs=2", "batch_size=16", "precision=fp32"])
    rows = {"train": np.arange(40), "val": np.arange(200, 240)}

    def trainer(path: Path, **more: Any) -> Trainer:
        run = RunFolder(path)
        if not path.exists():
            run.create()
        return Trainer(made_up_store, rows, chosen, run, **more)

    trainer(tmp_path / "whole").fit()
    asked = iter([False, False, False, True])
    with pytest.raises(StoppedError):
        trainer(tmp_path / "parted", reporter=Reporter(stop=lambda: next(asked))).fit()
    trainer(tmp_path / "parted").fit(resume=True)
    whole, parted = (load_classifier(tmp_path / part)[0] for part in ("whole", "parted"))
    for key, value in whole.network.state_dict().items():
        assert torch.equal(value, parted.network.state_dict()[key]), key
    assert whole.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
