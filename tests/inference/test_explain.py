"""Explanation maps: a known answer, a plain reference, and weights that must matter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from eosin.errors import UserError
from eosin.inference.explain import explain, feature_layer, occlusion_windows
from eosin.inference.maps import Method, map_place, overlay, why_empty
from eosin.models.classifier import Classifier

SIDE = 32
ARGUMENTS = {"widths": [8, 16, 32], "blocks": [0, 1, 1]}
#: Convolutions, normalizations and the head of that network.
LAYERS = 15
METHODS: tuple[Method, ...] = ("grad-cam", "occlusion")


def marked(
    n: int, *, seed: int, square: int = 7
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tissue-like noise with two squares, one dark blue or dark green, the other always gray.

    Only the color of the first decides the class; the gray one is as strange to look at. Returns
    patches uint8 [n, SIDE, SIDE, 3], labels, and (x, y) of the deciding and of the gray square's
    center, float [n, 2].
    """
    rng = np.random.default_rng(seed)
    field = rng.normal(0, 12, (n, SIDE, SIDE, 3)) + rng.normal(0, 12, (n, 1, 1, 3))
    patches = np.clip(np.array([210, 150, 190]) + field, 0, 255).astype(np.uint8)
    labels = rng.integers(0, 2, n)
    places = np.zeros((2, n, 2))
    for k in range(n):
        # One in each of two different quarters, so that they never touch.
        for which, quarter in enumerate(rng.permutation(4)[:2]):
            x, y = rng.integers(1, SIDE // 2 - square, 2) + SIDE // 2 * np.array(divmod(quarter, 2))
            color = ([60, 60, 180], [60, 150, 60])[labels[k]] if which == 0 else [120, 120, 120]
            patches[k, y : y + square, x : x + square] = color
            places[which, k] = x + (square - 1) / 2, y + (square - 1) / 2
    return patches, labels, places[0], places[1]


def train(name: str, arguments: Mapping[str, Any]) -> Classifier:
    """A network that has learned the squares, in a few seconds."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Classifier.build(
            name,
            classes=["blue", "green"],
            patch_size=(SIDE, SIDE),
            arguments=arguments,
            mean=(0.8, 0.58, 0.73),
            deviation=(0.12, 0.1, 0.1),
        )
        patches, labels, *_ = (torch.from_numpy(part) for part in marked(640, seed=1))
        optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=90)
        model.train()
        for step in range(90):
            rows = torch.arange(64) + 64 * (step % 10)
            loss = functional.cross_entropy(model(patches[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return model.eval()


@pytest.fixture(scope="module")
def compact() -> Classifier:
    return train("compact", ARGUMENTS)


@pytest.fixture(scope="module")
def article() -> Classifier:
    return train("article", {"width": 8})


def fresh(name: str = "compact", side: int = SIDE) -> Classifier:
    torch.manual_seed(3)
    arguments: Mapping[str, Mapping[str, Any]] = {
        "compact": ARGUMENTS,
        "article": {"width": 4},
        "article-verbatim": {"width": 4},
    }
    return Classifier.build(
        name,
        classes=["a", "b", "c"] if name == "digits" else ["a", "b"],
        patch_size=(side, side),
        arguments=arguments.get(name, {}),
    ).eval()


# A known answer


@pytest.mark.parametrize("name", ["compact", "article"])
@pytest.mark.parametrize("method", METHODS)
def test_the_map_points_at_the_square_that_decides(
    name: str, method: Method, request: pytest.FixtureRequest
) -> None:
    """The peak lies nearer to the deciding square than to the one that decides nothing."""
    model = request.getfixturevalue(name)
    patches, labels, deciding, idle = marked(40, seed=2)
    with torch.no_grad():
        right = model(torch.from_numpy(patches)).argmax(1).numpy() == labels
    assert right.mean() > 0.97
    maps = explain(model, patches[right], method=method)
    peaks = np.array([map_place(found).peak or (np.nan, np.nan) for found in maps])
    far = np.hypot(*(peaks - deciding[right]).T)
    assert (far < np.hypot(*(peaks - idle[right]).T)).mean() > 0.9
    # Grad-CAM is as coarse as its last feature map, whose cells are 4 pixels here.
    assert np.median(far) < 8


# A plain reference


def plain_occlusion(model: Classifier, patch: np.ndarray, target: int) -> np.ndarray:
    """One window after another, in the patch's own pixels: float [H, W], mean drop of log odds."""

    def log_odds(images: Tensor) -> float:
        logits = model.scaled(model.network(images))[0].double()
        others = [logits[k] for k in range(len(logits)) if k != target]
        return float(logits[target] - torch.logsumexp(torch.stack(others), 0))

    (tall, wide), (down, across) = occlusion_windows(patch.shape[:2])
    height, width = patch.shape[:2]
    images = model.prepare(torch.from_numpy(patch[None]))
    drops, counts = np.zeros((height, width)), np.zeros((height, width))
    with torch.no_grad():
        before = log_odds(images)
        for y in range(-(-(height - tall) // down) + 1):
            for x in range(-(-(width - wide) // across) + 1):
                rows = slice(y * down, y * down + tall)
                columns = slice(x * across, x * across + wide)
                hidden = images.clone()
                hidden[:, :, rows, columns] = 0
                drops[rows, columns] += before - log_odds(hidden)
                counts[rows, columns] += 1
    return drops / counts


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("name", ["compact", "article"])
def test_occlusion_is_the_plain_loop(
    name: str, target: int, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(name)
    patches = marked(3, seed=4)[0]
    found = explain(model, patches, target=target, method="occlusion", scaled=False)
    for patch, drawn in zip(patches, found, strict=True):
        plain = plain_occlusion(model, patch, target)
        assert np.abs(drawn - plain).max() < 1e-3 * max(1, np.abs(plain).max())


def test_occlusion_covers_sides_that_windows_do_not_fit() -> None:
    model = fresh(side=29)
    patch = np.random.default_rng(0).integers(0, 256, (29, 29, 3), np.uint8)
    found = explain(model, patch[None], target=1, method="occlusion", scaled=False)[0]
    assert np.abs(found - plain_occlusion(model, patch, 1)).max() < 1e-3


def test_grad_cam_is_its_formula(compact: Classifier) -> None:
    """ReLU of the channels weighted by mean gradients, enlarged; here without captum or hooks."""
    patches = marked(4, seed=5)[0]
    network = compact.network
    assert isinstance(network.features, nn.Module)
    with torch.no_grad():
        maps = network.features(compact.prepare(torch.from_numpy(patches)))
    maps = maps.requires_grad_()
    logits = network.head(maps.mean((2, 3)))  # type: ignore[operator]
    (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), maps)
    plain = functional.relu((gradient.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True))
    large = functional.interpolate(plain, size=(SIDE, SIDE), mode="bilinear")[:, 0]
    expected = large.detach().numpy()
    found = explain(compact, patches, target=1, scaled=False)
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-4)
    scaled = explain(compact, patches, target=1)
    assert np.allclose(scaled.max((1, 2)), (expected.max((1, 2)) > 0).astype(float))


# Weights must matter (Adebayo et al. 2018, "Sanity checks for saliency maps")


def cascade(model: Classifier) -> Iterator[Classifier]:
    """The network with its layers drawn anew from the head down, one more each time."""
    copy = Classifier.build(
        model.architecture,
        classes=model.classes,
        patch_size=model.patch_size,
        arguments=model.arguments,
        mean=model.mean.tolist(),
        deviation=model.deviation.tolist(),
    )
    copy.network.load_state_dict(model.network.state_dict())
    layers = [
        layer
        for layer in copy.network.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d)
    ]
    assert len(layers) == LAYERS
    torch.manual_seed(11)
    for layer in reversed(layers):
        layer.reset_parameters()
        yield copy.eval()


def likeness(left: np.ndarray, right: np.ndarray) -> float:
    """Mean over patches of Spearman's rank correlation of two maps; an empty map gives 0."""
    from scipy.stats import rankdata

    found = []
    for one, other in zip(left, right, strict=True):
        ranks = [rankdata(values.ravel()) for values in (one, other)]
        flat = min(float(np.ptp(values)) for values in ranks) == 0
        found.append(0.0 if flat else float(np.corrcoef(ranks)[0, 1]))
    return float(np.mean(found))


@pytest.mark.parametrize("method", METHODS)
def test_random_weights_change_the_map(compact: Classifier, method: Method) -> None:
    """Layer by layer from the head down, maps lose their likeness to those of the trained network.

    Criterion: the mean rank correlation with the trained network's maps of the class that it calls
    is under 0.5 on the way down (mean of the cascade) and under 0.35 once every layer is drawn
    anew. A method that draws edges whatever the weights are stays near 1, as the check of the check
    shows. Measured: 0.20 and 0.14 for Grad-CAM, -0.09 and -0.03 for occlusion.
    """
    patches = marked(24 if method == "grad-cam" else 10, seed=6)[0]
    with torch.no_grad():
        called = compact(torch.from_numpy(patches)).argmax(1).tolist()

    def maps(model: Classifier) -> np.ndarray:
        return explain(model, patches, target=called, method=method, scaled=False)

    trained = maps(compact)
    assert likeness(trained, maps(compact)) == pytest.approx(1)
    steps = [
        likeness(trained, maps(copy))
        for number, copy in enumerate(cascade(compact))
        if number % 3 == 0 or number == LAYERS - 1
    ]
    assert np.mean(steps) < 0.5
    assert steps[-1] < 0.35


def test_the_criterion_sees_a_map_that_ignores_the_weights() -> None:
    patches = marked(24, seed=6)[0].mean(3)
    edges = np.hypot(*np.gradient(patches, axis=(1, 2)))
    wobbled = edges * np.random.default_rng(0).uniform(0.8, 1.2, edges.shape)
    assert likeness(edges, wobbled) > 0.9


# Any classifier, any patch


@pytest.mark.parametrize("name", ["article", "compact", "digits"])
@pytest.mark.parametrize("method", METHODS)
def test_maps_have_the_form_of_the_patch(name: str, method: Method) -> None:
    model = fresh(name)
    for size in ((SIDE, SIDE), (64, 30), (7, 9)):
        patches = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
        for target in (None, 1, [0, 1, 0]):
            maps = explain(model, patches, target=target, method=method)
            assert maps.shape == (3, *size)
            assert maps.dtype == np.float32
            assert np.isfinite(maps).all()
            assert maps.min() >= 0
            assert set(maps.max((1, 2)).round(5).tolist()) <= {0.0, 1.0}
    assert explain(model, np.zeros((0, 5, 6, 3), np.uint8), method=method).shape == (0, 5, 6)


def test_the_default_target_is_the_called_class(compact: Classifier) -> None:
    patches = marked(8, seed=7)[0]
    with torch.no_grad():
        called = compact(torch.from_numpy(patches)).argmax(1).tolist()
    assert len(set(called)) == 2
    for method in METHODS:
        free = explain(compact, patches, method=method)
        assert np.array_equal(free, explain(compact, patches, target=called, method=method))


def test_the_two_classes_of_one_logit_are_opposite() -> None:
    model = fresh("article")
    patches = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    one, other = (
        explain(model, patches, target=k, method="occlusion", scaled=False) for k in (0, 1)
    )
    assert np.abs(one).max() > 1e-4
    assert np.allclose(one, -other, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_dead_model_gives_empty_maps_and_a_reason(method: Method) -> None:
    dead = fresh()
    with torch.no_grad():
        dead.network.head.weight.zero_()  # type: ignore[operator, union-attr]
    broken = fresh()
    with torch.no_grad():
        broken.network.head.weight.fill_(float("nan"))  # type: ignore[operator, union-attr]
    patches = marked(3, seed=8)[0]
    for model in (fresh("article-verbatim"), dead, broken):
        for scaled in (True, False):
            maps = explain(model, patches, method=method, scaled=scaled)
            assert not maps.any()
            assert why_empty(maps[0], method).startswith("the map is empty")
            assert map_place(maps[0]).as_dict() == {
                "peak": None, "centroid": None, "central_share": None,
            }  # fmt: skip


def test_the_reason_for_an_empty_map_fits() -> None:
    assert why_empty(np.array([[0.0, 0.2]]), "occlusion") == ""
    assert "raises the score" in why_empty(np.array([[0.0, -0.2]]), "occlusion")


@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_left_as_it_was(method: Method) -> None:
    model = fresh()
    model.train()
    model.network.head.eval()  # type: ignore[union-attr]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    weight = next(model.parameters())
    weight.requires_grad_(True)
    weight.grad = torch.ones_like(weight)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    patches = marked(3, seed=8)[0]
    first = explain(model, patches, method=method)
    with torch.inference_mode():
        assert np.array_equal(first, explain(model, patches, method=method))
    assert [module.training for module in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == [
        p is weight for p in model.parameters()
    ]
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not [hook for module in model.modules() for hook in module._forward_hooks]
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("method", METHODS)
def test_maps_do_not_depend_on_the_batch(
    compact: Classifier, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    patches = marked(5, seed=9)[0]
    whole = explain(compact, patches, target=0, method=method, scaled=False)
    monkeypatch.setattr("eosin.inference.explain._BATCH_PIXELS", 2 * SIDE * SIDE)
    parts = explain(compact, patches, target=0, method=method, scaled=False)
    assert np.allclose(parts, whole, rtol=1e-3, atol=1e-4)


# Which layer


class _Tokens(nn.Module):
    """As vision transformers are built: one map, then a sequence of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 8, stride=8)
        self.block = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.block(self.cut(images).flatten(2).transpose(1, 2))
        logits: Tensor = self.head(tokens.mean(1))
        return logits


class _ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, 16, 8, stride=8)
        self.mix = nn.Linear(16, 16)
        self.head = nn.Linear(16, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.mix(self.cut(images).permute(0, 2, 3, 1)).mean((1, 2)))
        return logits


class _SharedActivation(nn.Module):
    """One activation module for maps and vectors: its last output is no map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2)
        self.second = nn.Conv2d(8, 8, 3, stride=2)
        self.active = nn.ReLU()
        self.hidden = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.active(self.second(self.active(self.first(images))))
        logits: Tensor = self.head(self.active(self.hidden(maps.mean((2, 3)))))
        return logits


def around(network: nn.Module) -> Classifier:
    torch.manual_seed(0)
    return Classifier(
        network, architecture="own", arguments={}, classes=["a", "b"], patch_size=(SIDE, SIDE)
    )


def test_the_layer_is_the_last_map_with_a_side() -> None:
    assert feature_layer(fresh())[1] == (8, 8)
    assert feature_layer(fresh("digits", 28))[1] == (8, 8)
    # The last stages of the house network have one cell left here.
    small = Classifier.build("compact", classes=["a", "b"], patch_size=(28, 28))
    assert feature_layer(small)[1] == (3, 3)
    shared = around(_SharedActivation())
    assert feature_layer(shared)[0] is shared.network.second
    assert explain(shared, marked(2, seed=1)[0], target=0, scaled=False).shape == (2, SIDE, SIDE)


@pytest.mark.parametrize("network", [_Tokens, _ChannelsLast])
def test_without_a_map_only_occlusion_explains(network: type[nn.Module]) -> None:
    model = around(network())
    patches = marked(2, seed=1)[0]
    with pytest.raises(UserError, match=r"'own' has no feature map .* use occlusion"):
        explain(model, patches)
    found = explain(model, patches, target=1, method="occlusion", scaled=False)
    assert np.abs(found[0] - plain_occlusion(model, patches[0], 1)).max() < 1e-4


def test_what_cannot_be_explained_is_refused() -> None:
    model = fresh()
    patches = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    with pytest.raises(ValueError, match="not uint8"):
        explain(model, patches.astype(np.float32))
    with pytest.raises(ValueError, match="not among the 2 classes"):
        explain(model, patches, target=2)
    with pytest.raises(ValueError, match="not among"):
        explain(model, patches, target=[0, -1])
    with pytest.raises(ValueError, match="unknown method"):
        explain(model, patches, method="lime")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"broadcast|shape"):
        explain(model, patches, target=[0, 1, 0])


# The picture


def test_the_overlay_keeps_color_where_the_map_is_high() -> None:
    patch = np.full((50, 50, 3), (230, 120, 180), np.uint8)
    found = np.zeros((50, 50), np.float32)
    found[5:20, 5:20] = 0.01
    drawn = overlay(patch, found, side_px=200).astype(int)
    colorful = np.ptp(drawn, axis=2)
    assert np.abs(drawn[50, 50] - patch[0, 0]).max() <= 1
    assert colorful[150:, 150:].max() <= 1
    yellow = (np.abs(drawn - (255, 221, 51)).sum(2) < 60).nonzero()
    assert len(yellow[0])
    assert min(yellow[0].min(), yellow[1].min()) >= 10
    assert max(yellow[0].max(), yellow[1].max()) <= 90


def test_nuclei_stay_darker_than_what_is_around_them() -> None:
    patch = np.full((50, 50, 3), (230, 150, 190), np.uint8)
    patch[20:30, 20:30] = (90, 60, 130)
    for found in (np.zeros((50, 50)), np.ones((50, 50)), np.eye(50)):
        drawn = overlay(patch, found, side_px=100).astype(int)
        assert drawn[48:52, 44:47].mean() < drawn[5:15, 80:90].mean() - 50


def test_odd_maps_are_drawn() -> None:
    patch = np.full((20, 50, 3), 100, np.uint8)
    assert overlay(patch, -np.ones((20, 50)), side_px=120).shape == (120, 120, 3)
    assert (overlay(patch, np.zeros((20, 50)), side_px=120)[:30] == 255).all()
    assert overlay(np.zeros((900, 700, 3), np.uint8), np.zeros((900, 700)), side_px=90).any()
    assert overlay(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1)), side_px=40).shape == (40, 40, 3)
    with pytest.raises(ValueError, match="a map of"):
        overlay(patch, np.zeros((50, 20)))


def test_an_even_map_has_a_quarter_in_the_central_half() -> None:
    for size in ((50, 50), (7, 9), (1, 1)):
        facts = map_place(np.full(size, 0.3))
        middle = ((size[1] - 1) / 2, (size[0] - 1) / 2)
        assert facts.central_share == pytest.approx(0.25)
        assert facts.centroid == pytest.approx(middle)
        assert facts.peak == pytest.approx(middle)
