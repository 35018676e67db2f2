"""The threshold: best on validation, midway, deterministic, the same in float32 and float64."""

import numpy as np
import pytest

from eosin.evaluation.decisions import RULES, choose_threshold
from eosin.evaluation.metrics import figure
from eosin.records.points import POINTS
from eosin.records.scored import Scored

#: Rule -> the figure that it makes as large as possible.
FIGURE = {"balanced": "balanced_accuracy", "f1": "f1"}


def called(p, point):
    return point.called(Scored.of(np.zeros(len(p), int), p).probabilities).tolist()


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("seed", range(4))
def test_no_other_threshold_is_better(rule, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 80)
    p = np.round(np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1), 2)
    chosen = choose_threshold(y, p, rule=rule)
    assert (chosen.name, chosen.rule) == (rule, POINTS[rule])
    assert chosen.chosen_on == "validation"
    best = max(figure(FIGURE[rule], y, p, threshold=cut) for cut in np.append(np.unique(p), 1.1))
    assert figure(FIGURE[rule], y, p, threshold=chosen.threshold) == pytest.approx(best)


def test_midway_between_neighbors():
    assert choose_threshold([0, 0, 1, 1], [0.0, 0.25, 0.5, 1.0]).threshold == 0.375


@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0, 1 / 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_scores_are_called_negative(constant, dtype):
    p = np.full(4, constant, dtype)
    chosen = choose_threshold([0, 1, 1, 1], p)
    assert chosen.note == ""
    assert called(p, chosen) == [0, 0, 0, 0]
    assert not np.any(p >= chosen.threshold)


def test_equally_good_thresholds_take_the_highest():
    # Calling 1 or 3 positive both give a balanced accuracy of 0.75.
    chosen = choose_threshold([0, 0, 1, 1], [0.125, 0.5, 0.25, 0.75])
    assert chosen.threshold == 0.625


@pytest.mark.parametrize(
    ("y", "p", "threshold", "answers"),
    [
        ([1, 1, 0], [0.5, 0.5, 0.5], 0.75, [0, 0, 0]),
        ([0, 1, 1], [1.0, 1.0, 1.0], np.nextafter(np.float32(1), np.float32(2)), [0, 0, 0]),
        ([0, 1, 1], [0.5, 0.5, 0.25], 0.125, [1, 1, 1]),
        ([0, 1], [0.0, 0.0], 0.5, [0, 0]),
    ],
    ids=["none positive", "none, though one reaches 1", "all positive", "all are 0"],
)
def test_the_ends_leave_room_for_another_library_s_last_bit(y, p, threshold, answers):
    chosen = choose_threshold(y, p, rule="f1" if threshold == 0.125 else "balanced")
    assert chosen.threshold == threshold
    assert called(np.asarray(p, np.float32), chosen) == answers
    assert called(np.asarray(p) * (1 - 1e-6), chosen) == answers


def test_float32_and_float64_comparisons_agree():
    low = np.float32(0.3)
    p = np.array([low, np.nextafter(low, np.float32(1))], np.float32)
    chosen = choose_threshold([0, 1], p)
    assert (p >= np.float32(chosen.threshold)).tolist() == [False, True]
    assert called(p, chosen) == [0, 1]


@pytest.mark.parametrize(
    ("y", "p"),
    [([], []), ([1, 1], [0.2, 0.3]), ([0, 1], [np.nan, 0.3])],
    ids=["none", "one", "nan"],
)
def test_undefined_says_so_and_uses_one_half(y, p):
    chosen = choose_threshold(y, p)
    assert chosen.threshold == 0.5
    assert chosen.note.startswith("a threshold needs")
    assert chosen.note.endswith("0.5 is used")


def test_refusals():
    with pytest.raises(ValueError, match="no rule 'best'"):
        choose_threshold([0, 1], [0.1, 0.2], rule="best")
    with pytest.raises(ValueError, match="two classes"):
        choose_threshold([0, 1], np.eye(3)[:2])
