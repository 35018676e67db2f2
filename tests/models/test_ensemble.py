"""Several classifiers as one: the mean of what each answers alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eosin.errors import RecipeError
from eosin.models.classifier import Classifier, load_classifier, save_classifier
from eosin.models.networks import build_network
from eosin.refining.ensemble import joined

PAIR = ["negative", "positive"]


def member(name: str, seed: int, **options: object) -> Classifier:
    torch.manual_seed(seed)
    return Classifier.build(name, classes=PAIR, patch_size=(32, 32), **options).eval()  # type: ignore[arg-type]


@pytest.fixture
def members() -> list[Classifier]:
    """Other networks, scalings, temperatures and views."""
    small = {"widths": [4, 8], "blocks": [0, 1]}
    return [
        member("compact", 0, arguments=small, mean=[0.7, 0.6, 0.7], deviation=[0.2] * 3),
        member("article", 1, arguments={"width": 2}, mean=[0.5] * 3, temperature=2.5),
        member("compact", 2, arguments=small, views=8, temperature=0.5),
    ]


@pytest.fixture
def patches() -> torch.Tensor:
    return torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8, generator=torch.manual_seed(3))


def test_an_ensemble_answers_with_the_mean_of_what_its_members_answer_alone(
    members: list[Classifier], patches: torch.Tensor, tmp_path: Path
) -> None:
    made = joined(members)
    with torch.no_grad():
        alone = torch.stack([each(patches).softmax(1) for each in members]).mean(0)
        assert torch.allclose(made(patches).softmax(1), alone, atol=1e-5)
        other = torch.nn.functional.interpolate(patches.permute(0, 3, 1, 2), size=(40, 40)).permute(
            0, 2, 3, 1
        )
        resized = torch.stack([each(other).softmax(1) for each in members]).mean(0)
        assert torch.allclose(made(other).softmax(1), resized, atol=1e-5)
        logits, texture = made.examine(patches)
        assert torch.allclose(logits, made(patches), atol=1e-6)
        assert texture.shape == (5, 9)
        save_classifier(made, tmp_path)
        again, facts = load_classifier(tmp_path)
        assert torch.equal(again(patches), made(patches))
    assert facts.parameters == sum(p.numel() for each in members for p in each.parameters())
    assert [each["temperature"] for each in facts.arguments["members"]] == [1.0, 2.5, 0.5]


@pytest.mark.parametrize("arguments", [{}, {"members": ["run0", "run1"]}, {"members": []}])
def test_an_ensemble_cannot_be_built_to_be_trained(arguments: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="eosin ensemble RUN RUN"):
        build_network("ensemble", classes=2, patch_size=(32, 32), arguments=arguments)


def test_an_ensemble_is_no_member_of_another(members: list[Classifier]) -> None:
    made = joined(members)
    with pytest.raises(RecipeError, match="member of another"):
        joined([made, made])
