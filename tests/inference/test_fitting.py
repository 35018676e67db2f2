"""What is fitted on validation is applied unchanged; in cross-fitting nobody judges himself."""

import numpy as np
import pytest

from eosin.evaluation.intervals import resampling_units
from eosin.inference.fitting import Wishes, cross_judge, fit, judge

WISHES = Wishes()


def made(cases: int, each: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, overconfident logits and cases."""
    rng = np.random.default_rng(seed)
    n = cases * each
    z = rng.normal(0, 3, n) + np.repeat(rng.normal(0, 0.5, cases), each)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64)
    logits = np.stack([np.zeros(n), 2 * z], axis=1).astype(np.float32)
    return y, logits, [str(k // each) for k in range(n)]


def test_temperature_undoes_overconfidence_and_every_part_is_applied() -> None:
    y, logits, cases = made(30)
    units = resampling_units(cases, len(y))
    fitted = fit(y, logits, units, wishes=Wishes(refer_error=0.1))
    assert float(fitted.temperature) == pytest.approx(2, abs=0.25)
    judged = judge(fitted, logits)
    assert judged.after.shape == (len(y), 2)
    assert set(judged.called) == set(fitted.points)
    cut = float(fitted.threshold)
    assert np.array_equal(judged.called["balanced_accuracy"], judged.after[:, 1] >= cut)
    assert set(np.unique(judged.decided)) <= {-1, 0, 1}
    assert not isinstance(judged.isotonic, str)


def test_no_case_is_judged_by_what_it_was_fitted_on() -> None:
    """Turning a case's labels around must not change what is said of it."""
    y, logits, cases = made(10)
    units = resampling_units(cases, len(y))
    first, groups = cross_judge(y, logits, units, wishes=WISHES)
    assert groups == 5
    # The labels are exchanged within a case, so that the groups stay as they are.
    mine = np.flatnonzero(np.asarray(cases) == "3")
    turned = y.copy()
    turned[mine] = np.roll(y[mine], 1)
    second, _ = cross_judge(turned, logits, units, wishes=WISHES)
    assert np.array_equal(first.after[mine], second.after[mine])
    assert not np.array_equal(first.after, second.after)


def test_with_one_case_it_is_judged_by_itself() -> None:
    y, logits, cases = made(1)
    judged, groups = cross_judge(y, logits, resampling_units(cases, len(y)), wishes=WISHES)
    assert groups == 0
    assert len(judged.after) == len(y)


@pytest.mark.parametrize("what", ["none", "one class", "equal", "nan"])
def test_degenerate_validation_is_said_and_not_raised(what: str) -> None:
    y, logits, cases = made(6)
    if what == "none":
        y, logits, cases = y[:0], logits[:0], []
    if what == "one class":
        y = np.zeros_like(y)
    if what == "equal":
        logits = np.zeros_like(logits)
    if what == "nan":
        logits[5] = np.nan
    fitted = fit(y, logits, resampling_units(cases, len(y)), wishes=WISHES)
    assert fitted.temperature.note
    assert float(fitted.temperature) == 1
    assert fitted.band.note
    judged = judge(fitted, made(2)[1])
    assert len(judged.decided) == 120


def test_more_than_two_classes_have_no_operating_point() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    logits = np.eye(3)[y] * 2 + rng.normal(0, 1, (300, 3))
    cases = [str(k // 20) for k in range(300)]
    judged, _ = cross_judge(y, logits, resampling_units(cases, 300), wishes=WISHES)
    assert judged.called == {}
    assert isinstance(judged.isotonic, str)
    assert judged.after.shape == (300, 3)
