"""What is cut out, what is left, and that the rest computes what it computed before."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from eosin.errors import MissingExtraError, RecipeError, UserError
from eosin.models.classifier import Classifier, load_classifier, save_classifier
from eosin.models.networks import build_network
from eosin.refining.cost import size_of, speeds
from eosin.refining.slim import kept_channels, slim

PAIR = ["negative", "positive"]
KINDS = {
    "compact": {"widths": [16, 24, 32], "blocks": [0, 1, 2], "drop_path": 0.1},
    "article": {"width": 4},
    "digits": {},
}


def build(name: str, **options: object) -> Classifier:
    torch.manual_seed(0)
    model = Classifier.build(name, classes=PAIR, patch_size=(32, 32), **options)  # type: ignore[arg-type]
    # Running statistics that are not those of a fresh network.
    with torch.no_grad():
        model.train()(patches())
    return model.eval()


def patches(n: int = 40) -> torch.Tensor:
    return torch.randint(0, 256, (n, 32, 32, 3), dtype=torch.uint8, generator=torch.manual_seed(1))


def labels(n: int = 40) -> torch.Tensor:
    return torch.arange(n) % 2


@pytest.mark.parametrize("by", ["taylor", "magnitude"])
@pytest.mark.parametrize("name", sorted(KINDS))
def test_half_of_the_channels_is_a_network_that_its_arguments_build(
    name: str, by: str, tmp_path: Path
) -> None:
    model = build(name, arguments=KINDS[name], mean=[0.5] * 3, deviation=[0.2] * 3)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    cut = slim(model, patches(), labels(), keep=0.5, by=by)
    for key, value in model.network.state_dict().items():
        assert torch.equal(value, before[key]), "the given classifier is left as it is"
    assert cut(patches()).shape == (40, 2)
    save_classifier(cut, tmp_path)
    assert torch.equal(load_classifier(tmp_path)[0](patches()), cut(patches()))
    assert torch.equal(cut.mean, model.mean)
    expected = {
        "compact": {"widths": [8, 16, 16], "inner": [16, 16, 16], "blocks": [0, 1, 2],
                    "drop_path": 0.1},
        "article": {"widths": [2, 4, 8, 32, 16]},
        "digits": {"widths": [8, 16, 64]},
    }[name]  # fmt: skip
    assert cut.arguments == expected
    original = tmp_path / "original"
    original.mkdir()
    save_classifier(model, original)
    now, then = size_of(cut, tmp_path), size_of(model, original)
    assert all(now[key] < 0.6 * then[key] for key in ("parameters", "mflop"))
    assert now["megabytes"] < then["megabytes"]


def test_channels_that_do_nothing_go_first_and_nothing_else_changes() -> None:
    """The plain reference: a network whose pruned channels were silent answers as before."""
    model = build("article", arguments={"width": 4})
    silent = {"conv1": [0, 3], "conv2": [1, 2, 5, 6], "fc1": list(range(32)), "fc2": [*range(16)],
              "conv3": list(range(0, 16, 2))}  # fmt: skip
    with torch.no_grad():
        for name, channels in silent.items():
            layer = model.network.get_submodule(name)
            layer.weight[channels] = 0  # type: ignore[index, operator]
            layer.bias[channels] = 0  # type: ignore[index, operator]
    for by in ("magnitude", "taylor"):
        # Inputs of a silent channel weigh something all the same; without them, nothing is lost.
        for after, before in (("conv2", "conv1"), ("conv3", "conv2"), ("fc2", "fc1")):
            with torch.no_grad():
                weight = model.network.get_submodule(after).weight
                weight[:, silent[before]] = 0  # type: ignore[index, operator]
        with torch.no_grad():
            flat = model.network.fc1.weight.view(64, 16, -1)  # type: ignore[operator, union-attr]
            flat[:, silent["conv3"]] = 0
            model.network.fc3.weight[:, silent["fc2"]] = 0  # type: ignore[index, union-attr, operator]
        cut = slim(model, patches(), labels(), keep=0.5, by=by)
        assert torch.allclose(cut(patches()), model(patches()), atol=1e-6)


def test_at_least_the_asked_share_is_kept() -> None:
    assert [kept_channels(16, keep) for keep in (0.1, 0.5, 0.51, 0.99)] == [8, 8, 16, 16]
    assert [kept_channels(5, keep) for keep in (0.01, 0.4, 0.41)] == [1, 2, 3]


def test_what_cannot_be_pruned_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    verbatim = build("article-verbatim", arguments={"width": 2})
    with pytest.raises(UserError, match="no weight of it was ever trained"):
        slim(verbatim, patches(), labels(), keep=0.5)
    small = build("article", arguments={"width": 2})
    for keep in (0.0, 1.0, 2.0):
        with pytest.raises(UserError, match="between 0 and 1"):
            slim(small, patches(), labels(), keep=keep)
    with pytest.raises(UserError, match="taylor or magnitude"):
        slim(small, patches(), labels(), keep=0.5, by="chance")
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(MissingExtraError, match=r"eosin\[prune\]"):
        slim(small, patches(), labels(), keep=0.5)


def test_wrong_widths_are_refused() -> None:
    for name, arguments in (
        ("article", {"widths": [1, 2]}),
        ("digits", {"widths": [1, 2]}),
        ("compact", {"inner": [8]}),
    ):
        with pytest.raises(RecipeError, match=name):
            build_network(name, classes=2, patch_size=(32, 32), arguments=arguments)


def test_speed_is_measured_for_every_model() -> None:
    small, large = (build("article", arguments={"width": width}) for width in (1, 2))
    found = speeds({"small": small, "large": large}, patches(3).numpy())
    assert set(found) == {"small", "large"}
    assert all(value > 0 for value in found.values())
