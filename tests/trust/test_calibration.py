"""Calibration: what is fitted is right, what is measured agrees with plain loops, parts add up."""

import json
import math

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss

from eosin.evaluation.intervals import few_units
from eosin.evaluation.metrics import brier
from eosin.evaluation.resampling import draws
from eosin.records.scored import Scored, resampling_units
from eosin.trust import reliability
from eosin.trust.calibration import calibration_effect, measure_calibration
from eosin.trust.reliability import expected_calibration_error
from eosin.trust.temperature import (
    HIGHEST,
    LOWEST,
    Isotonic,
    Temperature,
    fit_isotonic,
    fit_temperature,
    softmax,
)
from eosin.trust.totals import replicate_totals, totals


def made_up(n=3000, cases=20, slope=1.0, seed=0):
    """Truth, logits [n, 2] and cases; the model is right where slope is 1."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1, 2.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-slope * z))).astype(int)
    return y, np.stack([np.zeros(n), z], axis=1), rng.integers(0, cases, n).astype(str)


def mean_loss(y, logits, temperature):
    p = softmax(logits, temperature=temperature)
    return -np.log(p[np.arange(len(y)), y]).mean()


def strictly(value):
    """As it goes into a file: no NaN."""
    return json.loads(json.dumps(value, allow_nan=False))


# Temperature.


@pytest.mark.parametrize("truth", [0.25, 0.7, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(truth):
    y, logits, _ = made_up(20000, slope=1 / truth)
    assert fit_temperature(y, logits).value == pytest.approx(truth, rel=0.08)


@pytest.mark.parametrize("classes", [2, 5])
def test_no_temperature_on_a_grid_is_better(classes):
    rng = np.random.default_rng(1)
    y, logits = rng.integers(0, classes, 400), rng.normal(0, 3, (400, classes))
    logits[np.arange(400), y] += 3
    fitted = fit_temperature(y, logits)
    assert fitted.note == ""
    least = min(mean_loss(y, logits, t) for t in np.geomspace(LOWEST, HIGHEST, 2000))
    assert mean_loss(y, logits, fitted.value) <= least + 1e-9


def test_a_shift_of_all_logits_changes_nothing():
    y, logits, _ = made_up()
    assert fit_temperature(y, logits + 100).value == pytest.approx(fit_temperature(y, logits).value)


def test_huge_logits_do_not_overflow():
    y, logits, _ = made_up(slope=1e-4)
    found = fit_temperature(y, (logits * 1e4).astype(np.float32))
    assert found.value == pytest.approx(HIGHEST)
    assert found.note.startswith("20 is the highest temperature")
    assert np.isfinite(Temperature(LOWEST).apply(logits * 1e4)).all()


def test_separated_patches_end_at_the_lowest_temperature():
    logits = np.stack([np.zeros(40), np.repeat([-1.0, 1.0], 20)], axis=1)
    found = fit_temperature(np.repeat([0, 1], 20), logits)
    assert found.value == pytest.approx(LOWEST)
    assert "lowest temperature" in found.note


@pytest.mark.parametrize(
    ("y", "logits", "said"),
    [
        ([], np.empty((0, 2)), "needs patches"),
        ([], [], "needs patches"),
        ([1, 1], [[0, 1], [0, 2]], "all 2 patches are of class 1"),
        ([0, 1], [[0, np.nan], [0, 2]], "1 of 2 patches have logits that are not finite"),
        ([0, 1], [[0, np.inf], [0, 2]], "1 of 2"),
        ([0, 1, 1], [[0, 2], [1, 3], [5, 7]], "the same logits"),
    ],
)
def test_a_temperature_that_cannot_be_fitted_stays_at_one(y, logits, said):
    found = fit_temperature(y, logits)
    assert found.value == float(found) == 1.0
    assert said in found.note


def test_temperature_refusals():
    with pytest.raises(ValueError, match="the same"):
        fit_temperature([0, 1, 1], [[0, 1], [0, 2]])
    with pytest.raises(ValueError, match=r"\[N, K\]"):
        fit_temperature([0, 1], [0.1, 0.2])


def test_temperature_keeps_the_order():
    _, logits, _ = made_up()
    p, q = softmax(logits)[:, 1], Temperature(2.5).apply(logits)[:, 1]
    assert np.array_equal(np.argsort(p), np.argsort(q))


# Isotonic.


def test_isotonic_is_that_of_scikit_learn():
    y, logits, _ = made_up(1000)
    p = softmax(logits)[:, 1]
    plain = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p[:500], y[:500])
    found = fit_isotonic(y[:500], softmax(logits[:500])).apply(p)
    assert found == pytest.approx(plain.predict(p), abs=1e-12)
    assert np.all(np.diff(found[np.argsort(p)]) >= 0)


@pytest.mark.parametrize(
    ("y", "p", "said"),
    [
        ([], [], "needs patches"),
        ([1, 1], [0.2, 0.3], "needs both classes"),
        ([0, 1], [np.nan, 0.3], "finite"),
        ([0, 1, 2], np.eye(3), "two classes"),
    ],
)
def test_isotonic_that_cannot_be_fitted_changes_nothing(y, p, said):
    found = fit_isotonic(y, p)
    assert said in found.note
    assert found.apply([0.3, 0.9]).tolist() == [0.3, 0.9]


def test_isotonic_of_two_columns_is_of_the_positive_one():
    assert Isotonic().apply([[0.75, 0.25]]).tolist() == [0.25]


# Bins and the expected calibration error.


def test_bins_have_equal_mass_where_scores_differ():
    cells = reliability.equal_mass(np.random.default_rng(0).random(1000), 15)
    counts = np.bincount(cells)
    assert len(counts) == 15
    assert set(counts) <= {66, 67}


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_equal_scores_are_never_parted_and_bins_rise(decimals):
    p = np.round(np.random.default_rng(0).beta(0.3, 0.6, 500), decimals)
    cells = reliability.equal_mass(p, 15)
    for score in np.unique(p):
        assert len(set(cells[p == score])) == 1
    assert np.all(np.diff(cells[np.argsort(p, kind="stable")]) >= 0)
    assert set(cells) == set(range(cells.max() + 1))
    assert cells.max() + 1 <= min(15, len(np.unique(p)))


def test_bins_refuse_none():
    with pytest.raises(ValueError, match="at least one"):
        reliability.equal_mass([0.1], 0)


def test_ece_by_a_plain_loop():
    y, logits, _ = made_up(400)
    p = softmax(logits, temperature=0.5)[:, 1]
    cells = reliability.equal_mass(p, 15)
    plain = sum(
        (cells == b).mean() * abs(p[cells == b].mean() - y[cells == b].mean())
        for b in range(cells.max() + 1)
    )
    assert expected_calibration_error(Scored.of(y, p)) == pytest.approx(plain)


def test_ece_of_more_classes_is_of_the_top_one():
    p = np.array([[0.6, 0.3, 0.1], [0.6, 0.2, 0.2]])
    assert expected_calibration_error(Scored.of([0, 1], p)) == pytest.approx(0.1)


def test_chance_explains_a_calibrated_model_and_not_another():
    y, logits, _ = made_up(20000)
    right, wrong = softmax(logits)[:, 1], softmax(logits, temperature=0.3)[:, 1]
    chance = reliability.ece_by_chance(Scored.of(y, right))
    assert 0 < chance < 0.01
    assert expected_calibration_error(Scored.of(y, right)) == pytest.approx(chance, rel=0.5)
    scored = Scored.of(y, wrong)
    assert expected_calibration_error(scored) > 5 * reliability.ece_by_chance(scored)


def test_bin_intervals_are_those_of_resampled_patches():
    y, logits, cases = made_up(600, cases=8)
    p = softmax(logits)[:, 1]
    units = resampling_units(cases, len(y))
    scored = Scored.of(y, p, cases)
    methods = measure_calibration(scored, {"a": p}, bins=5, replicates=200, seed=3)
    rows = methods["a"]["bins"]
    cells = reliability.equal_mass(p, 5)
    shares = []
    for block in draws(units.count, 200, 3):
        for weights in block:
            taken = np.repeat(np.arange(len(y)), weights[units.codes])
            shares.append([y[taken][cells[taken] == b].mean() for b in range(5)])
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    assert [row["low"] for row in rows] == pytest.approx(low)
    assert [row["high"] for row in rows] == pytest.approx(high)
    assert sum(row["n"] for row in rows) == 600
    assert [row["observed"] for row in rows] == pytest.approx(
        [y[cells == b].mean() for b in range(5)]
    )


def test_with_one_case_there_are_bins_without_intervals():
    y, logits, _ = made_up(100)
    p = softmax(logits)
    rows = measure_calibration(Scored.of(y, p, ["a"] * 100), {"a": p})["a"]["bins"]
    assert {(row["low"], row["high"]) for row in rows} == {(None, None)}


# Brier score, log loss.


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("bins", [1, 7, 15])
@pytest.mark.parametrize("decimals", [1, 12])
def test_the_parts_of_the_brier_score_add_up(classes, bins, decimals):
    rng = np.random.default_rng(0)
    p = np.round(rng.dirichlet(np.full(classes, 0.4), 300), decimals)
    y = np.array([rng.choice(classes, p=np.abs(row) / row.sum()) for row in p])
    given = p[:, 1] if classes == 2 else p
    parts = reliability.brier_parts(Scored.of(y, given), bins=bins)
    whole = parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within_bin"]
    assert whole == pytest.approx(brier(y, given), abs=1e-14)
    assert min(parts["reliability"], parts["resolution"], parts["uncertainty"]) >= 0


def test_brier_and_log_loss_are_those_of_scikit_learn():
    y, logits, cases = made_up()
    p = softmax(logits)[:, 1]
    found = measure_calibration(Scored.of(y, p, cases), {"a": p}, replicates=20)["a"]
    assert found["brier"]["value"] == pytest.approx(brier_score_loss(y, p))
    assert found["log_loss"]["value"] == pytest.approx(log_loss(y, p))
    assert found["note"] == ""


def test_the_log_loss_of_a_sure_error_is_clipped_and_said():
    p = [0, 1, 0, 0.5]
    scored = Scored.of([0, 1, 1, 0], p, list("abcd"))
    found = measure_calibration(scored, {"a": p}, replicates=20)["a"]
    assert found["log_loss"]["value"] == pytest.approx((-math.log(1e-7) - math.log(0.5)) / 4)
    assert found["note"].startswith(
        "log loss: 1 of 4 patches gave their true class less than 1e-07"
    )


# The section.


def test_the_section_of_a_good_model():
    y, logits, cases = made_up()
    p = softmax(logits)
    methods = {"before": softmax(logits, temperature=0.3), "temperature": p, "isotonic": None}
    found = measure_calibration(Scored.of(y, p, cases), methods, replicates=200)
    assert list(found) == ["before", "temperature"]
    for method in found.values():
        assert strictly(method) == method
        for name in ("ece", "brier", "log_loss"):
            figure = method[name]
            assert figure["low"] < figure["value"] < figure["high"]
        assert len(method["bins"]) == 15
    assert found["temperature"]["ece"]["value"] < found["before"]["ece"]["value"]
    plain = expected_calibration_error(Scored.of(y, p))
    assert found["temperature"]["ece"]["value"] == pytest.approx(plain)


def test_the_interval_of_the_error_holds_it_though_replicates_lie_higher():
    y, logits, cases = made_up(1000, cases=30)
    units = resampling_units(cases, len(y))
    p = softmax(logits)[:, 1]
    found = measure_calibration(Scored.of(y, p, cases), {"a": p}, replicates=400)["a"]["ece"]
    cells = reliability.equal_mass(p)
    sums = replicate_totals([np.ones(len(y)), p - y], cells, 15, units, replicates=400)
    plain = np.abs(sums[:, 1]).sum(1) / sums[:, 0].sum(1)
    bias = plain.mean() - found["value"]
    low, high = np.quantile(plain, [0.025, 0.975])
    assert bias > 0
    assert found["low"] == pytest.approx(max(0, low - 2 * bias))
    assert found["high"] == pytest.approx(high - bias)
    assert found["low"] < found["value"] < found["high"]


def test_fitted_on_half_of_the_cases_it_is_truer_on_the_others():
    y, logits, cases = made_up(8000, cases=40, slope=0.4)
    half = np.isin(cases, [str(k) for k in range(20)])
    fitted = fit_temperature(y[half], logits[half])
    isotonic = fit_isotonic(y[half], softmax(logits[half]))
    p = softmax(logits[~half])
    methods = {
        "before": p,
        "temperature": fitted.apply(logits[~half]),
        "isotonic": isotonic.apply(p),
    }
    scored = Scored.of(y[~half], p, cases[~half])
    found = measure_calibration(scored, methods, replicates=200)
    for name in ("temperature", "isotonic"):
        assert found[name]["ece"]["value"] < found["before"]["ece"]["value"] / 3
        assert found[name]["brier_change"]["high"] < 0
    assert "brier_change" not in found["before"]
    said = calibration_effect(found)
    assert said.startswith("The temperature takes the calibration error from 0.1")
    assert said.endswith("so it helps here.")
    turned = {"before": found["temperature"], "temperature": found["before"]}
    assert calibration_effect(turned).endswith(").")


def test_a_change_for_the_worse_and_none_are_said():
    y, logits, cases = made_up()
    p = softmax(logits)
    scored = Scored.of(y, p, cases)
    worse = {"before": p, "temperature": softmax(logits, temperature=0.2)}
    found = measure_calibration(scored, worse, replicates=100)
    assert calibration_effect(found).endswith("so it does harm here.")
    found = measure_calibration(scored, {"before": p, "temperature": p}, replicates=100)
    assert "leaves the calibration error at" in calibration_effect(found)
    assert calibration_effect(found).endswith("so it changes nothing here.")
    assert calibration_effect({}) == calibration_effect({"before": found["before"]}) == ""


def test_the_change_is_that_of_the_same_draws():
    y, logits, cases = made_up(500)
    units = resampling_units(cases, len(y))
    p, q = softmax(logits)[:, 1], softmax(logits, temperature=2)[:, 1]
    scored = Scored.of(y, p, cases)
    found = measure_calibration(scored, {"before": p, "temperature": q}, replicates=50)
    cells = np.zeros(len(y), int)
    errors = [np.ones(len(y)), (q - y) ** 2 - (p - y) ** 2]
    sums = replicate_totals(errors, cells, 1, units, replicates=50)[..., 0]
    low, high = np.quantile(sums[:, 1] / sums[:, 0], [0.025, 0.975])
    assert found["temperature"]["brier_change"] == {
        "value": pytest.approx(errors[1].mean()),
        "low": pytest.approx(low),
        "high": pytest.approx(high),
    }


def test_more_classes_say_so():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 90)
    y = rng.integers(0, 3, 90)
    scored = Scored.of(y, p, rng.integers(0, 9, 90).astype(str))
    found = measure_calibration(scored, {"before": p}, bins=5, replicates=20)["before"]
    assert "more than two classes" in found["note"]
    assert found["brier"]["value"] == pytest.approx(brier(y, p))
    assert len(found["bins"]) == 5


@pytest.mark.parametrize(
    ("y", "p", "cases", "said", "measured"),
    [
        ([], [], [], "there are none", False),
        ([0, 1, 1], [0.1, np.nan, 0.2], list("abc"), "1 of 3 patches have none", False),
        ([0, 1, 1], [-3, 1, 9], list("abc"), "reach from -3 to 9", False),
        ([1, 1, 1], [0.1, 0.6, 0.2], list("abc"), "", True),
        ([0, 1, 1], [0.5, 0.5, 0.5], list("abc"), "one bin", True),
        ([0, 1, 1], [0.1, 0.5, 0.7], list("aaa"), "1 case: an interval over cases", True),
        ([0], [0.4], ["a"], "1 case: an interval", True),
        ([0, 1, 1], [0.1, 0.5, 0.7], None, "cases unknown", True),
    ],
    ids=["empty", "nan", "scores", "one class", "equal", "one case", "one patch", "no cases"],
)
def test_thin_data_give_a_section_with_a_sentence(y, p, cases, said, measured):
    scored = Scored.of(y, p, cases)
    found = measure_calibration(scored, {"before": p, "isotonic": "not fitted"}, replicates=20)
    assert strictly(found) == found
    assert said in found["before"]["note"]
    assert (found["before"]["brier"]["value"] is not None) == measured
    assert bool(found["before"]["bins"]) == measured
    assert found["isotonic"]["note"] == "not fitted"
    assert found["isotonic"]["ece"] == {"value": None, "low": None, "high": None}


def test_lengths_that_differ_are_refused():
    scored = Scored.of([0, 1], [0.5, 0.5], ["a", "b"])
    with pytest.raises(ValueError, match="the same"):
        measure_calibration(scored, {"a": [0.5]})


# Totals.


@pytest.mark.parametrize("cases", [["a", "b", "b", "c"], None])
def test_totals_of_replicates_are_those_of_resampled_patches(cases):
    units = resampling_units(cases, 4)
    values, cells = np.array([[1.0, 2, 4, 8], [0.5, 0, 0, 1]]), np.array([0, 2, 0, 2])
    found = replicate_totals(values, cells, 3, units, replicates=9, seed=5)
    plain = []
    for block in draws(units.count, 9, 5):
        for weights in block:
            taken = np.repeat(np.arange(4), weights[units.codes])
            plain.append(totals(values[:, taken], cells[taken], 3))
    assert found == pytest.approx(np.array(plain))


def test_few_units_are_counted_in_words():
    assert few_units(resampling_units(None, 2)).startswith("2 patches: an interval over patches")
    assert few_units(resampling_units(list("abc"), 3)) == ""
