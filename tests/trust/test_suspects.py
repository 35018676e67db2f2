"""Label suspects: against cleanlab, on planted errors, and where nothing can be said."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eosin.records.scored import Scored
from eosin.trust.suspects import estimated_joint, find_suspects, normalized_margin

Numbers = Any


def noisy(seed: int, *, n: int = 600, classes: int = 2, noise: float = 0.08) -> tuple[Any, ...]:
    """Labels of which a share is wrong, probabilities of a good model, and which are wrong."""
    rng = np.random.default_rng(seed)
    real = rng.choice(classes, n, p=np.arange(classes, 0, -1) / np.arange(classes + 1).sum())
    wrong = rng.random(n) < noise
    labels = np.where(wrong, (real + rng.integers(1, classes, n)) % classes, real)
    logits = rng.normal(0, 1, (n, classes)) + 3.5 * np.eye(classes)[real]
    prob = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, prob, wrong


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_suspects_as_cleanlab(seed: int, classes: int) -> None:
    pytest.importorskip("cleanlab")
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_normalized_margin_for_each_label

    labels, prob, _ = noisy(seed, classes=classes)
    theirs = find_label_issues(
        labels, prob, return_indices_ranked_by="normalized_margin", n_jobs=1
    ).tolist()
    found = find_suspects(Scored.of(labels, prob), most=None)
    margins = get_normalized_margin_for_each_label(labels, prob)
    np.testing.assert_allclose(normalized_margin(Scored.of(labels, prob)), margins)
    mine = found.rows.tolist()
    # Rounding of the estimated counts may differ by a patch of each pair of classes.
    assert len(set(mine) ^ set(theirs)) <= classes
    both = set(mine) & set(theirs)
    assert [row for row in mine if row in both] == [row for row in theirs if row in both]
    assert len(both) > 10


@pytest.mark.parametrize("seed", range(3))
def test_the_same_joint_as_cleanlab(seed: int) -> None:
    pytest.importorskip("cleanlab")
    from cleanlab.count import compute_confident_joint

    labels, prob, _ = noisy(seed, classes=3)
    assert np.abs(estimated_joint(labels, prob) - compute_confident_joint(labels, prob)).max() <= 1


def test_planted_errors_come_first() -> None:
    labels, prob, wrong = noisy(9, n=2000)
    found = find_suspects(Scored.of(labels, prob), most=50)
    assert found.of == 2000
    assert len(found.rows) == 50
    assert wrong[found.rows].mean() > 0.9
    assert abs(found.total - wrong.sum()) < 0.4 * wrong.sum()
    assert np.all(np.diff(found.score) >= 0)
    assert np.all(found.suggested != found.labels)
    np.testing.assert_allclose(found.probability, prob[found.rows, found.suggested])


def test_right_labels_give_no_suspects() -> None:
    labels, prob, _ = noisy(1, noise=0.0)
    clear = np.where(np.eye(2)[labels] == 1, 0.9, 0.1)
    assert find_suspects(Scored.of(labels, clear)).total == 0
    assert find_suspects(Scored.of(labels, prob)).total < 20


def test_as_a_key_of_the_evaluation() -> None:
    labels, prob, _ = noisy(2)
    found = find_suspects(Scored.of(labels, prob), most=5)
    n = len(labels)
    given_ = {
        "patch": np.arange(n) + 100,
        "case": ["c"] * n,
        "source": [f"{k}.png" for k in range(n)],
    }
    result = found.as_dict(["negative", "positive"], **given_)
    json.dumps(result, allow_nan=False)
    assert set(result) == {"method", "of", "total", "note", "rows"}
    assert set(result["rows"][0]) == {
        "patch", "case", "source", "label", "suggested", "probability", "score",
    }  # fmt: skip
    assert result["rows"][0]["patch"] == found.rows[0] + 100
    assert result["rows"][0]["source"] == f"{found.rows[0]}.png"
    with pytest.raises(ValueError, match="entries"):
        found.as_dict(["negative", "positive"], **{**given_, "case": ["c"]})


@pytest.mark.parametrize(
    ("labels", "prob", "said"),
    [
        ([], [], "no patches"),
        ([1, 1], [0.2, 0.9], "one label"),
        ([0, 1], [0.5, 0.5], "same score"),
        ([0, 1], [0.5, np.nan], "no finite score"),
        ([0, 1], [0.5, 7.0], "not probabilities"),
    ],
)
def test_degenerate_input_gives_a_sentence(labels: list[int], prob: list[float], said: str) -> None:
    found = find_suspects(Scored.of(labels, prob))
    assert said in found.note
    assert found.total == len(found.rows) == 0
    n = len(labels)
    given_ = {"patch": range(n), "case": [""] * n, "source": [""] * n}
    assert found.as_dict("ab", **given_)["rows"] == []


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="must be the same"):
        find_suspects(Scored.of([0, 1], [0.5]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(4, 60))
def test_it_never_fails_and_a_class_is_never_all_wrong(seed: int, classes: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    prob = rng.dirichlet(np.full(classes, 0.3), n)
    found = find_suspects(Scored.of(labels, prob), most=None)
    assert found.total == len(found.rows) == len(set(found.rows.tolist()))
    for k in np.unique(labels):
        assert (labels[found.rows] == k).sum() < (labels == k).sum()
