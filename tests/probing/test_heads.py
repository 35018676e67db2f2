"""Heads on embeddings against scikit-learn, and how they are chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from eosin.errors import RecipeError, StoppedError
from eosin.models.knn import NearestHead
from eosin.probing.heads import Part, fit_logistic, fit_nearest


def part(n: int, *, classes: int = 2, seed: int = 0, cases: int = 10, gap: float = 1.0) -> Part:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    values = rng.normal(0, 1, (n, 6)) * [1, 5, 0.1, 1, 1, 0] + [0, 100, 3, 0, 0, 7]
    values[:, 0] += gap * labels
    values[:, 2] -= 0.1 * gap * labels
    return Part(
        values.astype(np.float32), labels, np.array([str(i // classes % cases) for i in range(n)])
    )


EMPTY = part(0)


def answers(head: torch.nn.Module, given: Part) -> np.ndarray:
    with torch.no_grad():
        return torch.softmax(head.eval()(torch.from_numpy(given.embeddings)), 1).numpy()


@pytest.mark.parametrize("classes", [2, 3])
def test_the_layer_is_scikit_learns_regression(classes: int) -> None:
    train, val = part(120, classes=classes), part(60, classes=classes, seed=1)
    fitted = fit_logistic(train, val, classes=classes)
    scaler = StandardScaler().fit(train.embeddings.astype(np.float64))
    plain = LogisticRegression(C=fitted.chosen["strength"], max_iter=1000, tol=1e-6)
    plain.fit(scaler.transform(train.embeddings), train.labels)
    expected = plain.predict_proba(scaler.transform(val.embeddings))
    assert np.allclose(answers(fitted.head, val), expected, atol=2e-3)
    assert fitted.chosen_on == "validation"
    best = min(fitted.tried, key=lambda row: row["val_loss"])
    assert fitted.chosen["strength"] == best["strength"]
    loss = -np.log(expected[np.arange(len(val)), val.labels]).mean()
    assert best["val_loss"] == pytest.approx(loss, abs=2e-3)


def test_strengths_that_only_get_worse_are_not_tried() -> None:
    noise, other = part(60, gap=0), part(60, gap=0, seed=1)
    fitted = fit_logistic(noise, other, classes=2)
    assert len(fitted.tried) < 10
    assert fitted.chosen["strength"] < 0.1


def test_without_validation_cases_are_held_back() -> None:
    """Each case has its own signature and a label of its own: only across cases is it noise."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(20), 10)
    labels = (codes % 2).astype(np.int64)
    values = np.eye(20)[codes] + rng.normal(0, 0.01, (200, 20))
    train = Part(values.astype(np.float32), labels, codes.astype(str))
    fitted = fit_logistic(train, EMPTY, classes=2)
    assert fitted.chosen_on == "cross-validation over training cases, 5 folds"
    assert max(row["val_auroc"] for row in fitted.tried) < 0.9  # across patches: 1
    assert fitted.chosen["strength"] <= 1e-2
    near = fit_nearest(train, EMPTY, classes=2)
    assert near.chosen_on == "the training patches of other cases"
    assert max(row["val_auroc"] for row in near.tried) < 0.9
    assert near.chosen["neighbors"] >= 10


@pytest.mark.parametrize("cases", [1, 2, 3])
def test_few_cases(cases: int) -> None:
    train = part(40, cases=cases)
    for fit in (fit_logistic, fit_nearest):
        fitted = fit(train, EMPTY, classes=2)  # type: ignore[operator]
        assert np.isfinite(answers(fitted.head, train)).all()


def test_a_class_of_its_own_case_cannot_be_held_back() -> None:
    train = part(40)
    split = Part(train.embeddings, train.labels, train.labels.astype(str))
    assert np.isfinite(answers(fit_logistic(split, EMPTY, classes=2).head, split)).all()


@pytest.mark.parametrize("present", [2, 3])
def test_a_class_without_training_patches_is_never_called(present: int) -> None:
    train, val = part(90, classes=present), part(40, classes=present, seed=1)
    for fit in (fit_logistic, fit_nearest):
        found = answers(fit(train, val, classes=4).head, val)  # type: ignore[operator]
        assert found.shape == (40, 4)
        assert found[:, present:].max() < 0.01


def test_a_fit_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from eosin.probing import heads

    monkeypatch.setattr(heads, "_STEPS", 1)
    fitted = fit_logistic(part(60), part(40, seed=1), classes=2, strengths=(1.0,))
    assert any("had not converged after 1 steps" in note for note in fitted.notes)
    assert any("is the end of those tried" in note for note in fitted.notes)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_neighbors_are_scikit_learns(distance: str) -> None:
    train, val = part(80), part(40, seed=1)
    fitted = fit_nearest(train, val, classes=2, distance=distance)
    k = int(fitted.chosen["neighbors"])
    moved = [p.embeddings.astype(np.float64) - train.embeddings.mean(0) for p in (train, val)]
    if distance == "euclidean":
        spread = train.embeddings.std(0)
        moved = [m / np.where(spread > 1e-6, spread, 1) for m in moved]
    found = NearestNeighbors(n_neighbors=k, metric=distance, algorithm="brute").fit(moved[0])
    near = found.kneighbors(moved[1], return_distance=False)
    votes = np.eye(2)[train.labels[near]].sum(1)
    expected = (votes + np.bincount(train.labels) / 80) / (k + 1)
    assert np.allclose(answers(fitted.head, val), expected, atol=1e-5)
    assert fitted.chosen["neighbors"] == min(fitted.tried, key=lambda r: r["val_loss"])["neighbors"]


def test_only_so_many_points_are_kept() -> None:
    fitted = fit_nearest(part(80), part(20, seed=1), classes=2, most=30)
    assert isinstance(fitted.head, NearestHead)
    assert len(fitted.head.embeddings) == 30
    assert "keeps 30 of 80" in fitted.notes[0]


def test_a_head_of_neighbors_is_not_trained() -> None:
    head = fit_nearest(part(20), part(20, seed=1), classes=2).head
    with pytest.raises(RecipeError, match="not trained by steps"):
        head(torch.zeros(1, 6))
    with pytest.raises(ValueError, match=r"0 neighbors of 0 points; .* eosin probe"):
        NearestHead(6, 2, neighbors=0, points=0)
    with pytest.raises(ValueError, match="distance 'far'"):
        NearestHead(6, 2, neighbors=1, points=2, distance="far")


def test_half_precision_does_not_confuse_neighbors() -> None:
    head = fit_nearest(part(80), part(40, seed=1), classes=2).head.eval()
    given = torch.from_numpy(part(40, seed=2).embeddings)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(given), head(given))
        found = head(given)
    assert torch.equal(found, head(given))


def test_stopping_says_how_to_go_on() -> None:
    for fit in (fit_logistic, fit_nearest):
        with pytest.raises(StoppedError, match="same command resumes"):
            fit(part(20), part(20), classes=2, stop=lambda: True)  # type: ignore[operator]
