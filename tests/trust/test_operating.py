"""Operating points: no better threshold exists, and every number and sentence is right."""

import json

import numpy as np
import pytest

from eosin.evaluation.decisions import choose_threshold
from eosin.evaluation.intervals import bootstrap
from eosin.evaluation.metrics import confusion, figure, predicted
from eosin.evaluation.resampling import draws
from eosin.records.points import MOST_PROBABLE, POINTS, OperatingPoint
from eosin.records.scored import Scored, resampling_units
from eosin.trust.operating import (
    choose_operating_points,
    measure_operating_point,
    operating_points,
)


def noisy(seed=0, n=120, decimals=2):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    p = np.round(np.clip(rng.normal(0.35 + 0.3 * y, 0.2), 0, 1), decimals)
    return y, p, np.array([f"c{k}" for k in rng.integers(0, 9, n)])


def every_cut(p):
    return np.append(np.unique(p), 1.1)


def measured(y, called, cases, **options):
    y, called = np.asarray(y, np.int64), np.asarray(called, np.int64)
    return measure_operating_point(
        y, called, resampling_units(cases, len(y)), replicates=50, **options
    )


# Choosing.


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("name", "reached", "then"),
    [
        ("sensitivity", "sensitivity", "specificity"),
        ("specificity", "specificity", "sensitivity"),
    ],
)
def test_a_level_is_reached_at_the_least_expense(seed, name, reached, then):
    y, p, _ = noisy(seed)
    cut = choose_operating_points(Scored.of(y, p))[name].threshold
    assert figure(reached, y, p, threshold=cut) >= 0.95
    others = [c for c in every_cut(p) if figure(reached, y, p, threshold=c) >= 0.95]
    best = max(figure(then, y, p, threshold=c) for c in others)
    assert figure(then, y, p, threshold=cut) == pytest.approx(best)
    # Nothing is given away: of those, none reaches more of the first figure.
    level = [c for c in others if figure(then, y, p, threshold=c) == best]
    most = max(figure(reached, y, p, threshold=c) for c in level)
    assert figure(reached, y, p, threshold=cut) == pytest.approx(most)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 5.0, 40.0])
def test_no_threshold_costs_less(ratio):
    y, p, _ = noisy(1)

    def cost(cut):
        counts = confusion(y, p, threshold=cut)
        return ratio * counts[1, 0] + counts[0, 1]

    cut = choose_operating_points(Scored.of(y, p), cost_ratio=ratio)["cost"].threshold
    assert cost(cut) == min(map(cost, every_cut(p)))


def test_a_dearer_miss_never_raises_the_threshold():
    y, p, _ = noisy(2)
    cuts = [
        choose_operating_points(Scored.of(y, p), cost_ratio=ratio)["cost"].threshold
        for ratio in (0.1, 1, 3, 10, 100)
    ]
    assert cuts == sorted(cuts, reverse=True)


@pytest.mark.parametrize("name", ["balanced", "f1"])
def test_the_older_rules_choose_as_before(name):
    y, p, _ = noisy(3)
    assert choose_operating_points(Scored.of(y, p), chosen_on="val")[name] == choose_threshold(
        y, p, rule=name, chosen_on="val"
    )


def test_exactly_95_of_100_is_enough():
    y = np.repeat([1, 1, 0], [19, 1, 20])
    p = np.repeat([0.9, 0.1, 0.5], [19, 1, 20])
    assert 0.5 < choose_operating_points(Scored.of(y, p))["sensitivity"].threshold <= 0.9


@pytest.mark.parametrize(
    ("y", "p", "said"),
    [
        ([], [], "there are none"),
        ([1, 1], [0.2, 0.3], "all 2 patches are positive"),
        ([0, 0], [0.2, 0.3], "all 2 patches are negative"),
        ([0, 1], [np.nan, 0.3], "finite"),
    ],
)
def test_without_a_choice_every_threshold_is_one_half_and_says_so(y, p, said):
    found = choose_operating_points(Scored.of(y, p), chosen_on="val")
    assert set(found) == set(POINTS)
    for name, point in found.items():
        assert (point.threshold, point.chosen_on) == (0.5, "nothing")
        assert point.rule.startswith(POINTS[name])
        assert said in point.note


def test_more_than_two_classes_have_one_point_without_a_threshold():
    found = choose_operating_points(Scored.of([0, 1, 2], np.eye(3)))
    assert {name: point.threshold for name, point in found.items()} == {MOST_PROBABLE: None}


def test_equal_scores_are_called_all_or_none_and_it_is_said():
    found = choose_operating_points(Scored.of([0, 1, 1, 0], [0.5] * 4))
    assert found["sensitivity"].note == "the rule is met best by calling every patch positive"
    assert found["specificity"].note == "the rule is met best by calling no patch positive"
    assert found["sensitivity"].called([[0.5, 0.5]]).tolist() == [1]
    assert found["specificity"].called([[0.5, 0.5]]).tolist() == [0]


@pytest.mark.parametrize("ratio", [0, -1, np.nan, np.inf])
def test_a_cost_ratio_is_above_nothing(ratio):
    with pytest.raises(ValueError, match="cost_ratio is"):
        choose_operating_points(Scored.of([0, 1], [0.2, 0.7]), cost_ratio=ratio)


# Measuring.


def test_figures_and_intervals_are_those_of_the_bootstrap():
    y, p, cases = noisy()
    called = predicted(p)
    found = measured(y, called, cases, seed=4)["figures"]
    plain = bootstrap(y, p, cases, threshold=0.5, replicates=50, seed=4)
    for name in ("sensitivity", "specificity", "precision", "f1", "balanced_accuracy", "accuracy"):
        assert found[name]["value"] == pytest.approx(plain[name].value)
        assert found[name]["low"] == pytest.approx(plain[name].low)
        assert found[name]["high"] == pytest.approx(plain[name].high)
    counts = confusion(y, called)
    assert found["npv"]["value"] == pytest.approx(counts[0, 0] / counts[:, 0].sum())
    codes = resampling_units(cases, len(y)).codes
    shares = []
    for block in draws(9, 50, 4):
        for weights in block:
            taken = np.repeat(np.arange(len(y)), weights[codes])
            shares.append((1 - y[taken])[called[taken] == 0].mean())
    assert found["npv"]["low"] == pytest.approx(np.quantile(shares, 0.025))


def test_a_thousand_patches_and_the_cases():
    y = np.array([0, 0, 0, 1, 1, 0, 0, 1])
    called = np.array([1, 1, 0, 1, 0, 1, 0, 1])
    cases = ["a", "a", "a", "a", "b", "b", "", ""]
    found = measured(y, called, cases)
    assert found["per_1000"] == {
        "true_negative": 250,
        "false_positive": 375,
        "false_negative": 125,
        "true_positive": 250,
    }
    assert sum(found["per_1000"].values()) == pytest.approx(1000)
    # Patches of unknown case count among the 1,000, but are of no case.
    assert found["per_case"] == {
        "false_positive": {"median": 1.5, "worst": 2, "worst_case": "a", "worst_of": 4},
        "missed_positive": {"median": 0.5, "worst": 1, "worst_case": "b", "worst_of": 2},
    }
    assert found["sentence"] == (
        "Of 1,000 patches, 625 are called positive: 250 rightly, 375 wrongly; 125 positives are "
        "missed. In half of the cases at most 1 patch is wrongly called positive; at worst 2 of 4 "
        "(case a)."
    )


def times(*counts):
    """Truth and decision of so many true negatives, false positives, misses and hits."""
    return np.repeat([0, 0, 1, 1], counts), np.repeat([0, 1, 0, 1], counts)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((7, 0, 3, 0), "Of 1,000 patches, none is called positive; 300 positives are missed."),
        (
            (5, 0, 0, 5),
            "Of 1,000 patches, 500 are called positive: 500 rightly, none wrongly; "
            "no positive is missed.",
        ),
        (
            (997, 1, 1, 1),
            "Of 1,000 patches, 2 are called positive: 1 rightly, 1 wrongly; 1 positive is missed.",
        ),
        (
            (999, 1, 0, 0),
            "Of 1,000 patches, 1 is called positive: none rightly, 1 wrongly; "
            "there is no positive to miss.",
        ),
        (
            (9000, 1, 1, 998),
            "Of 1,000 patches, 100 are called positive: 100 rightly, fewer than 1 wrongly; "
            "fewer than 1 positive is missed.",
        ),
        (
            (9999, 1, 0, 0),
            "Of 1,000 patches, fewer than 1 is called positive: none rightly, "
            "fewer than 1 wrongly; there is no positive to miss.",
        ),
        ((9, 0, 0, 0), "Of 1,000 patches, none is called positive; there is no positive to miss."),
    ],
)
def test_the_sentence_counts_as_people_do(counts, said):
    found = measured(*times(*counts), None)
    assert found["sentence"] == said
    nothing = {"median": None, "worst": None, "worst_case": None, "worst_of": None}
    assert found["per_case"]["false_positive"] == nothing


@pytest.mark.parametrize(
    ("false", "said"),
    [
        ([0, 0, 0], "No case has a patch that is wrongly called positive."),
        ([0, 0, 3], "In half of the cases no patch is wrongly called positive; at worst 3 of 4"),
        ([2, 0, 3], "In half of the cases at most 2 patches are wrongly called positive; at worst"),
    ],
)
def test_the_sentence_of_the_cases(false, said):
    called = np.concatenate([np.arange(4) < k for k in false]).astype(int)
    found = measured(np.zeros(12, int), called, np.repeat(["a", "b", "c"], 4))
    assert said in found["sentence"]


def test_case_is_not_said_twice():
    found = measured(*times(1, 1, 1, 1), ["case_7"] * 4)
    assert found["sentence"].endswith("at worst 1 of 4 (case_7).")


@pytest.mark.parametrize(
    ("y", "called", "cases", "said", "blank"),
    [
        ([], [], [], "there are no patches", {"accuracy"}),
        ([1, 1, 1], [1, 0, 1], list("abc"), "specificity needs negative patches", {"specificity"}),
        ([0, 1, 1], [0, 0, 0], list("abc"), "precision needs patches that are called positive", {}),
        ([0, 1, 1], [1, 1, 1], list("abc"), "npv needs patches that are called negative", {"npv"}),
        ([0, 1, 1], [0, 1, 0], list("aaa"), "1 case: an interval over cases needs", {}),
        ([1], [1], ["a"], "1 case", {"balanced_accuracy"}),
        ([0, 1, 1], [0, 1, 0], None, "cases unknown", {}),
    ],
)
def test_thin_data_give_a_point_with_a_sentence(y, called, cases, said, blank):
    found = measured(y, called, cases)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert said in found["note"]
    assert all(found["figures"][name]["value"] is None for name in blank)


# The section.


def test_the_section():
    y, p, cases = noisy(n=400)
    scored = Scored.of(y, p, cases)
    points = choose_operating_points(scored, cost_ratio=3)
    called = {name: point.called(scored.probabilities) for name, point in points.items()}
    found = operating_points(scored, called, points, default="balanced", replicates=20)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [row["name"] for row in found] == list(POINTS)
    assert [row["default"] for row in found] == [True, False, False, False, False]
    by_name = {row["name"]: row for row in found}
    assert by_name["cost"]["label"] == (
        "least cost (a missed positive costs as much as 3 false alarms)"
    )
    assert by_name["f1"]["label"] == "best F1"
    assert by_name["f1"]["threshold"] == points["f1"].threshold_json()
    aimed = by_name["sensitivity"]["sentence"]
    assert "sensitivity aimed at, 0.95, is reached here: 0.9" in aimed


def one_point(y, called, cases, point):
    scored = Scored.of(y, called, cases)
    points = {point.name: point}
    decided = {point.name: np.asarray(called, np.int64)}
    return operating_points(scored, decided, points, default="f1", replicates=5)[0]


def test_a_level_that_is_not_reached_elsewhere_is_said():
    y, called = times(100, 0, 501, 9499)
    row = one_point(y, called, np.arange(len(y)) % 7, OperatingPoint("sensitivity", 0.5))
    assert row["sentence"].endswith(
        "The sensitivity aimed at, 0.95, is not reached here: 0.949 "
        "(the threshold was chosen on validation)."
    )


def test_the_note_of_a_threshold_stays_with_its_point():
    point = OperatingPoint("f1", 0.5, "", "validation", "a threshold needs both classes")
    row = one_point([0, 1, 1], [0, 1, 0], list("abc"), point)
    assert row["note"] == "a threshold needs both classes"
    assert row["default"]
