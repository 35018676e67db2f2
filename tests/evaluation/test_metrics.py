"""Every figure against scikit-learn, ties included, and what happens where it has no value."""

import numpy as np
import pytest
from sklearn import metrics as sk

from eosin.evaluation import definitions, metrics, ranking
from eosin.records.scored import Scored

CUT = 0.4


def two_classes(seed, n=400, ties=False):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    p = 1 / (1 + np.exp(-(rng.normal(0, 1.5, n) + 2 * y - 1)))
    return y, np.round(p, 1) if ties else p


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_two_classes_agree_with_scikit_learn(seed, ties):
    y, p = two_classes(seed, ties=ties)
    called = (p >= CUT).astype(int)
    expected = {
        "auroc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called),
        "f1": sk.f1_score(y, called),
        "sensitivity": sk.recall_score(y, called),
        "specificity": sk.recall_score(y, called, pos_label=0),
        "accuracy": sk.accuracy_score(y, called),
        "brier": sk.brier_score_loss(y, p),
        "precision": sk.precision_score(y, called),
    }
    assert set(expected) == set(definitions.BINARY)
    for name, value in expected.items():
        assert metrics.figure(name, y, p, threshold=CUT) == pytest.approx(value, abs=1e-12), name
        both = np.stack([1 - p, p], axis=1)
        assert metrics.figure(name, y, both, threshold=CUT) == pytest.approx(value, abs=1e-12)
    assert (
        metrics.confusion(y, p, threshold=CUT).tolist() == sk.confusion_matrix(y, called).tolist()
    )


@pytest.mark.parametrize("seed", range(5))
def test_many_classes_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, 300)
    p = rng.dirichlet(np.ones(4), 300) + 0.5 * np.eye(4)[y]
    p = np.round(p / p.sum(1, keepdims=True), 2)
    p /= p.sum(1, keepdims=True)
    called = p.argmax(1)
    hot = np.eye(4)[y]
    expected = {
        "accuracy": sk.accuracy_score(y, called),
        "macro_auroc": sk.roc_auc_score(y, p, multi_class="ovr", average="macro"),
        "macro_average_precision": sk.average_precision_score(hot, p, average="macro"),
        "macro_f1": sk.f1_score(y, called, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called),
        "brier": ((p - hot) ** 2).sum(1).mean(),
    }
    assert set(expected) == set(definitions.MULTICLASS)
    for name, value in expected.items():
        assert metrics.figure(name, y, p) == pytest.approx(value, abs=1e-12), name
    assert metrics.confusion(y, p).tolist() == sk.confusion_matrix(y, called).tolist()


def test_macro_figures_leave_out_a_class_that_does_not_occur():
    y = np.array([0, 0, 1, 1])
    p = np.array([[0.6, 0.2, 0.2], [0.3, 0.5, 0.2], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
    called = p.argmax(1)
    f1 = sk.f1_score(y, called, labels=[0, 1], average="macro")
    assert metrics.figure("macro_f1", y, p) == pytest.approx(f1)
    assert metrics.figure("balanced_accuracy", y, p) == 0.5
    aurocs = [sk.roc_auc_score(y == k, p[:, k]) for k in (0, 1)]
    assert ranking.macro_auroc(y, p) == pytest.approx(np.mean(aurocs))


def test_curves_agree_with_scikit_learn():
    y, p = two_classes(0, ties=True)
    false_rate, true_rate = ranking.roc_points(y, p)
    expected = sk.roc_curve(y, p, drop_intermediate=False)
    np.testing.assert_allclose(false_rate, expected[0])
    np.testing.assert_allclose(true_rate, expected[1])
    recall, precision = ranking.precision_recall_points(y, p)
    expected = sk.precision_recall_curve(y, p)
    np.testing.assert_allclose(recall, expected[1][-2::-1])
    np.testing.assert_allclose(precision, expected[0][-2::-1])


@pytest.mark.parametrize("name", definitions.BINARY)
@pytest.mark.parametrize(
    ("y", "p"),
    [([], []), ([0, 1], [np.nan, 0.5]), ([0, 1], [0.5, np.inf])],
    ids=["empty", "nan", "infinite"],
)
def test_empty_and_not_finite_are_nan_with_a_reason(name, y, p):
    assert np.isnan(metrics.figure(name, y, p))
    reason = definitions.why_undefined(name, Scored.of(y, p))
    assert reason.startswith(name)
    assert "none" in reason


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_only(only):
    y, p = np.full(4, only), np.array([0.1, 0.2, 0.8, 0.9])
    for name in definitions.BINARY:
        value, reason = metrics.figure(name, y, p), definitions.why_undefined(name, Scored.of(y, p))
        assert np.isnan(value) == bool(reason), name
    assert metrics.figure("accuracy", y, p) == 0.5
    assert "all 4 patches" in definitions.why_undefined("auroc", Scored.of(y, p))
    assert ranking.roc_points(y, p)[0].size == 0
    assert ranking.precision_recall_points(y, p)[0].size == 0


def test_one_class_only_of_many():
    p = np.full((3, 3), 1 / 3)
    assert np.isnan(ranking.macro_auroc([1, 1, 1], p))
    assert "class 1" in definitions.why_undefined("macro_auroc", Scored.of([1, 1, 1], p))
    assert metrics.figure("accuracy", [1, 1, 1], p) == 0.0


def test_equal_scores():
    y, p = np.array([0, 1, 1]), np.full(3, 0.5)
    assert ranking.auroc(y, p) == 0.5
    assert ranking.average_precision(y, p) == pytest.approx(2 / 3)
    assert np.isnan(metrics.figure("precision", y, p, threshold=0.6))


def test_brier_needs_probabilities():
    assert np.isnan(metrics.brier([0, 1], [-3.0, 2.0]))
    assert "-3 to 2" in definitions.why_undefined("brier", Scored.of([0, 1], [-3.0, 2.0]))
    assert ranking.auroc([0, 1], [-3.0, 2.0]) == 1.0


def test_rates_take_many_matrices_at_once():
    counts = np.random.default_rng(0).integers(0, 9, (5, 3, 3))
    together = metrics.rates(counts)
    for row, matrix in enumerate(counts):
        for name, value in metrics.rates(matrix).items():
            assert together[name][row] == pytest.approx(float(value), nan_ok=True)
    assert all(np.isnan(value) for value in metrics.rates(np.zeros((2, 2))).values())


@pytest.mark.parametrize(
    ("y", "p", "said"),
    [
        ([0, 1, 1], [0.1, 0.2], "3 entries and y_prob has 2"),
        ([[0, 1]], [0.1, 0.2], r"shapes \(1, 2\)"),
        ([0, 2], [0.1, 0.2], "0 to 2"),
        ([0, -1], [0.1, 0.2], "-1 to 0"),
        ([0, 0.5], [0.1, 0.2], "whole class numbers"),
        ([0, 1], [[0.1], [0.2]], r"K of 2 or more"),
    ],
)
def test_what_does_not_fit_is_a_value_error(y, p, said):
    with pytest.raises(ValueError, match=said):
        ranking.auroc(y, p)


def test_unknown_figure_and_macro_of_two_classes():
    with pytest.raises(ValueError, match="no figure 'auc'"):
        metrics.figure("auc", [0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="K > 2"):
        ranking.macro_auroc([0, 1], [0.1, 0.2])
