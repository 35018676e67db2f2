"""Paired differences: the same draws for every model, against a plain loop; what may be said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from eosin.evaluation.intervals import CASES_UNKNOWN, Interval, bootstrap, resampling_units
from eosin.evaluation.metrics import figure
from eosin.evaluation.paired import (
    COMPARED,
    Difference,
    paired_differences,
    sentence,
    two_sided_p,
)
from eosin.evaluation.resampling import draws

Numbers = Any


def models(seed: int = 0, cases: int = 12, each: int = 15) -> tuple[Numbers, Numbers, Any]:
    """Truth, cases, and scores of three models of which the first is the worst."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"c{k}" for k in range(cases)], each)
    truth = rng.integers(0, 2, len(names))
    shift = np.repeat(rng.normal(0, 0.7, cases), each)
    probs = {
        name: 1 / (1 + np.exp(-(gain * (truth - 0.5) + shift + rng.normal(0, 1, len(truth)))))
        for name, gain in (("poor", 0.5), ("good", 2.5), ("same", 0.5))
    }
    return truth, names, probs


def test_differences_are_those_of_a_plain_loop() -> None:
    truth, cases, probs = models()
    units = resampling_units(cases, len(truth))
    cuts = {"poor": 0.4, "good": 0.5, "same": 0.6}
    found = paired_differences(truth, probs, units, cuts, replicates=40, seed=3)
    assert list(found.differences) == ["good", "same"]
    weights = np.concatenate(list(draws(units.count, 40, 3)))
    for key in COMPARED:
        plain = []
        for row in weights:
            rows = np.concatenate(
                [np.tile(np.flatnonzero(units.codes == u), n) for u, n in enumerate(row) if n]
            )
            one, two = (
                figure(key, truth[rows], probs[name][rows], threshold=cuts[name])
                for name in ("poor", "good")
            )
            plain.append(two - one)
        low, high = np.quantile(plain, [0.025, 0.975])
        interval = found.differences["good"][key].interval
        assert interval.low == pytest.approx(low, abs=1e-12)
        assert interval.high == pytest.approx(high, abs=1e-12)
    value = found.differences["good"]["auroc"].interval.value
    aurocs = [roc_auc_score(truth, probs[name]) for name in ("good", "poor")]
    assert value == pytest.approx(aurocs[0] - aurocs[1])
    precision = found.differences["good"]["average_precision"].interval.value
    scored = [average_precision_score(truth, probs[name]) for name in ("good", "poor")]
    assert precision == pytest.approx(scored[0] - scored[1])


def test_figures_of_each_model_are_those_of_the_bootstrap() -> None:
    truth, cases, probs = models()
    units = resampling_units(cases, len(truth))
    found = paired_differences(
        truth, probs, units, dict.fromkeys(probs, 0.5), replicates=100, seed=1
    )
    alone = bootstrap(truth, probs["good"], units, replicates=100, seed=1)
    assert found.figures["good"] == {key: alone[key] for key in COMPARED}


def test_a_model_against_itself_differs_by_nothing() -> None:
    truth, cases, probs = models()
    units = resampling_units(cases, len(truth))
    twice = {"a": probs["poor"], "b": probs["poor"]}
    found = paired_differences(truth, twice, units, {"a": 0.5, "b": 0.5}, replicates=50)
    for difference in found.differences["b"].values():
        assert difference.interval.as_dict() == {"value": 0.0, "low": 0.0, "high": 0.0}
        assert difference.p == 1.0


def test_pairing_narrows_the_interval() -> None:
    truth, cases, probs = models(cases=30)
    units = resampling_units(cases, len(truth))
    cuts = dict.fromkeys(probs, 0.5)
    found = paired_differences(truth, probs, units, cuts, replicates=400)

    def width(interval: Interval) -> float:
        assert interval.low is not None
        assert interval.high is not None
        return interval.high - interval.low

    alone = [width(found.figures[name]["auroc"]) for name in ("poor", "same")]
    assert width(found.differences["same"]["auroc"].interval) < np.hypot(*alone)


def test_a_threshold_for_every_patch() -> None:
    truth, cases, probs = models()
    units = resampling_units(cases, len(truth))
    one = paired_differences(truth, probs, units, dict.fromkeys(probs, 0.4), replicates=30)
    spread: dict[str, Any] = {**dict.fromkeys(probs, 0.4), "good": np.full(len(truth), 0.4)}
    many = paired_differences(truth, probs, units, spread, replicates=30)
    assert one.differences == many.differences
    # Folds with thresholds of their own: decisions, not scores, are counted.
    cut = np.where(np.arange(len(truth)) % 2, 0.2, 0.8)
    found = paired_differences(truth, probs, units, {**spread, "good": cut}, replicates=30)
    called = probs["good"] >= cut
    assert found.figures["good"]["sensitivity"].value == pytest.approx(called[truth == 1].mean())
    assert found.figures["good"]["auroc"] == one.figures["good"]["auroc"]


def test_three_models_widen_the_interval() -> None:
    truth, cases, probs = models()
    units = resampling_units(cases, len(truth))
    found = paired_differences(truth, probs, units, dict.fromkeys(probs, 0.5), replicates=400)
    assert found.widened_level == pytest.approx(0.975)
    difference = found.differences["good"]["auroc"]
    assert difference.widened is not None
    assert difference.widened.low < difference.interval.low  # type: ignore[operator]
    two = {name: probs[name] for name in ("poor", "good")}
    pair = paired_differences(truth, two, units, dict.fromkeys(two, 0.5), replicates=400)
    assert pair.differences["good"]["auroc"].widened is None


def test_the_p_value_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 1.0, 1.8, 2.2, 4.0):
        samples = rng.normal(shift, 1, 4000)
        low, high = np.quantile(samples, [0.025, 0.975])
        p = two_sided_p(samples)
        assert p is not None
        if abs(low) > 0.05:
            assert (low <= 0 <= high) == (p > 0.05)
    assert two_sided_p(np.full(99, 0.1)) == pytest.approx(0.02)
    assert two_sided_p(np.array([np.nan])) is None


def test_the_p_value_holds_its_level_where_nothing_differs() -> None:
    rng = np.random.default_rng(1)
    low = 0
    for _ in range(200):
        data = rng.normal(0, 1, 40)
        means = np.array([data[rng.integers(0, 40, 40)].mean() for _ in range(200)])
        low += (two_sided_p(means) or 0) < 0.05
    assert low / 200 < 0.12


@pytest.mark.parametrize(
    ("truth", "prob", "cases", "said"),
    [
        ([1] * 6, [0.5] * 6, list("aabbcc"), "needs both classes"),
        ([0, 1] * 3, [0.5] * 6, ["a"] * 6, "at least 3"),
        ([0, 1] * 3, [0.1, np.nan] * 3, list("aabbcc"), "finite"),
        ([], [], [], "there are none"),
    ],
)
def test_degenerate_input_gives_a_sentence(
    truth: list[int], prob: list[float], cases: list[str], said: str
) -> None:
    units = resampling_units(cases, len(truth))
    found = paired_differences(
        truth, {"a": prob, "b": prob}, units, {"a": 0.5, "b": 0.5}, replicates=10
    )
    difference = found.differences["b"]["auroc"]
    assert difference.interval.low is None
    assert said in difference.interval.note
    text = sentence("b", "a", difference, on="these")
    assert said in text
    assert text.endswith(".")


def test_more_than_two_classes() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 60)
    probs = {name: rng.dirichlet([1, 1, 1], 60) for name in "ab"}
    units = resampling_units([f"c{k // 6}" for k in range(60)], 60)
    found = paired_differences(truth, probs, units, dict.fromkeys(probs, 0.5), replicates=20)
    assert "macro_auroc" in found.differences["b"]


def test_mistakes_are_refused() -> None:
    units = resampling_units(list("abc"), 3)
    with pytest.raises(ValueError, match="at least two"):
        paired_differences([0, 1, 1], {"a": [0.1] * 3}, units, {"a": 0.5})
    with pytest.raises(ValueError, match="no threshold"):
        paired_differences([0, 1, 1], {"a": [0.1] * 3, "b": [0.1] * 3}, units, {"a": 0.5})
    with pytest.raises(ValueError, match="must be the same"):
        paired_differences([0, 1, 1], {"a": [0.1] * 3, "b": [0.1]}, units, {"a": 0.5, "b": 0.5})
    with pytest.raises(ValueError, match="thresholds"):
        paired_differences(
            [0, 1, 1], {"a": [0.1] * 3, "b": [0.1] * 3}, units, {"a": 0.5, "b": [0.5] * 2}
        )


def test_what_may_be_said() -> None:
    wide = Interval(0.109, 0.07, 0.15, 2000)
    clear = Difference(Interval(0.109, 0.081, 0.142, 2000), 0.001, wide)
    said = sentence("compact", "article", clear, on="29 cases (5,685 patches)")
    assert said == (
        "On 29 cases (5,685 patches) compact has a higher AUROC than article by 0.109 (0.081 to "
        "0.142): the interval excludes 0, so the difference is unlikely to be chance over cases "
        "of this kind."
    )
    lower = Difference(Interval(-0.02, -0.05, 0.01, 2000), 0.3, None)
    said = sentence("b", "a", lower, on="9 cases")
    assert "a lower AUROC than a by 0.020 (-0.010 to 0.050)" in said
    assert "do not show which is better" in said
    assert "it still does" in sentence("b", "a", clear, on="9 cases", widened_level=0.975)
    touching = Difference(Interval(0.1, 0.01, 0.2, 2000), 0.04, Interval(0.1, -0.01, 0.21, 2000))
    said = sentence("b", "a", touching, on="9 cases", widened_level=0.975)
    assert "widened for the number of comparisons (97.5 %) it includes 0" in said
    unknown = Difference(Interval(0.109, 0.081, 0.142, 2000, CASES_UNKNOWN), 0.001, None)
    said = sentence("b", "a", unknown, on="900 patches")
    assert "cases are unknown" in said
    assert "unlikely to be chance" not in said
