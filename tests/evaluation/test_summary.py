"""evaluation.json: its keys, that it is JSON, and its sentences for thin or dead data."""

import json

import numpy as np
import pytest

from eosin.evaluation.baselines import Baseline
from eosin.evaluation.decisions import choose_threshold
from eosin.evaluation.definitions import BINARY, MULTICLASS
from eosin.evaluation.intervals import CASES_UNKNOWN, bootstrap
from eosin.evaluation.metrics import figure
from eosin.evaluation.summary import evaluate
from eosin.records.points import OperatingPoint
from eosin.records.scored import Scored

NAMES = ["negative", "positive"]


def simulated(n=240, cases=12):
    rng = np.random.default_rng(0)
    case = np.array([f"case {k}" for k in np.arange(n) % cases])
    y = (rng.random(n) < 0.3).astype(int)
    return y, 1 / (1 + np.exp(-(rng.normal(0, 1, n) + 2 * y - 1))), case


def run(y, p, cases, **options):
    found = evaluate(Scored.of(y, p, cases), **{"classes": NAMES, "replicates": 50, **options})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_headline_confusion_and_threshold():
    y, p, case = simulated()
    chosen = choose_threshold(y, p)
    found = run(y, np.stack([1 - p, p], axis=1), case, point=chosen, marks=["MADE-UP DATA"])
    direct = bootstrap(y, p, case, threshold=chosen.threshold, replicates=50)
    for name in BINARY:
        assert set(found[name]) == {"value", "low", "high"}
        assert found[name] == direct[name].as_dict()
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert found["threshold"] == chosen.threshold_json()
    assert np.sum(found["confusion"]) == found["n_patches"] == 240
    assert found["prevalence"] == y.mean()
    assert found["n_cases"] == 12
    assert found["marks"] == [{"kind": "made_up", "sentence": "MADE-UP DATA"}]
    assert found["classes"] == NAMES
    assert found["warnings"] == []
    assert found["undefined"] == {}


def test_a_row_a_case_and_means_over_cases():
    y, p, case = simulated()
    found = run(y, p, case)
    assert [row["case"] for row in found["cases"]] == sorted(set(case))
    row = found["cases"][0]
    mine = case == row["case"]
    assert row["n"] == mine.sum() == 20
    assert row["positives"] == y[mine].sum()
    assert row["auroc"]["value"] == figure("auroc", y[mine], p[mine])
    assert row["auroc"]["low"] is not None
    mean = np.mean([row["auroc"]["value"] for row in found["cases"]])
    assert found["mean_over_cases"]["auroc"]["value"] == pytest.approx(mean)
    assert "not independent" in found["cases_note"]


def test_baselines_stand_beside_and_a_better_one_is_said():
    y, p, case = simulated()
    given = Baseline(np.stack([1 - p, p], 1), OperatingPoint("balanced", 0.3), "a note")
    found = run(y, 1 - p, case, baselines={"color": given, "rate": np.full(len(y), 0.3)})
    assert found["baselines"]["color"]["auroc"]["value"] > 0.8
    assert found["baselines"]["color"]["threshold"]["value"] == 0.3
    assert found["baselines"]["color"]["note"] == "a note"
    assert found["baselines"]["rate"]["sensitivity"]["value"] == 0.0
    assert [w for w in found["warnings"] if "not better than the baseline color: auroc" in w]


def test_many_classes():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 3, 90), rng.dirichlet(np.ones(4), 90)
    found = run(y, p, [str(k % 10) for k in range(90)], classes=["a", "b", "c", "d"])
    assert set(MULTICLASS) <= set(found)
    assert np.shape(found["confusion"]) == (4, 4)
    assert found["threshold"] is None
    assert set(found["prevalence"]) == {"a", "b", "c", "d"}
    assert [row["class"] for row in found["per_class"]] == ["a", "b", "c", "d"]
    assert found["per_class"][3]["auroc"] is None
    assert found["per_class"][0]["n"] == (y == 0).sum()
    assert any("class d" in sentence for sentence in found["warnings"])
    p[0] = np.nan
    broken = run(y, p, None, classes=["a", "b", "c", "d"])
    assert broken["accuracy"]["value"] is None
    assert broken["confusion"] is None


def said(found, words):
    return any(words in sentence for sentence in found["warnings"])


def test_a_dead_network():
    y, _, case = simulated()
    p = np.full(len(y), 0.5)
    found = run(y, p, case, point=choose_threshold(y, p))
    assert found["sensitivity"]["value"] == 0.0
    assert found["accuracy"]["value"] == pytest.approx(1 - y.mean())
    assert found["precision"]["value"] is None
    assert "called positive" in found["undefined"]["precision"]
    assert said(found, "same score")
    assert said(found, "Every patch is called negative")


def test_one_class_only():
    found = run(np.ones(12, int), np.linspace(0, 1, 12), list("abcdefabcdef"))
    assert found["auroc"] == {"value": None, "low": None, "high": None}
    assert found["sensitivity"]["low"] is not None
    assert said(found, "all 12 patches are positive")


def test_one_case_only_and_a_case_of_one_patch():
    y, p, _ = simulated(n=41)
    found = run(y, p, ["a"] * 40 + ["b"])
    assert found["auroc"]["value"] is not None
    assert found["auroc"]["low"] is None
    assert "at least 3" in found["intervals"]["notes"]["auroc"]
    assert said(found, "Only 2 cases")
    assert found["cases"][1]["n"] == 1
    assert found["cases"][1]["auroc"]["value"] is None
    assert said(run(y, p, ["a"] * 41), "Only 1 case:")


def test_cases_unknown():
    y, p, _ = simulated()
    for cases in (None, [""] * len(y)):
        found = run(y, p, cases)
        assert found["cases"] == []
        assert found["n_cases"] is None
        assert found["auroc"]["low"] is not None
        assert found["intervals"]["notes"]["auroc"] == CASES_UNKNOWN
        assert said(found, "too narrow")
        assert found["mean_over_cases"]["auroc"]["value"] is None


def test_scores_that_are_not_numbers():
    y, p, case = simulated()
    p[case == "case 3"] = np.nan
    found = run(y, p, case)
    assert found["auroc"]["value"] is None
    assert found["confusion"] is None
    assert said(found, "20 of 240 patches have none")
    values = {row["case"]: row["auroc"]["value"] for row in found["cases"]}
    assert values["case 3"] is None
    assert values["case 4"] is not None


def test_no_patches():
    found = run([], [], [])
    assert found["warnings"] == ["There are no patches to evaluate."]
    assert found["n_patches"] == found["n_cases"] == 0
    assert found["prevalence"] is None


def test_what_does_not_fit_is_a_value_error():
    y, p, case = simulated()
    with pytest.raises(ValueError, match="240 entries and y_prob has 239"):
        Scored.of(y, p[1:], case)
    with pytest.raises(ValueError, match="cases has 239"):
        Scored.of(y, p, case[1:])
    with pytest.raises(ValueError, match="2 classes and 3 names"):
        evaluate(Scored.of(y, p, case), classes=["a", "b", "c"])
