"""Published results, and when a run stands beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from eosin.data.published import published_cases
from eosin.trust.literature import RESULTS, compare_with_published

FIGURES = {
    "f1": {"value": 0.77, "low": 0.74, "high": 0.8},
    "balanced_accuracy": {"value": 0.86, "low": 0.84, "high": 0.88},
    "auroc": {"value": float("nan"), "low": None, "high": None},
    "average_precision": 0.85,
}
TEST = [case for case in published_cases() if case.part == "test"]
HELD = [case for case in published_cases() if case.n_negative is not None]


def total(cases: list[Any]) -> int:
    return sum(case.n_negative + case.n_positive for case in cases)


def compare(scheme: str, part: str, cases: list[Any], n: int, **options: Any) -> dict[str, Any]:
    names = [getattr(case, "case", case) for case in cases]
    found = compare_with_published(scheme, part, names, n, published_cases(), FIGURES, **options)
    json.dumps(found, allow_nan=False)
    return found


def test_the_whole_published_test_list_compares() -> None:
    found = compare("published", "test", TEST, total(TEST))
    assert found["comparable"]
    assert found["reason"] == ""
    assert found["missing"] == {"cases": [], "patches": 0}
    assert found["run"]["f1"] == FIGURES["f1"]
    assert found["run"]["auprc"] == {"value": 0.85, "low": None, "high": None}
    assert found["run"]["auroc"]["value"] is None
    assert [row["comparable"] for row in found["rows"]] == [True, True, True, False, False]
    assert "8915, 9024 of the training list" in found["note"]
    assert "all 49 cases of the test list are in it" in found["note"]


def test_a_few_missing_patches_are_said_and_more_are_too_many() -> None:
    found = compare("published", "test", TEST, total(TEST) - 51)
    assert found["comparable"]
    assert found["reason"] == "comparable, but 51 of 51,439 patches are missing"
    found = compare("published", "test", TEST, total(TEST) - 52)
    assert not found["comparable"]
    assert found["run"] is None
    assert found["missing"]["patches"] == 52
    assert "twice" in compare("published", "test", TEST, total(TEST) + 1)["reason"]


def test_a_missing_case_is_named() -> None:
    found = compare("published", "test", TEST[1:], total(TEST[1:]))
    assert not found["comparable"]
    assert f"1 of the 49 published test cases is missing ({TEST[0].case})" in found["reason"]
    assert found["missing"] == {"cases": [TEST[0].case], "patches": total(TEST[:1])}


@pytest.mark.parametrize(
    ("scheme", "part", "cases", "options", "sentence"),
    [
        ("published", "val", HELD[:3], {}, "measured on the validation cases"),
        ("published", "test", HELD, {}, "not in the published test list"),
        ("published", "test", TEST, {"listed_only": False}, "cases in no list were trained"),
        ("case", "test", TEST, {}, "the split is not that of the published lists (it is by case)"),
        ("patch", "test", TEST, {}, "it is by patch"),
        ("published", "test", TEST, {"made_up": True}, "the data are made up"),
        ("case", "test", ["p1", "p2"], {}, "this is another data set"),
        ("case", "test", [""], {}, "no case names"),
        ("case", "test", [], {}, "no case names"),
        ("published", "test", [*TEST, "p1"], {}, "1 measured case is not in the published archive"),
        ("folds", "test", HELD[:56], {"folds": 5}, "223 of the 279 cases of the archive are"),
        ("folds", "all", HELD, {"folds": 10}, "5 folds, this one has 10"),
        ("folds", "all", HELD, {}, "an unknown number"),
        ("folds", "val", HELD, {"folds": 5}, "279 cases of 5 folds"),
    ],
)
def test_everything_else_has_a_reason(
    scheme: str, part: str, cases: list[Any], options: dict[str, Any], sentence: str
) -> None:
    found = compare(scheme, part, cases, 1000, **options)
    assert not found["comparable"]
    assert found["reason"].startswith("not comparable: ")
    assert sentence in found["reason"]
    assert found["run"] is None
    assert not any(row["comparable"] for row in found["rows"])


def test_validation_of_the_sample_misses_every_test_case() -> None:
    found = compare("published", "val", [c for c in HELD if c.part == "val"], 5685)
    assert len(found["missing"]["cases"]) == 49
    assert found["missing"]["patches"] == 51_439


def test_five_folds_over_all_cases_compare_with_folds_only() -> None:
    found = compare("folds", "all", HELD, 277_524, folds=5)
    assert found["comparable"]
    assert [row["comparable"] for row in found["rows"]] == [False, False, False, True, True]


def test_nothing_is_compared_without_lists() -> None:
    found = compare_with_published("published", "test", ["1"], 5, [], FIGURES)
    assert "another data set" in found["reason"]


@dataclass
class OwnCase:
    case: str
    part: str
    n_negative: int | None
    n_positive: int | None


def test_a_test_case_that_the_archive_lacks_is_in_the_note() -> None:
    lists = [OwnCase("1", "test", 5, 5), OwnCase("2", "test", None, None)]
    found = compare_with_published("published", "test", ["1"], 10, lists, {})
    assert found["comparable"]
    assert found["note"].startswith("the archive lacks 2 of the test list; the published")
    assert found["run"]["f1"] == {"value": None, "low": None, "high": None}


def highest_f1(balanced_accuracy: float, prevalence: float) -> float:
    """The highest F1 of the positive class that a balanced accuracy allows at a prevalence.

    F1 = 2 p s / (p s + p + (1 - p)(1 - t)) with prevalence p, sensitivity s and specificity t.
    With s + t fixed it only rises or only falls with t, so it is highest at an end of t's range.
    """
    total = 2 * balanced_accuracy

    def f1(specificity: float) -> float:
        sensitivity = total - specificity
        false = (1 - prevalence) * (1 - specificity)
        return 2 * prevalence * sensitivity / (prevalence * sensitivity + prevalence + false)

    return max(f1(min(1.0, total)), f1(max(0.0, total - 1)))


@pytest.mark.parametrize("prevalence", [0.1, 0.275, 0.6])
@pytest.mark.parametrize("balanced", [0.4, 0.6, 0.89])
def test_the_highest_f1_is_that_of_a_search(balanced: float, prevalence: float) -> None:
    specificity = np.linspace(max(0, 2 * balanced - 1), min(1, 2 * balanced), 2001)
    hits = prevalence * (2 * balanced - specificity)
    f1 = 2 * hits / (hits + prevalence + (1 - prevalence) * (1 - specificity))
    assert highest_f1(balanced, prevalence) == pytest.approx(f1.max())


def test_what_is_quoted_can_be_true() -> None:
    """Each F1 is reachable at its balanced accuracy; Romero's 0.90 is not, even if rounded."""
    prevalence = sum(case.n_positive or 0 for case in TEST) / total(TEST)
    assert prevalence == pytest.approx(0.275, abs=5e-4)
    for result in RESULTS:
        assert result.source
        if result.f1 is not None and result.balanced_accuracy is not None:
            assert result.f1 < highest_f1(result.balanced_accuracy, prevalence)
    assert highest_f1(0.895, prevalence) < 0.895


def test_rows_are_shown_for_data_of_the_archive_only() -> None:
    for found in (
        compare("case", "test", ["a"], 1),
        compare("case", "test", TEST, 1, made_up=True),
    ):
        assert found["rows"] == []
        assert found["note"] == ""
    assert compare("case", "test", TEST[:1], 1)["rows"]


def test_it_says_how_many_patches_are_missing() -> None:
    few = TEST[:4]
    reason = compare("published", "all", few, total(few))["reason"]
    assert "45 of the 49 published test cases are missing" in reason
    assert reason.endswith(f": {total(TEST) - total(few):,} of 51,439 patches")


def test_what_a_model_was_trained_on_has_to_be_known() -> None:
    unknown = compare("published", "test", TEST, total(TEST), listed_only=None)
    assert "is not known" in unknown["reason"]
    assert "published lists alone" in compare("unseen store", "all", TEST, total(TEST))["reason"]
