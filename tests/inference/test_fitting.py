"""What is fitted on validation is applied unchanged; in cross-fitting nobody judges himself."""

import numpy as np
import pytest

from eosin.errors import UserError
from eosin.inference.fitting import FittingOptions, cross_judge, fit, judge
from eosin.records.points import POINTS

USUAL = FittingOptions()


def made(cases: int, each: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, overconfident logits and cases."""
    rng = np.random.default_rng(seed)
    n = cases * each
    z = rng.normal(0, 3, n) + np.repeat(rng.normal(0, 0.5, cases), each)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64)
    logits = np.stack([np.zeros(n), 2 * z], axis=1).astype(np.float32)
    return y, logits, np.array([str(k // each) for k in range(n)])


def test_temperature_undoes_overconfidence_and_every_part_is_applied() -> None:
    y, logits, cases = made(30)
    fitted = fit(y, logits, cases, FittingOptions(refer_error=0.1, point="f1"))
    assert float(fitted.temperature) == pytest.approx(2, abs=0.25)
    judged = judge(fitted, logits)
    assert judged.after.shape == (len(y), 2)
    assert set(judged.called) == set(fitted.points) == set(POINTS)
    assert fitted.point.name == "f1"
    for name, point in fitted.points.items():
        assert np.array_equal(judged.called[name], judged.after[:, 1] >= point.threshold)
        # Every point has a band of its own, around its threshold.
        assert point.band.low <= point.threshold <= point.band.high
        answered = judged.decided[name] >= 0
        assert np.array_equal(judged.decided[name][answered], judged.called[name][answered])
        assert point.band.coverage == answered.mean()
        assert point.band.error <= 0.1
    assert not isinstance(judged.isotonic, str)


def test_no_case_is_judged_by_what_it_was_fitted_on() -> None:
    """Turning a case's labels around must not change what is said of it."""
    y, logits, cases = made(10)
    first, groups = cross_judge(y, logits, cases, USUAL)
    assert groups == 5
    # The labels are exchanged within a case, so that the groups stay as they are.
    mine = np.flatnonzero(np.asarray(cases) == "3")
    turned = y.copy()
    turned[mine] = np.roll(y[mine], 1)
    second, _ = cross_judge(turned, logits, cases, USUAL)
    assert np.array_equal(first.after[mine], second.after[mine])
    assert not np.array_equal(first.after, second.after)


def test_with_one_case_it_is_judged_by_itself() -> None:
    y, logits, cases = made(1)
    judged, groups = cross_judge(y, logits, cases, USUAL)
    assert groups == 0
    assert len(judged.after) == len(y)


@pytest.mark.parametrize("what", ["none", "one class", "equal", "nan"])
def test_degenerate_validation_is_said_and_not_raised(what: str) -> None:
    y, logits, cases = made(6)
    if what == "none":
        y, logits, cases = y[:0], logits[:0], cases[:0]
    if what == "one class":
        y = np.zeros_like(y)
    if what == "equal":
        logits = np.zeros_like(logits)
    if what == "nan":
        logits[5] = np.nan
    fitted = fit(y, logits, cases, USUAL)
    assert fitted.temperature.note
    assert float(fitted.temperature) == 1
    assert fitted.point.band is not None
    assert not fitted.point.band
    assert fitted.point.band.note
    judged = judge(fitted, made(2)[1])
    assert len(judged.decided["balanced"]) == 120


def test_more_than_two_classes_have_one_point() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    logits = np.eye(3)[y] * 2 + rng.normal(0, 1, (300, 3))
    cases = np.array([str(k // 20) for k in range(300)])
    judged, _ = cross_judge(y, logits, cases, USUAL)
    assert list(judged.called) == ["most_probable"]
    with pytest.raises(UserError, match="--point f1"):
        fit(y, logits, cases, FittingOptions(point="f1"))
    assert isinstance(judged.isotonic, str)
    assert judged.after.shape == (300, 3)
