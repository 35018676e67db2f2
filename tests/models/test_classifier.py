"""The Classifier contract: uint8 in, logits out, and files that cannot lie."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from eosin.errors import RecipeError, RunError
from eosin.models.article import ArticleNetwork
from eosin.models.classifier import Classifier, load_classifier, save_classifier, save_fitted
from eosin.models.compact import CompactNetwork
from eosin.models.networks import NETWORKS
from eosin.models.symmetry import turn
from eosin.records.model import Fitted, ModelFacts
from eosin.records.points import OperatingPoint
from eosin.records.weights import weights_digest

PAIR = ["negative", "positive"]


def build(name: str, size: int = 50, **options: object) -> Classifier:
    torch.manual_seed(0)
    return Classifier.build(name, classes=PAIR, patch_size=(size, size), **options)  # type: ignore[arg-type]


def patches(n: int = 3, size: int = 50) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    )


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_keeps_the_contract(name: str) -> None:
    member = {
        "architecture": "compact", "arguments": {}, "mean": [0.5] * 3, "deviation": [0.2] * 3,
        "temperature": 1.0, "views": 1,
    }  # fmt: skip
    arguments = {
        "encoder": {"encoder": "resnet18", "input_px": 32},
        "ensemble": {"members": [member, member]},
    }
    model = build(name, arguments=arguments.get(name, {})).eval()
    logits = model(patches())
    assert logits.shape == (3, 2)
    assert logits.dtype == torch.float32


def test_eight_views_give_the_mean_probability_and_the_same_for_a_turned_patch(
    tmp_path: Path,
) -> None:
    one, many = build("compact").eval(), build("compact", views=8).eval()
    found = many(patches()).softmax(1)
    by_hand = torch.stack([one(turn(patches(), k)).softmax(1) for k in range(8)]).mean(0)
    assert torch.allclose(found, by_hand, atol=1e-6)
    assert torch.allclose(many(turn(patches(), 5)).softmax(1), found, atol=1e-5)
    logits, texture = many.examine(patches())
    assert torch.allclose(logits.softmax(1), found, atol=1e-6)
    assert torch.equal(texture, one.examine(patches())[1])
    save_classifier(many, tmp_path)
    assert load_classifier(tmp_path)[0].views == 8
    assert many(patches()[:, :40]).shape == (3, 2)  # a rectangle has four


def test_texture_is_what_it_is_called() -> None:
    """The mean, the log deviation and the log neighbor difference, by a plain loop."""
    model = build("compact").eval()
    given = patches()
    with torch.no_grad():
        early = model.network.early(model.prepare(given)).double().numpy()
        found = model.texture(given)
        assert torch.allclose(found, model.examine(given)[1], atol=1e-6)
    for maps, row in zip(early, found.numpy(), strict=True):
        spreads = [
            [each.std() for each in maps],
            [
                np.sqrt(np.square(np.diff(each, axis=1)).mean())
                + np.sqrt(np.square(np.diff(each, axis=0)).mean())
                for each in maps
            ],
        ]
        expected = [[each.mean() for each in maps], *np.log(np.array(spreads) + 1e-3)]
        assert np.allclose(row, np.concatenate(expected), atol=1e-5)


def test_batch_norm_inside_the_weights_answers_as_beside_them() -> None:
    torch.manual_seed(0)
    model = build("compact")
    for _ in range(3):  # so that the norms have something to say
        model(patches(16))
    model.eval()
    with torch.no_grad():
        found, texture = model.examine(patches())
        for module in model.modules():
            if isinstance(module, torch.nn.Sequential):
                # Layer by layer, as the class that every network is made of does it.
                module.forward = torch.nn.Sequential.forward.__get__(module)
        plain, by_layer = model.examine(patches())
    assert torch.allclose(found, plain, atol=1e-5)
    assert torch.allclose(texture, by_layer, atol=1e-5)


def test_stochastic_depth_is_off_when_measured() -> None:
    model = build("compact", arguments={"drop_path": 0.5})
    first, second = model(patches()), model(patches())
    assert not torch.equal(first, second)
    model.eval()
    assert torch.equal(model(patches()), model(patches()))
    with pytest.raises(RecipeError, match="drop_path"):
        build("compact", arguments={"drop_path": 1.0})


def test_the_articles_network_is_the_tutorials() -> None:
    model = build("article")
    shapes = {n: tuple(p.shape) for n, p in model.network.named_parameters() if "weight" in n}
    assert shapes == {
        "conv1.weight": (64, 3, 3, 3),
        "conv2.weight": (128, 64, 3, 3),
        "conv3.weight": (256, 128, 3, 3),
        "fc1.weight": (1024, 4096),
        "fc2.weight": (512, 1024),
        "fc3.weight": (1, 512),
    }
    assert sum(p.numel() for p in model.parameters()) == 5_091_457


def test_one_logit_as_two_is_the_sigmoid() -> None:
    model = build("article").eval()
    images = patches().permute(0, 3, 1, 2).float() / 255
    z = model.network(images)[:, 0]
    two = model(patches())
    assert torch.allclose(torch.softmax(two, 1)[:, 1], torch.sigmoid(z))
    labels = torch.tensor([0, 1, 1])
    assert torch.allclose(
        functional.cross_entropy(two, labels),
        functional.binary_cross_entropy_with_logits(z, labels.float()),
    )


def test_verbatim_has_no_gradient() -> None:
    model = build("article-verbatim")
    logits = model(patches())
    assert torch.equal(logits, torch.zeros(3, 2))
    loss = functional.binary_cross_entropy(logits[:, 1] - logits[:, 0], torch.tensor([1.0, 0, 1]))
    assert loss.item() == pytest.approx(100 * 2 / 3)
    loss.backward()
    assert all(not p.grad.any() for p in model.parameters() if p.grad is not None)


def test_scaling_and_temperature_are_inside() -> None:
    plain = build("compact").eval()
    scaled = Classifier(
        plain.network,
        architecture="compact",
        arguments={},
        classes=PAIR,
        patch_size=(50, 50),
        mean=[0.5, 0.5, 0.5],
        deviation=[0.25, 0.5, 1.0],
        temperature=2.0,
    ).eval()
    images = patches().permute(0, 3, 1, 2).float() / 255
    by_hand = (images - 0.5) / torch.tensor([0.25, 0.5, 1.0])[:, None, None]
    assert torch.allclose(scaled(patches()), plain.network(by_hand) / 2.0, atol=1e-6)


def test_other_sizes_are_resized() -> None:
    model = build("article").eval()
    flat = torch.full((1, 83, 61, 3), 120, dtype=torch.uint8)
    assert torch.allclose(model(flat), model(flat[:, :50, :50]), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "classes", "words"),
    [
        ("compcat", {}, PAIR, "did you mean compact"),
        ("article", {"widht": 3}, PAIR, "widht"),
        ("article", {}, ["a", "b", "c"], "two classes"),
        ("compact", {"widths": [8]}, PAIR, "differ in length"),
        ("compact", {}, ["a"], "at least two classes"),
    ],
)
def test_what_cannot_be_built_says_why(
    name: str, arguments: dict[str, object], classes: list[str], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        Classifier.build(name, classes=classes, patch_size=(50, 50), arguments=arguments)


def test_too_small_patches_are_refused() -> None:
    with pytest.raises(RecipeError, match="22 pixels"):
        build("article", size=20)


def test_saved_and_loaded_answers_the_same(tmp_path: Path) -> None:
    model = build(
        "compact", mean=[0.1, 0.2, 0.3], deviation=[1.0, 2.0, 3.0], temperature=1.5
    ).eval()
    saved = save_classifier(model, tmp_path, model.facts(recipe="kept"))
    assert load_classifier(tmp_path)[1] == saved
    save_fitted(tmp_path, Fitted(temperature=1.5), model)
    loaded, facts = load_classifier(tmp_path)
    assert (facts.recipe, facts.temperature) == ("kept", 1.5)
    assert torch.equal(loaded(patches()), model(patches()))


def test_fitting_changes_neither_the_weights_nor_model_json(tmp_path: Path) -> None:
    model = build("compact").eval()
    digest = save_classifier(model, tmp_path).weights_digest
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    _, texture = model.examine(patches(9))
    model.scope_mean, model.scope_whitening = texture.mean(0), torch.eye(texture.shape[1])
    points = {"f1": OperatingPoint("f1", 0.25)}
    save_fitted(tmp_path, Fitted(temperature=2.0, point="f1", points=points), model)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    loaded, facts = load_classifier(tmp_path)
    assert facts.weights_digest == weights_digest(tmp_path) == digest
    assert facts.decision().point.threshold == 0.25
    assert facts == ModelFacts.of_run(tmp_path)
    distance = loaded.distance(texture)
    assert distance is not None
    assert torch.allclose(distance, (texture - texture.mean(0)).square().mean(1).sqrt())
    # The check is taken away with what was fitted.
    model.scope_mean = model.scope_whitening = None
    save_fitted(tmp_path, Fitted(), model)
    assert load_classifier(tmp_path)[0].distance(texture) is None


def test_what_was_fitted_for_other_weights_is_not_used(tmp_path: Path) -> None:
    save_classifier(build("compact"), tmp_path)
    save_fitted(tmp_path, Fitted(temperature=2.0), build("compact"))
    other = build("compact", arguments={"widths": [8, 8], "blocks": [0, 0]})
    save_classifier(other, tmp_path)
    assert load_classifier(tmp_path)[1].temperature == 1.0
    assert not load_classifier(tmp_path)[1].marks


def test_weights_that_were_replaced_leave_a_mark(tmp_path: Path) -> None:
    save_classifier(build("compact"), tmp_path / "one")
    torch.manual_seed(1)
    other = Classifier.build("compact", classes=PAIR, patch_size=(50, 50))
    save_classifier(other, tmp_path / "two")
    (tmp_path / "two" / "model.safetensors").replace(tmp_path / "one" / "model.safetensors")
    (mark,) = load_classifier(tmp_path / "one")[1].marks
    assert "not the file that training wrote" in mark.sentence


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"model\.json is missing"):
        load_classifier(tmp_path)
    save_classifier(build("compact"), tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())

    def broken(**changes: object) -> str:
        (tmp_path / "model.json").write_text(json.dumps({**facts, **changes}))
        with pytest.raises(RunError) as caught:
            load_classifier(tmp_path)
        return str(caught.value)

    assert "format" in broken(format=99)
    assert "did you mean compact" in broken(architecture="compacd")
    assert "damaged" in broken(mean="x")
    assert "damaged" in broken(patch_size=None)
    wider = broken(arguments={"widths": [16, 64], "blocks": [0, 0]})
    assert "should be (64" in wider
    assert "and is" in wider
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        load_classifier(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(facts))
    whole = (tmp_path / "model.safetensors").read_bytes()
    for data in (b"", b"junk", whole[:-10], pickle.dumps({"a": 1})):
        (tmp_path / "model.safetensors").write_bytes(data)
        with pytest.raises(RunError, match="damaged"):
            load_classifier(tmp_path)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["compact", "article"])
def test_relu_after_pooling_changes_no_bit(kind: str, precision: torch.dtype) -> None:
    images = torch.randn(4, 3, 30, 30, generator=torch.Generator().manual_seed(1))
    found = []
    for plain in (True, False):
        torch.manual_seed(0)
        network: Any = CompactNetwork(widths=[8, 16, 16], blocks=[0, 1, 1])
        if kind == "article":
            network = ArticleNetwork(patch_size=(30, 30), width=8)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            logits = network.late(network.early(images)) if plain else network(images)
        logits.float().square().sum().backward()
        found.append([logits, *(p.grad for p in network.parameters()), *network.buffers()])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
