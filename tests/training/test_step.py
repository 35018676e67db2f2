"""One step: micro-batches that add up, a teacher's share in the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eosin.config import Recipe
from eosin.errors import TrainingError
from eosin.models.classifier import Classifier
from eosin.training.batches import seeded
from eosin.training.machine import choose_machine
from eosin.training.optimizers import Optimizer
from eosin.training.step import Step, distillation


def patches(n: int = 12, side: int = 24) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8))


def labels(n: int = 12) -> Tensor:
    return torch.arange(n) % 2


def steps(recipe: Recipe, **options: Any) -> tuple[Classifier, Step]:
    torch.manual_seed(0)
    model = Classifier.build(
        "article", classes=["a", "b"], patch_size=(24, 24), arguments={"width": 4}
    )
    machine = choose_machine("fp32")
    return model, Step(model, Optimizer(model, recipe), recipe, machine, classes=2, **options)


def taken(recipe: Recipe, soft: Tensor | None = None, **options: Any) -> tuple[float, Tensor]:
    model, step = steps(recipe, **options)
    loss = step(patches(), labels(), soft, epoch=1, step=0, factor=1.0)
    return float(loss), torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_micro_batches_add_up_to_the_batch(size: int, weighted: bool) -> None:
    recipe = Recipe(network="article", learning_rate=0.1, label_smoothing=0.1)
    options = {"class_weights": torch.tensor([1.0, 3.0])} if weighted else {}
    loss, weights = taken(recipe, **options)
    parted_loss, parted = taken(recipe.changed(micro_batch=size), **options)
    assert parted_loss == pytest.approx(loss, rel=1e-5)
    assert torch.allclose(parted, weights, atol=1e-6)


def test_micro_batches_add_up_with_a_teacher_and_blending() -> None:
    recipe = Recipe(network="article", learning_rate=0.1, mixup=0.4)
    soft = torch.randn(12, 2, generator=seeded(5))
    loss, weights = taken(recipe, soft)
    parted_loss, parted = taken(recipe.changed(micro_batch=5), soft)
    assert parted_loss == pytest.approx(loss, rel=1e-5)
    assert torch.allclose(parted, weights, atol=1e-6)


class Hungry(nn.Module):
    """Runs out of memory above so many patches."""

    def __init__(self, model: Classifier, most: int) -> None:
        super().__init__()
        self.model, self.most, self.asked = model, most, []

    def forward(self, given: Tensor) -> Tensor:
        self.asked.append(len(given))
        if len(given) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        found: Tensor = self.model(given)
        return found


def test_out_of_memory_halves_the_micro_batch_and_the_result_is_the_same() -> None:
    recipe = Recipe(network="article", learning_rate=0.1)
    said: list[str] = []
    model, step = steps(recipe, warned=said.append)
    hungry = step.model = Hungry(model, most=4)
    step(patches(), labels(), None, epoch=1, step=0, factor=1.0)
    assert hungry.asked == [12, 6, 3, 3, 3, 3]
    assert step.micro_batch.size == 3
    assert "continuing with 6" in said[0]
    assert "continuing with 3" in said[1]
    assert "--set micro_batch=3" in said[1]
    found = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert torch.allclose(found, taken(recipe)[1], atol=1e-6)
    step.model = Hungry(model, most=0)
    with pytest.raises(TrainingError, match="out of memory"):
        step(patches(), labels(), None, epoch=1, step=1, factor=1.0)


def test_an_error_that_is_not_memory_is_not_hidden() -> None:
    _, step = steps(Recipe(network="article"))

    def broken(given: Tensor) -> Tensor:
        raise RuntimeError("another fault")

    step.model = broken  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="another fault"):
        step(patches(), labels(), None, epoch=1, step=0, factor=1.0)


def test_the_teachers_share_is_hintons() -> None:
    logits, teacher = torch.randn(6, 3, generator=seeded(1)), torch.randn(6, 3, generator=seeded(2))
    soft = torch.softmax(teacher / 4, 1)
    by_hand = (soft * (soft.log() - torch.log_softmax(logits / 4, 1))).sum(1).mean() * 16
    assert distillation(logits, soft, temperature=4).item() == pytest.approx(by_hand.item())
    # With the whole weight on the teacher, labels do not matter.
    recipe = Recipe(network="article", distill_weight=1.0)
    _, step = steps(recipe)
    answers = torch.randn(12, 2, generator=seeded(3))
    first = step(patches(), labels(), answers, epoch=1, step=0, factor=0.0)
    second = step(patches(), 1 - labels(), answers, epoch=1, step=0, factor=0.0)
    assert first == second
