"""The figures by which an exported file is judged."""

from __future__ import annotations

import numpy as np
import pytest

from eosin.exporting.parity import Reading, Sample, compare, exact, why_not
from eosin.records.decision import Decision
from eosin.records.points import Band, OperatingPoint

TWO = Decision(("n", "p"), OperatingPoint("f1", 0.5, band=Band(float(np.float32(0.2)), 0.8)), 2.0)


def reading(positive: list[float], distances: list[float] | None = None) -> Reading:
    p = np.array(positive, np.float32)
    far = None if distances is None else np.array(distances, np.float32)
    return Reading(np.stack([1 - p, p], 1), far, np.zeros((1, 2), np.float32))


def sample(n: int, part: str = "val") -> Sample:
    return Sample(np.zeros((n, 2, 2, 3), np.uint8), None, part)


def test_what_changed_is_counted() -> None:
    torch = reading([0.1, 0.49, 0.79, 0.9, 0.9], [1, 1, 1, 1.9, 1])
    found = reading([0.1, 0.51, 0.81, 0.9, 0.7], [1, 1, 1, 2.1, 1])
    figures = compare(torch, found, TWO, np.array([0, 0, 1, 1, 1]))
    assert figures.called_changed == 1  # 0.49 to 0.51
    # Referred to positive, positive to out of scope, positive to referred.
    assert figures.answers_changed == 3
    assert figures.on_a_limit == 0
    assert figures.largest_difference == pytest.approx(0.2, abs=1e-6)
    assert figures.distance_difference == pytest.approx(0.2, abs=1e-6)
    assert figures.auroc_lost == 0
    assert not exact(figures)
    said = why_not(figures, sample(5))
    assert "20.00% of the classes change (at most 1% is allowed)" in said
    assert "60.00% of the decisions change" in said
    assert why_not(figures, sample(5, "train")).startswith("there are no validation patches")


def test_rounding_at_a_limit_is_no_change() -> None:
    torch = reading([0.5, 0.9, 0.2], [1, 2.0, 1])
    found = reading([0.499999, 0.9, 0.200001], [1, 2.000001, 1])
    figures = compare(torch, found, TWO, None)
    assert (figures.called_changed, figures.answers_changed) == (0, 0)
    # 0.2 in float32 is the band's own end, so it is answered; a little more is referred.
    assert figures.on_a_limit == 3
    assert exact(figures)
    # A real change of a patch that lies on a limit is one.
    figures = compare(torch, reading([0.4, 0.9, 0.2], [1, 2.0, 1]), TWO, None)
    assert figures.called_changed == 1


def test_more_classes() -> None:
    rule = Decision(("a", "b", "c"), OperatingPoint("most_probable", None, band=Band(None, 0.6)))
    torch = Reading(np.array([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]], np.float32), None, np.zeros(1))
    found = Reading(np.array([[0.2, 0.7, 0.1], [0.4, 0.4, 0.2]], np.float32), None, np.zeros(1))
    figures = compare(torch, found, rule, np.array([0, 1]))
    assert figures.called_changed == figures.answers_changed == 1
    assert figures.distance_difference is None


def test_what_is_no_number_passes_nothing() -> None:
    torch, found = reading([0.1, 0.9]), reading([0.1, float("nan")])
    figures = compare(torch, found, TWO, np.array([0, 1]))
    assert figures.largest_difference == float("inf")
    assert not exact(figures)
    assert why_not(figures, sample(2))
    one_class = compare(torch, torch, TWO, np.array([1, 1]))
    assert "AUROC has no value" in why_not(one_class, sample(2))
    assert why_not(compare(torch, torch, TWO, np.array([0, 1])), sample(2)) == ""
