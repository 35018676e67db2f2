"""torch.compile around a step: one graph without breaks, the same numbers, and a way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from eosin.config import Recipe
from eosin.models.classifier import Classifier
from eosin.training import draws
from eosin.training.batches import Batches
from eosin.training.compiled import DeviceEpoch, compile_loss, compiling
from eosin.training.epoch import PlainEpoch
from eosin.training.machine import Machine, choose_machine
from eosin.training.on_device import DeviceAugment
from eosin.training.optimizers import Optimizer
from eosin.training.step import Step

RECIPE = Recipe(
    network="compact",
    optimizer="muon",
    learning_rate=0.01,
    label_smoothing=0.1,
    mixup=0.4,
    cutmix=1.0,
    dihedral=True,
    shift_px=2,
    stain=0.1,
    brightness=0.1,
)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What one test compiled is nothing to the next."""
    yield
    torch.compiler.reset()


def made(precision: str) -> Step:
    torch.manual_seed(0)
    model = Classifier.build(
        "compact",
        classes=["a", "b"],
        patch_size=(16, 16),
        arguments={"widths": [8, 16], "blocks": [0, 1], "dropout": 0.0},
    ).to(memory_format=torch.channels_last)
    machine = Machine(torch.device("cpu"), precision, "asked for")
    return Step(model, Optimizer(model, RECIPE), RECIPE, machine, classes=2)


def patches() -> Tensor:
    drawn = torch.randint(0, 256, (12, 16, 16, 3), generator=draws.seeded(1))
    return drawn.to(torch.uint8)


def weights_after(step: Step, count: int = 3) -> Tensor:
    for number in range(count):
        step(patches(), torch.arange(12) % 2, None, epoch=1, step=number, factor=1.0)
    return torch.cat([p.detach().flatten() for p in step.model.parameters()])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_step_is_one_graph_and_the_same(precision: str) -> None:
    expected = weights_after(made(precision))
    step = made(precision)
    compile_loss(step, backend="aot_eager", fullgraph=True)
    said: list[str] = []
    step.warned = said.append
    apart = (weights_after(step) - expected).abs()
    assert not said
    assert apart.mean() < 1e-3


def test_augmentation_is_one_graph_and_the_same() -> None:
    data = patches()
    rows = torch.arange(12).flip(0)
    numbers = draws.of_step(RECIPE, 12, (16, 16), epoch=1, step=0)
    augment = DeviceAugment(data, RECIPE, 12)

    def both(rows: Tensor, target: Tensor, numbers: dict[str, Tensor]) -> Any:
        return augment.blend(augment(rows, numbers), [target], numbers)

    target = torch.eye(2).repeat(6, 1)
    expected, (wanted,) = both(rows, target, numbers)
    fast = torch.compile(both, backend="aot_eager", fullgraph=True, dynamic=False)
    found, (given,) = fast(rows, target, numbers)
    assert torch.equal(found, expected)
    assert torch.allclose(given, wanted)


def test_a_compiler_that_fails_is_left_with_one_sentence() -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler found\nin any place")

    step = made("fp32")
    said: list[str] = []
    step.warned = said.append
    compile_loss(step, backend=broken)
    assert torch.equal(weights_after(step), weights_after(made("fp32")))
    assert len(said) == 1
    assert "no compiler found" in said[0]
    assert "compile=off" in said[0]


def test_the_last_smaller_batch_is_not_compiled_anew() -> None:
    step = made("fp32")
    sizes: list[int] = []

    def counting(given: Tensor, labels: Tensor, targets: list[Tensor]) -> Tensor:
        sizes.append(len(given))
        return step._loss_of(given, labels, targets)

    step.loss_of = counting
    batches = Batches(patches(), torch.arange(12) % 2, Recipe(batch_size=5))
    for kind in (PlainEpoch, DeviceEpoch):
        step.optimizer = Optimizer(step.model, RECIPE, on_device=kind is DeviceEpoch)
        assert len(list(kind(step, batches, rate=lambda done: 1.0).steps(1))) == 3
        assert sizes == [5, 5]
        assert step.loss_of is counting
        sizes.clear()


def test_an_error_of_the_network_itself_is_not_taken_for_the_compilers() -> None:
    step = made("fp32")
    compile_loss(step, backend="eager")

    def wrong(given: Tensor) -> Tensor:
        raise ValueError("a fault of its own")

    step.model = wrong  # type: ignore[assignment]
    with pytest.raises(ValueError, match="of its own"):
        weights_after(step, 1)


def test_what_is_compiled_where() -> None:
    here = choose_machine("fp32")
    there = Machine(torch.device("cuda"), "bf16", "in thought")
    assert not compiling(Recipe(compile="off"), there)
    assert compiling(Recipe(compile="on"), here)
    if here.device.type == "cpu":
        assert not compiling(Recipe(), here)
