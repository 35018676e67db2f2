"""A lesson in the terminal: its pieces in order, figures as files, and exercises answered."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from eosin.errors import FailureError
from eosin.guide.catalog import Lesson, read_lesson
from eosin.guide.terminal import pieces, tell_lesson

pytest.importorskip("marimo")

LESSON = '''"""Small

Goal: be small.
Minutes: 5
Prerequisites: none.
"""

import marimo

app = marimo.App()

with app.setup(hide_code=True):
    import marimo as mo

    from eosin.figures.canvas import canvas
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell

    house_look()
    HERE = mo.notebook_dir()


@app.cell(hide_code=True)
def _():
    mo.md(r"""# 1. Small\n\nThe formula $w_1 x$.""")
    return


@app.cell
def _():
    slider = mo.ui.slider(0, 5, value=2, label="weight")
    slider
    return (slider,)


@app.cell(hide_code=True)
def _(slider):
    _alone, (_axes,) = canvas("Alone", "A figure by itself")
    _axes.plot([0, slider.value])
    _alone
    return


@app.cell(hide_code=True)
def _(slider):
    _inside, _ = canvas("Inside", "Between two texts")
    mo.vstack([mo.md("before"), _inside, mo.md("after")])
    return


@app.cell(hide_code=True)
def _():
    from pathlib import Path

    first, second, third = exercises_of(1, Path(FOLDER))
    return first, second, third


@app.cell(hide_code=True)
def _(first):
    answer_1 = ask(first)
    answer_1
    return (answer_1,)


@app.cell(hide_code=True)
def _(answer_1, first):
    tell(first, answer_1.value)
    return


@app.cell(hide_code=True)
def _(second):
    answer_2 = ask(second)
    answer_2
    return (answer_2,)


@app.cell(hide_code=True)
def _(answer_2, second):
    tell(second, answer_2.value)
    return


@app.cell(hide_code=True)
def _(third):
    answer_3 = ask(third)
    answer_3
    return (answer_3,)


@app.cell(hide_code=True)
def _(answer_3, third):
    tell(third, answer_3.value)
    return


if __name__ == "__main__":
    app.run()
'''

EXERCISES = '''"""Exercises."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Code(
        question="**Write** `double(x)`, for $x_1$.", starter="def double(x):\\n    ...",
        cases=(Case("double(2)", 4),), hint="Add x to itself.",
        right=("def double(x):\\n    return 2 * x",), wrong=("def double(x):\\n    return x",),
    ),
    Number(question="**Half** of 1?", expected=0.5, hint="Cut it.", right=("0.5",), wrong=("2",)),
    Choice(
        question="**Sky?**", options={"blue": "Yes.", "red": "Rarely."}, right=("blue",),
        wrong=("red",), hint="Look up.",
    ),
)
'''


@pytest.fixture
def small(tmp_path: Path) -> Lesson:
    folder = tmp_path / "lessons"
    (folder / "exercises").mkdir(parents=True)
    path = folder / "01_small.py"
    path.write_text(LESSON.replace("FOLDER", repr(str(folder))), "utf-8")
    (folder / "exercises" / "01_small.py").write_text(EXERCISES, "utf-8")
    return read_lesson(path)


def told(
    lesson: Lesson, pictures: Path, answers: Callable[[str], str] | None = None
) -> tuple[int, str]:
    text = io.StringIO()
    console = Console(file=text, width=90, highlight=False, force_terminal=False)
    right = tell_lesson(lesson, console, pictures=pictures, answers=answers)
    return right, text.getvalue()


def test_pieces_come_in_the_order_of_the_page(small: Lesson) -> None:
    kinds = [each.kind for each in pieces(small)]
    assert kinds == [
        "text", "code", "text", "figure", "text", "figure", "text",
        "exercise", "exercise", "exercise",
    ]  # fmt: skip


def test_figures_are_files_whose_path_is_said(small: Lesson, tmp_path: Path) -> None:
    right, text = told(small, tmp_path / "figures")
    assert right == 0
    for k, words in enumerate(("Alone. A figure by itself", "Inside. Between two texts"), 1):
        path = tmp_path / "figures" / f"01_small-{k}.png"
        assert path.read_bytes().startswith(b"\x89PNG")
        assert str(path) in text.replace("\n", "")
        assert words in text
    for words in ("The formula w₁ x.", "weight: 2", "def double(x):", "2. red", "Half"):
        assert words in text
    assert "<" not in text
    assert text.index("before") < text.index("Inside") < text.index("after")


def test_exercises_are_asked_until_they_are_right(small: Lesson, tmp_path: Path) -> None:
    saved = tmp_path / "mine.py"
    saved.write_text("def double(x):\n    return x + x\n", "utf-8")
    typed = iter(["def double(x):", "    return x", "", str(saved), "2", "1/2", "2", "7", "1"])
    right, text = told(small, tmp_path / "figures", lambda prompt: next(typed))
    assert right == 3
    assert text.count("Hint:") == 4
    assert "double(2) gives 2, and 4 is expected." in text
    assert "not one of the answers" in text
    assert next(typed, None) is None


def test_exercises_can_be_left_out(small: Lesson, tmp_path: Path) -> None:
    assert told(small, tmp_path / "figures", lambda prompt: "")[0] == 0


def test_a_lesson_that_fails_says_why(small: Lesson) -> None:
    text = small.path.read_text("utf-8").replace("_alone\n    return", "1 / 0\n    return")
    small.path.write_text(text, "utf-8")
    with pytest.raises(FailureError, match=r"lesson 1 stopped: .*division by zero"):
        list(pieces(small))
