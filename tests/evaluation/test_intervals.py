"""The bootstrap: parity with a plain loop over resampled patches, known formulas, thin data."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from eosin.evaluation import intervals, resampling
from eosin.evaluation.definitions import BINARY, MULTICLASS
from eosin.evaluation.intervals import bootstrap, mean_over_cases, percentile_interval, within_case
from eosin.evaluation.metrics import figure, predicted
from eosin.records.scored import Scored

CUT = 0.4


def simulated(seed=0, cases=9, n=300, decimals=None):
    """Cases of uneven size and prevalence, some with one class only."""
    rng = np.random.default_rng(seed)
    case = np.sort(rng.integers(0, cases, n))
    case[0], case[-1] = 0, cases - 1
    y = (rng.random(n) < rng.choice([0.0, 0.2, 0.5], cases)[case]).astype(np.int64)
    p = 1 / (1 + np.exp(-(rng.normal(0, 1, n) + 2 * y - 1 + rng.normal(0, 1, cases)[case])))
    return y, p if decimals is None else np.round(p, decimals), case


def one_case(y, p):
    """Patches of one case, and the classes that they are called."""
    return Scored.of(y, p), predicted(p)


def loop(y, p, units, replicates, seed):
    """The plain reference: scikit-learn on the patches of every draw, one draw after another."""
    members = [np.flatnonzero(units == unit) for unit in range(units.max() + 1)]
    rows = []
    for counts in np.concatenate(list(resampling.draws(len(members), replicates, seed))):
        taken = np.concatenate([np.tile(members[u], count) for u, count in enumerate(counts)])
        t, s = y[taken], p[taken]
        called = (s >= CUT).astype(int)
        if t.min() == t.max():
            rows.append([np.nan] * len(BINARY))
            continue
        rows.append(
            [
                sk.roc_auc_score(t, s),
                sk.average_precision_score(t, s),
                sk.balanced_accuracy_score(t, called),
                sk.f1_score(t, called),
                sk.recall_score(t, called),
                sk.recall_score(t, called, pos_label=0),
                sk.accuracy_score(t, called),
                sk.brier_score_loss(t, s),
                sk.precision_score(t, called, zero_division=np.nan),
            ]
        )
    return np.array(rows)


@pytest.mark.parametrize("table_units", [1000, 0], ids=["tables", "sweep"])
@pytest.mark.parametrize("decimals", [None, 1], ids=["distinct", "ties"])
@pytest.mark.parametrize("by", ["cases", "patches"])
def test_parity_with_a_plain_loop(monkeypatch, table_units, decimals, by):
    monkeypatch.setattr(resampling, "TABLE_UNITS", table_units)
    y, p, case = simulated(decimals=decimals)
    units = case if by == "cases" else np.arange(len(y))
    found = resampling.replicate_figures(y, p, units, threshold=CUT, replicates=40, seed=3)
    expected = loop(y, p, units, 40, 3)
    assert np.isfinite(expected).all()
    for column, name in enumerate(BINARY):
        np.testing.assert_allclose(found[name], expected[:, column], atol=1e-12, err_msg=name)


@pytest.mark.parametrize("table_units", [1000, 0], ids=["tables", "sweep"])
def test_parity_for_many_classes(monkeypatch, table_units):
    monkeypatch.setattr(resampling, "TABLE_UNITS", table_units)
    rng = np.random.default_rng(0)
    y, case = rng.integers(0, 3, 120), np.arange(120) % 7
    p = rng.dirichlet(np.ones(3), 120)
    found = resampling.replicate_figures(y, p, case, replicates=10, seed=1)
    for row, counts in enumerate(np.concatenate(list(resampling.draws(7, 10, 1)))):
        taken = np.repeat(np.arange(120), counts[case])
        for name in MULTICLASS:
            assert found[name][row] == pytest.approx(figure(name, y[taken], p[taken]), abs=1e-12)


def test_undefined_replicates_agree_on_both_paths(monkeypatch):
    y, p = np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.6, 0.6, 0.9, 0.9])
    case = np.array([0, 1, 2, 3, 3])
    tables = resampling.replicate_figures(y, p, case, replicates=200)
    monkeypatch.setattr(resampling, "TABLE_UNITS", 0)
    sweep = resampling.replicate_figures(y, p, case, replicates=200)
    assert 0 < np.isnan(tables["auroc"]).sum() < 200
    for name in BINARY:
        np.testing.assert_allclose(tables[name], sweep[name], atol=1e-12)
    interval = bootstrap(y, p, ["a", "b", "c", "d", "d"], replicates=200)["auroc"]
    assert interval.replicates == 200 - np.isnan(tables["auroc"]).sum()
    assert "replicates left out" in interval.note


def test_draws_have_no_bias_and_do_not_depend_on_blocks():
    counts = np.concatenate(list(resampling.draws(5, 4000, 0)))
    assert counts.shape == (4000, 5)
    assert (counts.sum(axis=1) == 5).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(counts.var(axis=0), 0.8, atol=0.08)


def test_where_cases_are_single_patches_the_binomial_formula_holds():
    rng = np.random.default_rng(0)
    n = 400
    y = (np.arange(n) < 200).astype(int)
    p = np.where(rng.random(n) < 0.8, y, 1 - y).astype(float)
    found = bootstrap(y, p, [str(k) for k in range(n)], replicates=4000)
    share = found["accuracy"].value
    half = 1.96 * math.sqrt(share * (1 - share) / n)
    assert found["accuracy"].high - found["accuracy"].low == pytest.approx(2 * half, rel=0.08)
    assert found["brier"].value == pytest.approx(1 - share)


def test_where_cases_are_single_patches_hanley_mcneil_holds():
    # Exponential scores: there the formula of Hanley & McNeil (1982) is exact in expectation.
    rng = np.random.default_rng(1)
    m = 400
    p = np.concatenate([rng.exponential(1.0, m), rng.exponential(3.0, m)])
    y = np.repeat([0, 1], m)
    found = bootstrap(y, p, None, replicates=2000)["auroc"]
    a = found.value
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = math.sqrt((a * (1 - a) + (m - 1) * (q1 - a * a + q2 - a * a)) / (m * m))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.12)
    assert found.note == intervals.CASES_UNKNOWN


def test_whole_cases_give_the_variance_of_a_ratio_of_case_totals():
    # Patches of a case all right or all wrong: the cases, not the patches, are the sample.
    rng = np.random.default_rng(0)
    right = rng.random(60) < 0.7
    y = np.repeat(right, 50).astype(int)
    case = np.repeat(np.arange(60), 50).astype(str)
    found = bootstrap(y, np.ones(3000), case, replicates=4000)["accuracy"]
    share = right.mean()
    half = 1.96 * math.sqrt(share * (1 - share) / 60)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    patches = bootstrap(y, np.ones(3000), None, replicates=500)["accuracy"]
    assert (patches.high - patches.low) < (found.high - found.low) / 4


def test_the_mean_over_cases_has_the_standard_error_of_a_mean():
    values = np.random.default_rng(0).normal(0.8, 0.1, 80)
    found = mean_over_cases(values, replicates=4000)
    half = 1.96 * values.std() / math.sqrt(80)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * half, rel=0.08)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    y, p, case = simulated()
    first = bootstrap(y, p, case.astype(str), replicates=100, seed=1)
    assert first == bootstrap(y, p, case.astype(str), replicates=100, seed=1)
    assert first != bootstrap(y, p, case.astype(str), replicates=100, seed=2)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_cases_have_no_interval(count):
    case = np.array(["a", "b"])[np.arange(12) % count]
    found = bootstrap([0, 1] * 6, np.tile([0.2, 0.8], 6), case)["auroc"]
    assert (found.value, found.low, found.high) == (1.0, None, None)
    assert found.note == f"{count} case{'s' * (count > 1)}: an interval over cases needs at least 3"


def test_unknown_cases():
    assert intervals.resampling_units(["", ""], 2).kind == "patches"
    some = intervals.resampling_units(["b", "", "a", "", "b"], 5)
    assert some.codes.tolist() == [1, 2, 0, 3, 1]
    assert (some.count, some.names) == (4, ("a", "b"))
    assert "2 of 5" in some.note
    assert intervals.resampling_units([], 0).count == 0


@pytest.mark.parametrize(
    ("y", "p"),
    [([], []), ([1] * 6, [0.2] * 6), ([0, 1] * 3, [np.nan] * 6), ([0, 1] * 3, [0.5] * 6)],
    ids=["empty", "one class", "nan", "constant"],
)
@pytest.mark.parametrize("known", [True, False])
def test_degenerate_input_is_a_note_never_a_crash(y, p, known):
    cases = list("abcdef")[: len(y)] if known else None
    found = bootstrap(y, p, cases, replicates=50)
    assert set(found) == set(BINARY)
    for interval in found.values():
        assert interval.value is not None or interval.note
        assert interval.low is not None or interval.note


def test_lengths_that_differ_are_named():
    with pytest.raises(ValueError, match="3 entries and y_prob has 2"):
        bootstrap([0, 1, 1], [0.1, 0.2], ["a"] * 3)
    with pytest.raises(ValueError, match="cases has 2 entries and y_true has 3"):
        bootstrap([0, 1, 1], [0.1, 0.2, 0.3], ["a"] * 2)


def test_a_case_of_one_patch():
    found = within_case(*one_case([1], [0.9]))
    assert found["sensitivity"].value == 1.0
    assert found["sensitivity"].low is None
    assert "1 patch:" in found["sensitivity"].note
    assert found["auroc"].value is None
    many = within_case(*one_case([0, 1] * 10, np.linspace(0, 1, 20)), replicates=50)
    assert many["auroc"].low is not None
    assert intervals.WITHIN_CASE in many["auroc"].note


def test_percentile_of_nothing():
    found = percentile_interval(0.5, np.array([np.nan, np.nan]))
    assert (found.low, found.high, found.replicates) == (None, None, 0)
    assert mean_over_cases([]).value is None
    assert mean_over_cases([0.5, 0.7]).low is None


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("scores", [np.full(400, 0.5), np.linspace(0, 1, 400)])
def test_a_case_of_one_class_has_what_is_defined(label: int, scores: np.ndarray) -> None:
    found = within_case(*one_case(np.full(400, label), scores), replicates=50, seed=0)
    assert found["auroc"].value is None
    assert found["auroc"].low is None
    assert found["accuracy"].value is not None
