"""What a model decides, and in which order the rules count."""

import json

import numpy as np
import pytest

from eosin.errors import RunError, UserError
from eosin.records.agreement import check_agreement, fitted_digest
from eosin.records.decision import OUT_OF_SCOPE, REFERRED, Decision
from eosin.records.model import Fitted, ModelFacts, Scope
from eosin.records.points import Band, OperatingPoint

TWO = np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]])


def answers(point: OperatingPoint, probabilities, distances=None, limit=2.0, classes=("n", "p")):
    rule = Decision(classes, point, limit)
    return rule.names(rule.decide(probabilities, distances))


@pytest.mark.parametrize("band", [None, Band(note="too few cases")])
def test_without_a_band_the_threshold_answers(band: Band | None) -> None:
    assert answers(OperatingPoint("f1", 0.5, band=band), TWO) == ["n", "p", "p"]
    assert answers(OperatingPoint("f1", 0.1, band=band), TWO) == ["p", "p", "p"]


def test_the_most_probable_class_answers_for_more_classes() -> None:
    three, abc = np.array([[0.2, 0.5, 0.3]]), ("a", "b", "c")
    assert answers(OperatingPoint("top", None), three, classes=abc) == ["b"]
    band = Band(None, 0.6)
    assert answers(OperatingPoint("top", None, band=band), three, classes=abc) == [REFERRED]


def test_a_patch_that_is_answered_has_the_class_of_its_threshold() -> None:
    """An earlier version called a patch of 0.2 positive in the report and negative in predict."""
    point = OperatingPoint("sensitivity", 0.1, band=Band(0.05, 0.15))
    scores = np.array([[0.99, 0.01], [0.9, 0.1], [0.88, 0.12], [0.8, 0.2], [0.3, 0.7]])
    assert answers(point, scores) == ["n", REFERRED, REFERRED, "p", "p"]
    assert point.called(scores).tolist() == [0, 1, 1, 1, 1]


def test_what_is_out_of_scope_is_not_classified() -> None:
    point = OperatingPoint("f1", 0.5, band=Band(0.25, 0.75))
    assert answers(point, TWO, [1.0, 9.0, 9.0]) == ["n", OUT_OF_SCOPE, OUT_OF_SCOPE]
    assert answers(point, TWO, [np.nan, 1.0, 2.0]) == [OUT_OF_SCOPE, REFERRED, "p"]
    assert answers(point, TWO, [9.0, 9.0, 9.0], limit=None) == ["n", REFERRED, "p"]


def test_what_is_no_number_is_no_answer() -> None:
    broken = np.array([[np.nan, np.nan], [0.1, 0.9]])
    for band in (None, Band(), Band(0.4, 0.6)):
        point = OperatingPoint("f1", 0.5, band=band)
        assert answers(point, broken) == [REFERRED, "p"]
        assert answers(point, broken, [9.0, 1.0]) == [OUT_OF_SCOPE, "p"]


def test_a_model_has_one_rule_for_each_of_its_points() -> None:
    points = {name: OperatingPoint(name, cut) for name, cut in (("f1", 0.4), ("cost", 0.2))}
    fitted = Fitted(point="cost", points=points, scope=Scope(threshold=1.5))
    facts = ModelFacts(architecture="a", classes=("n", "p"), patch_size=(9, 9), fitted=fitted)
    assert facts.decision().point == points["cost"]
    assert facts.decision("f1") == Decision(("n", "p"), points["f1"], 1.5)
    with pytest.raises(UserError, match="--point balanced: this model has no such point"):
        facts.decision("balanced")
    assert Fitted.model_validate(json.loads(json.dumps(fitted.to_json()))).points == points


def test_figures_of_other_fitted_values_are_recognized() -> None:
    one, other = Fitted(temperature=2.0), Fitted(temperature=2.5)
    check_agreement(fitted_digest(one), one, "run")
    check_agreement(None, one, "run")  # of an earlier version
    for there in (other, None):
        with pytest.raises(RunError, match="run it again with: eosin evaluate run"):
            check_agreement(fitted_digest(one), there, "run")
    # The weights have a digest of their own.
    assert fitted_digest(one.model_copy(update={"weights_digest": "0f"})) == fitted_digest(one)
