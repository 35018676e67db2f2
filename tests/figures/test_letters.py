"""Any name is drawn: no formula, no missing letter, no warning."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eosin.evaluation.curves import Curves
from eosin.evaluation.summary import evaluate
from eosin.figures import charts, letters
from eosin.figures.canvas import canvas, legend, save
from eosin.figures.panels import Key, Panel, compose
from eosin.records.evaluation import Evaluation
from eosin.records.scored import Scored

NAMES = ("$x_1$ 50%", "_hidden", "a" * 300, "ورم خبيث", "שפיר", "肿瘤", "🧪", "a\u202eb", "a\tb",
         r"\frac{1}", "$\\bad$$", "a\nb")  # fmt: skip


@pytest.mark.parametrize("classes", list(zip(NAMES[::2], NAMES[1::2], strict=True)))
def test_a_name_is_drawn_in_every_figure(tmp_path: Path, classes: tuple[str, str]) -> None:
    truth = np.array([0, 1] * 12)
    scores = np.linspace(0.1, 0.9, 24)
    made = evaluate(Scored.of(truth, scores, NAMES * 2), classes=classes, replicates=9)
    evaluation = Evaluation.model_validate({**made, "part": "test", "split": "case"})
    curves = Curves.of(truth, np.stack([1 - scores, scores], 1))
    assert len(charts.draw_all(tmp_path, evaluation, curves)) == 5
    assert evaluation.confusion is not None
    path = charts.confusion_figure(tmp_path / "a.svg", evaluation.confusion, classes)
    words = re.sub("[&].*?;", "", " ".join(re.findall(">([^<]+)</text>", path.read_text("utf-8"))))
    for name in classes:
        assert name[:30] in words or not name.isprintable()
    with Image.open(tmp_path / "confusion.png") as image:
        assert max(image.size) < 2500


def test_the_word_of_a_series_is_what_the_data_have(tmp_path: Path) -> None:
    figure, (axes,) = canvas("Names")
    axes.plot([0, 1], [0, 1], label=letters.series("_a $5$"))
    legend(axes)
    text = save(figure, tmp_path / "a.svg").read_text("utf-8")
    assert ">_a $5$</text>" in text


def test_letters_that_no_font_has_are_spelled_once_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "font_with", lambda wanted: None)
    assert letters.spelled("肿瘤 7") == "[U+80BF U+7624] 7"
    assert letters.note_on(["肿"]) == letters.NOTE
    assert letters.note_on(["ورم", "$a_b$", "a\u202eb"]) == ""
    figure, (axes,) = canvas("肿瘤")
    axes.set_yticks([0, 1], ["肿", "b"])
    save(figure, tmp_path / "a.png")
    shown = [each.get_text() for each in figure.texts]
    assert shown == ["[U+80BF U+7624]", letters.NOTE]
    assert [each.get_text() for each in axes.get_yticklabels()] == ["[U+80BF]", "b"]


def test_a_font_of_the_machine_is_used() -> None:
    # Of the fonts of matplotlib one more has letters for this.
    assert letters.lacking("a\U0001d400") == "\U0001d400" or letters.lacking("a\U0001d400") == ""
    assert letters.font_with("a") is not None
    assert letters.font_with("\U0010fffd") is None


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_drawn_in_a_panel(name: str) -> None:
    flat = np.zeros((20, 20, 3), np.uint8)
    image = compose([Panel(name, flat, [Key("#ff0000", name)], ramp=(name[:20], "1"))], columns=1)
    assert image.shape[1] == 780
