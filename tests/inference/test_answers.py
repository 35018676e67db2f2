"""What a model answers, and in which order the rules count."""

from typing import Any

import numpy as np
from eosin.inference.answers import Answers

from eosin.records.model import ModelFacts
from eosin.trust.referral import Band

TWO = np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]])


def test_the_threshold_answers_where_there_is_no_band() -> None:
    assert Answers(("n", "p"), 0.5).decide(TWO) == ["n", "p", "p"]
    assert Answers(("n", "p")).decide(TWO) == ["n", "n", "p"]
    none = Band(None, None, note="too few cases")
    assert Answers(("n", "p"), 0.5, none).decide(TWO) == ["n", "p", "p"]


def test_the_most_probable_class_answers_for_more_classes() -> None:
    three = np.array([[0.2, 0.5, 0.3]])
    assert Answers(("a", "b", "c"), 0.1).decide(three) == ["b"]
    assert Answers(("a", "b", "c"), band=Band(None, 0.6)).decide(three) == ["refer"]


def test_the_band_refers_and_what_is_out_of_scope_is_not_classified() -> None:
    answers = Answers(("n", "p"), 0.1, Band(0.25, 0.75), 2.0)
    # The threshold of 0.1 calls the first one positive; outside the band the band answers.
    assert answers.called(TWO) == ["p", "p", "p"]
    assert answers.decide(TWO) == ["n", "refer", "p"]
    assert answers.decide(TWO, [1.0, 9.0, 9.0]) == ["n", "out of scope", "out of scope"]
    assert answers.decide(TWO, [np.nan, 1.0, 2.0]) == ["out of scope", "refer", "p"]


def test_an_older_model_has_a_threshold_alone() -> None:
    def of(facts: dict[str, Any]) -> Answers:
        old = {"format": 1, "architecture": "compact", "classes": ["n", "p"], "patch_size": [9, 9]}
        return Answers.of(ModelFacts.read(old | facts), ["n", "p"])

    answers = of({"threshold": {"value": 0.25, "rule": "balanced_accuracy"}})
    assert (answers.band, answers.scope, answers.threshold) == (None, None, 0.25)
    kept = {
        "threshold": {"value": 0.25, "rule": "balanced_accuracy"},
        "referral": Band(0.25, 0.75).as_dict(),
        "scope": {"threshold": 1.5, "kept": 0.99},
    }
    answers = of(kept)
    assert answers.band == Band(0.25, 0.75)
    assert answers.scope == 1.5
    assert of({"referral": None, "scope": None}).threshold is None


def test_what_is_no_number_is_no_answer() -> None:
    broken = np.array([[np.nan, np.nan], [0.1, 0.9]])
    assert Answers(("n", "p"), 0.5).decide(broken) == ["refer", "p"]
    assert Answers(("n", "p"), 0.5, Band(None, None)).decide(broken) == ["refer", "p"]
    assert Answers(("n", "p"), 0.5, scope=2.0).decide(broken, [9.0, 1.0]) == ["out of scope", "p"]
