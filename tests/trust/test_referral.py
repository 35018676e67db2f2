"""Referral: the band and its promise, the sequence of tests, float32, thin and broken input."""

import json

import numpy as np
import pytest
from scipy import stats

from eosin.records.model import Fitted
from eosin.records.points import REFER, Band, OperatingPoint
from eosin.records.scored import Scored
from eosin.trust import referral, risk_control
from eosin.trust.referral import choose_band, measure_referral, referral_section
from eosin.trust.selective import counts_by_unit, cuts, risk_coverage, sureness

EVEN = OperatingPoint("balanced", 0.5)
#: Thresholds at the ends as well: none of the patches is called positive, or all are.
THRESHOLDS = [0.5, 0.05, 0.9, 0.0, 1e-9, float(np.nextafter(np.float32(1), np.float32(2)))]


def made_up(seed=0, cases=40, classes=2, spread=1.0):
    """Cases of 10 to 200 patches whose difficulty differs; probabilities as float64."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(10), np.log(200), cases)).astype(int)
    case = np.repeat(np.arange(cases), sizes)
    y = rng.integers(0, classes, len(case))
    hard = spread * rng.beta(1, 4, cases)[case]
    z = rng.normal(0, 1.3, (len(case), classes))
    z[np.arange(len(case)), y] += 3.5 * (1 - hard)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return y, p[:, 1] if classes == 2 else p, case.astype(str)


def found(y, p, case, point=EVEN, **options):
    scored = Scored.of(y, p, case)
    point = point.with_band(choose_band(scored, point, **options))
    decided = point.decide(scored.probabilities)
    names = [f"c{k}" for k in range(scored.classes)]
    achieved = measure_referral(scored, decided, names, level=point.band.level, replicates=50)
    section = referral_section(point, achieved, risk_coverage(scored, point, replicates=50))
    json.dumps(section, allow_nan=False)
    return point.band, section


def decide(band, p, threshold=0.5):
    p = np.asarray(p)
    both = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
    return OperatingPoint("f1", threshold, band=band).decide(both)


def measure(y, decided, case, **options):
    scored = Scored.of(y, np.zeros(len(y)), case)
    return measure_referral(scored, np.asarray(decided, np.int64), "np", **options)


def sentence(band, seen, **options):
    return referral_section(EVEN.with_band(band), seen, {}, **options)["sentence"]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", risk_control.METHODS)
def test_a_band_is_found_and_says_what_it_does(classes, method):
    y, p, case = made_up(cases=90, classes=classes)
    band, section = found(y, p, case, level=0.1, method=method)
    assert band.note == ""
    assert (band.low is None) == (classes == 3)
    decided = decide(band, p)
    answered = decided >= 0
    assert band.coverage == pytest.approx(answered.mean())
    assert band.error == pytest.approx((decided[answered] != y[answered]).mean())
    assert band.error < 0.1
    assert band.coverage > 0.1
    assert section["band"] == {"low": band.low, "high": band.high}
    assert section["fitted"]["cases"] == 90
    assert "promised: at most 10 % of the answers wrong, at 90 % confidence" in section["sentence"]
    assert "exchangeable" in band.assumption
    kept = EVEN.with_band(band)
    fitted = Fitted(points={kept.name: kept})
    assert Fitted.model_validate_json(json.dumps(fitted.to_json())) == fitted


def test_stricter_promises_answer_less():
    y, p, case = made_up()
    scored = Scored.of(y, p, case)
    levels = (0.02, 0.05, 0.1)
    shares = [choose_band(scored, EVEN, level=level).coverage or 0 for level in levels]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]
    bold = choose_band(scored, EVEN, confidence=0.6).coverage
    assert bold > choose_band(scored, EVEN, confidence=0.95).coverage


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_float32_and_float64_decide_the_same(threshold):
    y, p, case = made_up()
    band = choose_band(Scored.of(y, p, case), OperatingPoint("f1", threshold), level=0.3)
    rng = np.random.default_rng(1)
    limits = [threshold, band.low or 0.2, band.high or 0.8]
    near = np.clip(rng.choice(limits, 2000) + rng.normal(0, 1e-7, 2000), 0, 1)
    for scores in (p, near):
        narrow = decide(band, scores.astype(np.float32), threshold)
        np.testing.assert_array_equal(decide(band, scores, threshold), narrow)


def test_float32_and_float64_decide_the_same_for_three_classes():
    y, p, case = made_up(classes=3)
    band = choose_band(Scored.of(y, p, case), EVEN, level=0.03)
    near = band.high + np.random.default_rng(1).normal(0, 1e-7, 2000)
    near = np.stack([near, (1 - near) / 2, (1 - near) / 2], axis=1)
    for scores in (p, near):
        np.testing.assert_array_equal(decide(band, scores), decide(band, scores.astype(np.float32)))


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_band_decides_what_was_counted(threshold):
    """Counts at each cut, and the band of that cut, agree to the last patch, saturated or not."""
    rng = np.random.default_rng(0)
    p = np.concatenate([10.0 ** rng.uniform(-30, 0, 300), 1 - 10.0 ** rng.uniform(-9, 0, 300)])
    p = np.append(p, [0, 0, 1, 1, 0.5]).astype(np.float32)
    y = rng.integers(0, 2, len(p))
    scored = Scored.of(y, p, rng.integers(0, 7, len(p)).astype(str))
    point, units = OperatingPoint("f1", threshold), scored.units
    sure, called = sureness(scored, point)
    steps = cuts(sure, 100, lowest=0.5)
    wrong, answered = counts_by_unit(sure, called != y, units, steps)
    for at, cut in enumerate(steps):
        low, high = referral._limits(point, 2, float(cut))
        assert low <= threshold <= high
        decided = point.with_band(Band(low, high)).decide(scored.probabilities)
        taken = decided >= 0
        # An answered patch has exactly the class that the threshold gives it.
        assert np.array_equal(decided[taken], called[taken])
        assert answered[:, at].tolist() == np.bincount(units.codes, taken, units.count).tolist()
        mistakes = taken & (decided != y)
        assert wrong[:, at].tolist() == np.bincount(units.codes, mistakes, units.count).tolist()
    assert answered[:, -1].sum() == len(p)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.8])
def test_a_band_lies_around_its_threshold_and_keeps_its_promise(threshold):
    y, p, case = made_up(cases=90)
    # As of another prevalence: what was 0.5 is the threshold.
    odds = p / (1 - p) * threshold / (1 - threshold)
    moved = odds / (1 + odds)
    band = choose_band(Scored.of(y, moved, case), OperatingPoint("f1", threshold), level=0.1)
    even = choose_band(Scored.of(y, p, case), EVEN, level=0.1)
    assert band.low < threshold < band.high
    assert (band.coverage, band.error) == pytest.approx((even.coverage, even.error))
    assert np.array_equal(decide(band, moved, threshold), decide(even, p))


def test_nothing_is_answered_on_the_far_side_of_an_end():
    """No patch is positive by the threshold, so the highest probabilities are the least sure."""
    top = float(np.nextafter(np.float32(1), np.float32(2)))
    point = OperatingPoint("balanced", top, band=Band(0.9, top))
    assert point.decide([[1.0, 0.0], [0.05, 0.95], [0.0, 1.0]]).tolist() == [0, REFER, REFER]
    bottom = OperatingPoint("sensitivity", 0.0, band=Band(0.0, 0.1))
    assert bottom.decide([[1.0, 0.0], [0.95, 0.05], [0.0, 1.0]]).tolist() == [REFER, REFER, 1]


def test_p_values_against_a_plain_loop():
    rng = np.random.default_rng(2)
    answered = np.cumsum(rng.integers(0, 9, (12, 5)), axis=1).astype(float)
    wrong = np.floor(answered * rng.beta(1, 9, (12, 1)))
    by_case = risk_control.risk_p_values(wrong, answered, level=0.2)
    free = risk_control.risk_p_values(wrong, answered, level=0.2, method="hoeffding-bentkus")
    for g in range(5):
        e, a = wrong[:, g], answered[:, g]
        mean = max(e.sum() / a.sum(), 0.2)
        rate = max((x + mean) / (n + 1) for x, n in zip(e, a, strict=True) if n)
        z = [x - 0.2 * n for x, n in zip(e, a, strict=True)]
        z += [max(z), (rate - 0.2) * a.mean()]
        t = np.mean(z) / (np.std(z, ddof=1) / np.sqrt(len(z)))
        floor = stats.binom.cdf(e.sum(), a.sum(), 0.2)
        assert by_case[g] == pytest.approx(max(stats.t.cdf(t, 11), floor))
        losses = [x / n for x, n in zip(e, a, strict=True) if n]
        bound = np.e * stats.binom.cdf(np.ceil(sum(losses)), len(losses), 0.2)
        mean = min(np.mean(losses), 0.2)
        kl = mean * np.log(mean / 0.2) if mean else 0.0
        kl += (1 - mean) * np.log((1 - mean) / 0.8)
        assert free[g] == pytest.approx(min(bound, np.exp(-len(losses) * kl)))


def test_few_answers_without_error_prove_little():
    wrong, answered = np.zeros((20, 2)), np.ones((20, 2)) * [2, 20]
    p = risk_control.risk_p_values(wrong, answered, level=0.05)
    assert p[0] == pytest.approx(0.95**40)
    assert p[0] > 0.1 > p[1]


def test_the_sequence_stops_at_the_first_failure():
    assert risk_control.last_held([0.9, 0.05, 0.05, 0.2, 0.0], 1, 0.9) == 2
    assert risk_control.last_held([0.0, 0.0], 0, 0.9) == 1
    assert risk_control.last_held([0.2, 0.0], 0, 0.9) is None
    # 10 % of the answers first lie at cut 1, half of the cases at cut 2.
    assert risk_control.first_cut([[1, 20, 50, 90], [0, 0, 1, 10], [0, 0, 0, 9]]) == 2


def test_mapie_has_the_same_p_values_for_equal_cases():
    methods = pytest.importorskip("mapie.risk_control.methods")
    rng = np.random.default_rng(0)
    answered = np.full((200, 3), 40.0)
    wrong = rng.binomial(40, [0.01, 0.04, 0.09], (200, 3)).astype(float)
    theirs = methods.compute_hoeffding_bentkus_p_value((wrong / answered).mean(axis=0), 200, 0.05)
    ours = risk_control.risk_p_values(wrong, answered, level=0.05, method="hoeffding-bentkus")
    np.testing.assert_allclose(ours, theirs[:, 0], rtol=1e-6)


def test_the_promise_holds_for_new_cases():
    """100 calibrations on 29 of 3,000 cases whose errors are all known."""
    y, p, case = made_up(seed=5, cases=3000, spread=1.4)
    order = np.argsort(case.astype(int), kind="stable")
    y, p, case = y[order], p[order], case[order].astype(int)
    starts = np.append(0, np.cumsum(np.bincount(case)))
    rng = np.random.default_rng(0)
    held, answers = [], []
    for _ in range(100):
        picked = rng.integers(0, 3000, 29)
        rows = np.concatenate([np.arange(starts[c], starts[c + 1]) for c in picked])
        names = np.repeat(np.arange(29), np.diff(starts)[picked])
        band = choose_band(Scored.of(y[rows], p[rows], names), EVEN)
        decided = decide(band, p) if band else np.full(len(p), REFER)
        taken = decided >= 0
        held.append(not taken.any() or (decided != y)[taken].mean() <= 0.05)
        answers.append(taken.mean())
    assert np.mean(held) >= 0.9
    assert np.mean(answers) > 0.3


def test_too_high_an_error_says_what_could_be_promised():
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 1, 3000)
    y = (rng.random(3000) < 0.1 + 0.8 * p).astype(int)
    case = rng.integers(0, 30, 3000)
    band, section = found(y, p, case)
    assert band.high is None
    assert "30 cases cannot show that it is at most 5 %; 20 % could be promised with them" in (
        band.note
    )
    assert section["band"] is None
    assert section["sentence"].startswith(
        "No referral band could be set: all patches are answered and no error rate is guaranteed "
        "(of the surest 10 % of"
    )
    # As eosin predict does it without a band.
    assert section["achieved"]["coverage"]["value"] == 1
    y = rng.integers(0, 2, 3000)
    none = choose_band(Scored.of(y, p, case), EVEN)
    assert none.note.endswith("no level up to 30 % could be promised with them")


NAN = float("nan")


@pytest.mark.parametrize(
    ("y", "p", "case", "said"),
    [
        ([], [], [], "there are no patches"),
        ([0, 1], [NAN, NAN], ["a", "b"], "no patch has a finite score"),
        ([1] * 40, [0.9] * 40, [str(i // 2) for i in range(40)], "are of class 1"),
        ([0, 1] * 20, [0.1, 0.9] * 20, ["a"] * 40, "there is only 1 case"),
        ([0, 1] * 20, [0.1, 0.9] * 20, ["a", "b"] * 20, "there are only 2 cases"),
        ([0, 1] * 2, [0.1, 0.9] * 2, None, "there are only 4 patches"),
        ([0, 1], [-3.0, 2.0], ["a", "b"], "it needs probabilities"),
        ([0, 1] * 20, [0.5] * 40, [str(i // 2) for i in range(40)], "of the surest 100 %"),
    ],
    ids=["empty", "nan", "one class", "one case", "few", "unknown", "logits", "constant"],
)
def test_thin_or_broken_input_gives_a_sentence(y, p, case, said):
    band, section = found(y, p, case)
    assert said in band.note
    assert (band.low, band.high) == (None, None)
    finite = np.isfinite(np.asarray(p, float))
    assert ((decide(band, p) >= 0) == finite).all()
    assert section["sentence"].startswith("No referral band could be set: all patches are answered")


def test_scores_that_are_not_finite_are_referred():
    y, p, case = made_up()
    p[::50] = np.nan
    p[1::500] = np.inf
    band, section = found(y, p, case)
    lost = int((~np.isfinite(p)).sum())
    assert f"{lost} patches have no finite score and are referred" in band.note
    assert (decide(band, p)[~np.isfinite(p)] == REFER).all()
    assert section["curve"]["coverage"][-1] == pytest.approx(1 - lost / len(p))
    three = np.full((4, 3), 1 / 3)
    three[0, 0] = np.nan
    assert decide(Band(None, 0.0), three).tolist() == [REFER, 0, 0, 0]


def test_unknown_cases_and_single_patches_are_said():
    y, p, case = made_up()
    band, _ = found(y, p, None)
    assert "Patches are independent" in band.assumption
    assert band.note.startswith("cases unknown: patches are taken as independent")
    case[0] = "alone"
    assert choose_band(Scored.of(y, p, case), EVEN).cases == 41


def test_measured_beside_a_plain_count():
    case = list("aaabbbcccd")
    y = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    decided = [0, 1, -1, 0, 0, -1, 0, 1, 1, -2]
    seen = measure(y, decided, case, level=0.1, replicates=200)
    assert seen["error"]["value"] == pytest.approx(2 / 7)
    assert seen["coverage"]["value"] == pytest.approx(0.7)
    assert seen["error"]["low"] == 0
    assert (seen["held"], seen["cases"], seen["patches"]) == (False, 4, 10)
    assert seen["classes"] == [
        {"class": "n", "patches": 5, "answered": 0.8, "referred": 0.2, "out_of_scope": 0.0,
         "error": 0.25},
        {"class": "p", "patches": 5, "answered": 0.6, "referred": 0.2, "out_of_scope": 0.2,
         "error": pytest.approx(1 / 3)},
    ]  # fmt: skip
    text = sentence(Band(0.2, 0.8), seen, part="val")
    assert "seen on 4 validation cases: 28.6 % (0.0 to" in text
    assert "not kept there: by no more than chance allows with so few cases." in text
    assert text.endswith("Answered by class: 80 % of n, 60 % of p.")
    harder = measure(np.ones(10, int), np.zeros(10), case, level=0.1, replicates=20)
    text = sentence(Band(0.2, 0.8), harder)
    assert "these cases are harder than those that it was made on." in text
    one = measure([0, 1], [0, 0], ["a", "a"], level=0.1)
    assert one["error"] == {"value": 0.5, "low": None, "high": None}
    assert "seen on 1 test case: 50.0 %." in sentence(Band(0.2, 0.8), one)


def test_nothing_measured():
    empty = measure([], [], [], level=0.1)
    assert empty["held"] is None
    assert empty["note"] == "there are no patches to measure on"
    assert "not measured" in sentence(Band(0.2, 0.8, coverage=0.5), empty)
    curve = risk_coverage(Scored.of([], []), EVEN)
    assert curve["coverage"] == []
    assert "there are none" in curve["note"]


@pytest.mark.parametrize("classes", [2, 3])
def test_curve_beside_a_plain_loop(classes):
    y, p, case = made_up(cases=6, classes=classes)
    curve = risk_coverage(Scored.of(y, p, case), EVEN, points=21, replicates=100)
    both = p if classes == 3 else np.stack([1 - p, p], axis=1)
    order = np.argsort(-both.max(axis=1))
    wrong = (both.argmax(axis=1) != y)[order]
    columns = [curve[name] for name in ("coverage", "risk", "low", "high")]
    for share, risk, low, high in zip(*columns, strict=True):
        count = round(share * len(y))
        assert risk == pytest.approx(wrong[:count].mean())
        assert low <= risk <= high
    assert curve["coverage"][-1] == 1
    assert len(curve["coverage"]) == 20
    few = risk_coverage(Scored.of(y, p, ["a"] * len(y)), EVEN, points=5)
    assert few["low"] == [None] * 4
    assert few["note"] == "an interval over cases needs at least 3"
    flat = risk_coverage(Scored.of([0, 1, 1], [0.5] * 3, list("abc")), EVEN, replicates=9)
    assert flat["coverage"] == [1.0]


def test_refusals():
    scored = Scored.of(*made_up(cases=12))
    with pytest.raises(ValueError, match="no method 'best'"):
        choose_band(scored, EVEN, method="best")
    with pytest.raises(ValueError, match="between 0 and 1; got 0"):
        choose_band(scored, EVEN, level=0)


def test_a_broken_promise_without_an_interval_is_not_put_down_to_chance():
    seen = measure([0, 1, 0, 1], [1, 1, 0, 0], list("aabb"), level=0.1, replicates=9)
    assert "unknown whether by chance" in sentence(Band(0.25, 0.75, 0.1), seen)
