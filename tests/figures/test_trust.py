"""Figures on trust: drawn alone and on a page, from full sections and from empty ones."""

import numpy as np
import pytest
from PIL import Image

from eosin.figures import canvas, trust
from eosin.records.referral import Referral
from eosin.records.scored import Scored
from eosin.records.trust import Calibration, DecisionCurve
from eosin.trust.benefit import decision_curve
from eosin.trust.calibration import measure_calibration
from eosin.trust.temperature import fit_isotonic, softmax

PROMISE = {
    "level": 0.05,
    "confidence": 0.9,
    "band": {"low": 0.2, "high": 0.8},
    "note": "",
    "achieved": {"error": {"value": 0.03}, "coverage": {"value": 0.6}},
    "curve": {
        "coverage": [0.1, 0.5, 1.0],
        "risk": [0.01, 0.02, 0.2],
        "low": [None, 0.01, 0.1],
        "high": [None, 0.04, 0.3],
    },
}


@pytest.fixture
def drawings(monkeypatch):
    """Every figure that is saved, as an object."""
    kept = []
    plain = trust.save
    monkeypatch.setattr(
        trust, "save", lambda figure, path: (kept.append(figure), plain(figure, path))[1]
    )
    return kept


def sections(cases=12):
    rng = np.random.default_rng(0)
    z = rng.normal(-1, 2.5, 900)
    y = (rng.random(900) < 1 / (1 + np.exp(-z))).astype(int)
    logits = np.stack([0 * z, z], axis=1)
    p = softmax(logits, temperature=0.5)
    scored = Scored.of(y, softmax(logits), rng.integers(0, cases, 900).astype(str))
    probabilities = {
        "before": p,
        "temperature": softmax(logits),
        "isotonic": fit_isotonic(y, p).apply(p),
    }
    methods = measure_calibration(scored, probabilities, replicates=50)
    return methods, decision_curve(scored, replicates=50)


def calibration(methods):
    return Calibration.model_validate({"methods": methods})


def all_three(folder, methods, curve, referral, **options):
    return [
        trust.reliability_figure(folder / "reliability.png", calibration(methods), **options),
        trust.decision_curve_figure(
            folder / "benefit.png", DecisionCurve.model_validate(curve), **options
        ),
        trust.risk_coverage_figure(
            folder / "risk.png", Referral.model_validate(referral), **options
        ),
    ]


def words(figure):
    """Everything written in a figure."""
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
        legend = axes.get_legend()
        found += [text.get_text() for text in legend.get_texts()] if legend else []
    return "\n".join(found)


def everything_fits(figure):
    """No word, tick label or legend reaches over the edge of the figure."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    edge = figure.bbox
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        assert box.x0 >= edge.x0
        assert box.y0 >= edge.y0
        assert box.x1 <= edge.x1
        assert box.y1 <= edge.y1 + 1


@pytest.mark.parametrize("width", [0, 4.3])
def test_they_fit_alone_and_on_a_page(tmp_path, drawings, width):
    given = (*sections(), PROMISE)
    if width:
        with canvas.for_page(width):
            paths = all_three(tmp_path, *given)
    else:
        paths = all_three(tmp_path, *given, subtitle="900 patches", marks=["MADE-UP DATA"])
    assert len(drawings) == 3
    for figure, path in zip(drawings, paths, strict=True):
        everything_fits(figure)
        assert bool(width) == ("MADE-UP DATA" not in words(figure))
        with Image.open(path) as image:
            assert image.width == round((width or 7.2) * canvas.DPI)


def test_the_words_say_the_numbers(tmp_path, drawings):
    methods, curve = sections()
    all_three(tmp_path, methods, curve, PROMISE)
    reliability, benefit, risk = map(words, drawings)
    for name, method in methods.items():
        assert f"{name}: ECE {method['ece']['value']:.3f} (" in reliability
    assert f"ECE would be {methods['temperature']['ece_by_chance']:.3f}" in reliability
    assert "the 15 bins, of 60 patches" in reliability
    assert "calling all positive" in benefit
    assert "promised: at most 0.05, confidence 0.9" in risk
    assert "achieved: error 0.030\nat coverage 0.600" in risk


def test_without_a_band_the_figure_says_so(tmp_path, drawings):
    trust.risk_coverage_figure(
        tmp_path / "a.png", Referral.model_validate({**PROMISE, "band": None})
    )
    assert "no referral band could be set" in words(drawings[0])
    assert "achieved" not in words(drawings[0])


def test_empty_sections_say_why(tmp_path, drawings):
    scored = Scored.of([1, 1], [0.2, 0.5], ["a", "b"])
    methods = measure_calibration(scored, {"before": [np.nan, 0.5]})
    curve = decision_curve(scored)
    referral = {"band": None, "note": "there are no validation cases", "level": 0.05}
    paths = all_three(tmp_path, methods, curve, referral)
    said = [" ".join(words(figure).split()) for figure in drawings]
    assert "Calibration needs finite scores, and 1 of 2 patches have none." in said[0]
    assert "A decision curve needs both classes" in said[1]
    assert "There are no validation cases." in said[2]
    assert all(path.stat().st_size for path in paths)
    with canvas.for_page(4.3):
        all_three(tmp_path, {}, {"note": "defined for two classes only"}, {})
    for figure in drawings:
        everything_fits(figure)


def test_one_bin_and_no_intervals_are_drawn(tmp_path, drawings):
    scored = Scored.of([0, 1, 1, 0], [0.2, 0.7, 0.6, 0.4], ["a"] * 4)
    methods = measure_calibration(scored, {"before": [0.5] * 4})
    curve = decision_curve(scored)
    bare = {**PROMISE["curve"], "low": [], "high": []}
    all_three(tmp_path, methods, curve, {**PROMISE, "curve": bare})
    assert "before: ECE 0.000 (no interval)" in words(drawings[0])
    assert "one bin, of 4 patches" in words(drawings[0])


def test_more_classes_change_the_axes(tmp_path, drawings):
    methods, _ = sections()
    trust.reliability_figure(tmp_path / "a.png", calibration(methods), classes=3)
    assert drawings[0].axes[0].get_ylabel() == "Share called right"


def test_vector_drawings_carry_their_words(tmp_path):
    methods, _ = sections()
    path = trust.reliability_figure(tmp_path / "a.svg", calibration(methods))
    assert "temperature: ECE" in path.read_text("utf-8")
