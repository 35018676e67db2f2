"""Muon on Gram matrices against torch's Muon, and optimizers with their rates on the device."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eosin.config import Recipe
from eosin.training import muon
from eosin.training.draws import seeded
from eosin.training.muon import COEFFICIENTS, STEPS, GramMuon, orthogonalized
from eosin.training.optimizers import Optimizer, WeightAverage

SHAPES = ((8, 27), (8, 72), (8, 72), (30, 8), (16, 16))


def plain(matrix: Tensor) -> Tensor:
    """The Newton-Schulz steps as they are written, in double precision."""
    a, b, c = COEFFICIENTS
    x = matrix.double()
    x = x.T if x.shape[0] > x.shape[1] else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if matrix.shape[0] > matrix.shape[1] else x).float()


def test_gathering_polynomials_is_the_iteration() -> None:
    generator = seeded(1)
    given = [torch.randn(shape, generator=generator) for shape in SHAPES]
    for found, matrix in zip(orthogonalized(given), given, strict=True):
        expected = plain(matrix)
        assert (found - expected).norm() < 0.05 * expected.norm()
        assert found.shape == matrix.shape


def test_without_bf16_instructions_every_product_is_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(muon, "bf16_instructions", lambda: ())
    muon._brief.cache_clear()
    try:
        given = [torch.randn(shape, generator=seeded(1)) for shape in SHAPES]
        for found, matrix in zip(orthogonalized(given), given, strict=True):
            # bf16 has 2 to 3 digits, float32 has 7, of which the iteration loses some.
            assert (found - plain(matrix)).norm() < 1e-3 * plain(matrix).norm()
    finally:
        muon._brief.cache_clear()


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (12, 12)])
def test_nothing_grows_where_rows_depend_on_each_other(shape: tuple[int, int]) -> None:
    generator = seeded(2)
    left, right = (torch.randn(side, 2, generator=generator) for side in shape)
    for matrix in (left @ right.T, 1e-12 * left @ right.T, torch.zeros(shape)):
        assert torch.linalg.svdvals(orthogonalized([matrix])[0]).max() < 1.5


def trained(kind: Callable[..., Any], steps: int, state: Any = None) -> tuple[list[Tensor], Any]:
    generator = seeded(3)
    weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    optimizer = kind(weights, lr=0.02, momentum=0.9, weight_decay=0.1)
    if state is not None:
        optimizer.load_state_dict(copy.deepcopy(state))
    for _ in range(steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
    return [w.detach() for w in weights], optimizer.state_dict()


def test_it_is_torchs_muon_and_continues_its_state() -> None:
    expected, saved = trained(torch.optim.Muon, 4)
    found, own = trained(GramMuon, 4)
    # torch rounds every product to bf16, 2 to 3 digits; steps are 0.02 long, and longer where tall.
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=2e-3)
    for state in (saved, own):
        again = [trained(kind, 2, state)[0] for kind in (GramMuon, torch.optim.Muon)]
        for one, other in zip(*again, strict=True):
            assert torch.allclose(one, other, atol=2e-3)


def test_a_rate_on_the_device_is_the_rate() -> None:
    def with_tensor(weights: list[nn.Parameter], **options: Any) -> GramMuon:
        made = GramMuon(weights, **options)
        made.param_groups[0]["lr"] = torch.tensor(options["lr"])
        return made

    for one, other in zip(trained(with_tensor, 3)[0], trained(GramMuon, 3)[0], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def learned(recipe: Recipe, plan: list[bool]) -> Tensor:
    """Weights after two steps with each of the optimizers, on the device or not, one after another.

    Each takes over the state of the one before.
    """
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 6, 3),
        nn.Flatten(),
        nn.Linear(24, 2),
    )
    images = torch.randn(4, 3, 6, 6, generator=seeded(1))
    states = None
    for on_device in plan:
        optimizer = Optimizer(model, recipe, on_device=on_device)
        if states is not None:
            optimizer.load(states)
        for factor in (1.0, 0.5):
            optimizer.zero()
            model(images).pow(2).sum().backward()
            optimizer.set_rate(torch.tensor(factor) if on_device else factor)
            optimizer.step()
        states = optimizer.state()
        assert all(type(g["lr"]) is float for state in states for g in state["param_groups"])
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_rates_on_the_device_and_a_state_from_the_other_machine(kind: Any) -> None:
    recipe = Recipe(optimizer=kind, momentum=0.9, learning_rate=0.001, muon_learning_rate=0.002)
    expected = learned(recipe, [False, False])
    for plan in ([True, True], [True, False], [False, True]):
        assert torch.allclose(learned(recipe, plan), expected, atol=1e-4)


def test_the_average_takes_a_weight_on_the_device() -> None:
    model = nn.Linear(3, 2)
    one, other = WeightAverage(model, 0.9), WeightAverage(model, 0.9)
    for step in range(30):
        nn.init.constant_(model.weight, float(step))
        one.update(step)
        other.take_in(torch.tensor(other.weight(step)))
    for a, b in zip(one.values, other.values, strict=True):
        assert torch.allclose(a, b, rtol=1e-5)
