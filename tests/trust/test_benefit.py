"""Decision curves: net benefit as defined, bands as resampled, ranges and sentences as drawn."""

import json

import numpy as np
import pytest

from eosin.evaluation.resampling import draws
from eosin.records.scored import Scored
from eosin.trust.benefit import MEANING, THRESHOLDS, decision_curve


def noisy(n=500, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(-1, 2, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    return y, 1 / (1 + np.exp(-z)), rng.integers(0, 12, n).astype(str)


def plain(y, called, t):
    return ((called & (y == 1)).sum() - (called & (y == 0)).sum() * t / (1 - t)) / len(y)


def curve(y, p, cases, **options):
    return decision_curve(Scored.of(y, p, cases), **options)


def test_net_benefit_by_a_plain_loop():
    y, p, cases = noisy()
    # A probability that is exactly a threshold is called positive, as everywhere.
    p[:200] = np.round(p[:200], 2)
    found = curve(y, p, cases, replicates=10)
    assert found["thresholds"] == THRESHOLDS.tolist()
    for k, t in enumerate(THRESHOLDS):
        assert found["model"][k] == pytest.approx(plain(y, p >= t, t))
        assert found["treat_all"][k] == pytest.approx(plain(y, np.ones(len(y), bool), t))


def test_the_band_is_that_of_resampled_patches():
    y, p, cases = noisy(200)
    units = Scored.of(y, p, cases).units
    found = curve(y, p, cases, replicates=60, seed=2)
    values = []
    for block in draws(units.count, 60, 2):
        for weights in block:
            taken = np.repeat(np.arange(len(y)), weights[units.codes])
            values.append([plain(y[taken], p[taken] >= t, t) for t in THRESHOLDS])
    low, high = np.quantile(values, [0.025, 0.975], axis=0)
    assert found["low"] == pytest.approx(low)
    assert found["high"] == pytest.approx(high)


def test_a_perfect_model_is_useful_everywhere():
    y = np.array([0, 1] * 10)
    found = curve(y, y.astype(float), np.repeat(list("abcde"), 4), replicates=50)
    assert found["useful"] == found["clear"] == [[0.01, 0.99]]
    assert found["model"] == pytest.approx([0.5] * 99)
    assert found["sentence"] == (
        "Acting on the model is better than calling every patch positive or none at threshold "
        "probabilities from 0.01 to 0.99; there the interval of its margin over both is above "
        f"0. {MEANING}"
    )


def test_useful_is_where_both_others_are_below():
    y, p, cases = noisy()
    found = curve(y, p, cases, replicates=100)
    within = np.zeros(99, bool)
    for first, last in found["useful"]:
        within |= (first - 1e-9 <= THRESHOLDS) & (last + 1e-9 >= THRESHOLDS)
    best = np.maximum(found["treat_all"], 0)
    assert np.array_equal(within, np.array(found["model"]) > best + 1e-12)
    surely = sum(last - first for first, last in found["clear"])
    assert 0 < surely <= sum(last - first for first, last in found["useful"])
    assert "the interval of its margin over both is above 0 from" in found["sentence"]


def test_a_model_without_use_is_told_so():
    y = np.array([0, 1] * 10)
    found = curve(y, 1.0 - y, np.repeat(list("abcde"), 4), replicates=20)
    assert found["useful"] == found["clear"] == []
    assert found["sentence"].startswith(
        "Acting on the model is not better than calling every patch positive or none at any"
    )


def test_equal_scores_are_no_better_than_all_or_none():
    found = curve([0, 1, 1, 0], [0.5] * 4, list("abcd"), replicates=20)
    assert found["useful"] == []


def test_several_ranges_are_spelled_out():
    # From 0.51 to 0.9 three sure false alarms outweigh what is found; above them it pays again.
    y = np.repeat([0, 0, 1, 1], [10, 3, 4, 4])
    p = np.repeat([0.1, 0.9, 0.5, 0.95], [10, 3, 4, 4])
    found = curve(y, p, ["a"] * 21)
    assert found["useful"] == [[0.11, 0.57], [0.91, 0.95]]
    assert found["clear"] == []
    assert found["sentence"].startswith(
        "Acting on the model is better than calling every patch positive or none at threshold "
        "probabilities from 0.11 to 0.57 and from 0.91 to 0.95. The threshold"
    )


@pytest.mark.parametrize(
    ("y", "p", "cases", "said"),
    [
        ([], [], [], "a decision curve needs patches, and there are none"),
        ([1, 1], [0.2, 0.3], list("ab"), "a decision curve needs both classes"),
        ([0, 1], [np.nan, 0.3], list("ab"), "a decision curve needs finite scores"),
        ([0, 1], [-2, 3], list("ab"), "a decision curve needs probabilities"),
        ([0, 1, 2], np.eye(3), list("abc"), "a decision curve needs two classes"),
    ],
)
def test_without_a_curve_there_is_a_sentence(y, p, cases, said):
    found = curve(y, p, cases)
    assert said in found["note"]
    assert found["thresholds"] == found["model"] == found["useful"] == []
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("cases", "said"), [(["a"] * 4, "1 case"), (None, "cases unknown"), (list("aabb"), "2 cases")]
)
def test_without_enough_cases_the_curve_stands_without_a_band(cases, said):
    found = curve([0, 1, 1, 0], [0.2, 0.7, 0.6, 0.4], cases, replicates=20)
    assert found["note"].startswith(said)
    assert (found["low"][0] is None) == (cases is not None)
    assert len(found["model"]) == len(found["low"]) == 99
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="cases has 3 entries"):
        curve([0, 1], [0.1, 0.2], list("abc"))
