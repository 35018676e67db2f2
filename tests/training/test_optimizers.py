"""Optimizers, rates and the average of weights."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from eosin.config import Recipe
from eosin.training.optimizers import Optimizer, WeightAverage, rate_factor


def network(channels_last: bool = False) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(24, 2)
    )
    return model.to(memory_format=torch.channels_last) if channels_last else model


def step(model: nn.Module, optimizer: Optimizer) -> None:
    images = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    optimizer.zero()
    model(images).pow(2).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_every_optimizer_moves_every_weight(kind: str) -> None:
    model = network()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = Optimizer(model, Recipe(optimizer=kind, momentum=0.9))  # type: ignore[arg-type]
    step(model, optimizer)
    # A bias before a batch norm has no gradient.
    moved = {n for n, p in model.named_parameters() if not torch.equal(before[n], p)}
    assert moved >= set(before) - {"0.bias"}


def test_muon_does_not_depend_on_the_memory_order() -> None:
    models = [network(False), network(True)]
    for model in models:
        step(model, Optimizer(model, Recipe(optimizer="muon")))
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.allclose(one, other, atol=2e-3)


def test_muon_steps_are_orthogonal() -> None:
    model = network()
    kernel = model[2].weight  # type: ignore[index]
    before = kernel.detach().clone()
    step(model, Optimizer(model, Recipe(optimizer="muon", muon_learning_rate=1.0)))
    values = torch.linalg.svdvals((kernel.detach() - before).flatten(1))
    assert values.max() / values.min() < 2.5


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_state_goes_on_where_it_was(kind: str) -> None:
    recipe = Recipe(optimizer=kind, momentum=0.9)  # type: ignore[arg-type]
    whole = network()
    optimizer = Optimizer(whole, recipe)
    for _ in range(4):
        step(whole, optimizer)
    half = network()
    optimizer = Optimizer(half, recipe)
    for _ in range(2):
        step(half, optimizer)
    state, weights = optimizer.state(), half.state_dict()
    again = network()
    again.load_state_dict(weights)
    optimizer = Optimizer(again, recipe)
    optimizer.load(state)
    for _ in range(2):
        step(again, optimizer)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_vectors_do_not_decay() -> None:
    optimizer = Optimizer(network(), Recipe(optimizer="adamw", weight_decay=0.1))
    decays = [
        (g["weight_decay"], {p.ndim > 1 for p in g["params"]})
        for g in optimizer.parts[0].param_groups
    ]
    assert decays == [(0.1, {True}), (0.0, {False})]


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_the_rate_rises_and_falls(decay: str) -> None:
    course = [rate_factor(s, 100, warmup=0.1, decay=decay) for s in range(100)]
    assert course[0] == pytest.approx(0.1)
    assert max(course) == course[10] == 1.0
    assert all(a >= b for a, b in pairwise(course[10:]))
    assert course[-1] < 0.02
    assert {rate_factor(s, 9, warmup=0.0, decay="none") for s in range(9)} == {1.0}


def test_the_average_follows_and_swaps() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.9)
    expected = 0.0
    for number in range(50):
        nn.init.constant_(model.weight, float(number))
        average.update(number)
        decay = min(0.9, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * number
    average.swap()
    assert model.weight.item() == pytest.approx(expected, rel=1e-5)
    average.swap()
    assert model.weight.item() == 49.0
