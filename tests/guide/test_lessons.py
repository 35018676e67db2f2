"""Every lesson in lessons/: it runs, it is whole, and its exercises know right from wrong."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eosin.errors import MissingExtraError
from eosin.guide.browser import require_parts
from eosin.guide.catalog import Lesson, exercises_of, lessons
from eosin.guide.exercises import Choice, Code, Number

marimo = pytest.importorskip("marimo")

FOLDER = Path(__file__).parents[2] / "lessons"
LESSONS = lessons(FOLDER)
EVERY = pytest.mark.parametrize("lesson", LESSONS, ids=[each.name for each in LESSONS])
#: Far more than a lesson takes on two free cores, so that a busy machine fails nothing.
LONGEST_S = 900


def test_they_are_numbered_without_a_gap() -> None:
    assert [each.number for each in LESSONS] == list(range(1, len(LESSONS) + 1))


@pytest.mark.slow
@EVERY
def test_it_runs_to_the_end_without_warnings(lesson: Lesson, tmp_path: Path) -> None:
    try:
        require_parts(lesson)
    except MissingExtraError as error:
        pytest.skip(str(error))
    (here := tmp_path / "here").mkdir()
    (temporary := tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", str(lesson.path)],
        cwd=here,
        capture_output=True,
        encoding="utf-8",
        timeout=LONGEST_S,
        # No network: every request would go to a port where nothing listens.
        env={
            **os.environ,
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
            "TMPDIR": str(temporary),
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    assert not list(here.iterdir()), "a lesson leaves no files where it is run"
    left = [each.name for each in temporary.iterdir() if each.name.startswith("eosin-")]
    assert not left, "nor in the folder for temporary files"


@EVERY
def test_it_is_whole(lesson: Lesson) -> None:
    text = lesson.path.read_text("utf-8")
    assert 5 <= lesson.minutes <= 25
    assert lesson.goal[0].islower()
    assert lesson.goal.endswith(".")
    assert f"# {lesson.number}. " in text, "the first cell has the number and the title"
    assert "**Goal.**" in text
    assert "**You need**" in text
    assert "## Summary" in text
    assert "**Next" in text or lesson is LESSONS[-1]
    assert re.search(r"\bmo\.ui\.\w+\(", text), "something to move"
    assert 'css_file="house.css"' in text
    assert 'theme = "system"' in text
    assert "house_look()" in text
    # A word in passing does not make a lesson about tissue.
    if len(re.findall(r"tissue|tumor|diagnos", text)) >= 3:
        assert "not for diagnosis" in text


@EVERY
def test_every_exercise_is_asked_and_told(lesson: Lesson) -> None:
    count = len(exercises_of(lesson.number, FOLDER))
    assert 2 <= count <= 4
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(lesson.path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert calls.count("ask") == calls.count("tell") == count


def test_marimo_finds_no_fault_in_the_cells() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "marimo", "check", "--strict", *(str(e.path) for e in LESSONS)],
        capture_output=True,
        encoding="utf-8",
        timeout=LONGEST_S,
    )
    # Its order and format are ruff's business; a fault in the graph breaks the lesson.
    faults = [line for line in (done.stdout + done.stderr).splitlines() if "critical" in line]
    assert not faults, done.stdout + done.stderr


def answers() -> list[Any]:
    rows = []
    for lesson in LESSONS:
        for k, exercise in enumerate(exercises_of(lesson.number, FOLDER), 1):
            for kind in ("right", "wrong"):
                rows += [
                    pytest.param(
                        exercise, answer, kind == "right",
                        id=f"{lesson.name}-{k}-{kind}-{n}",
                        marks=[pytest.mark.slow] if isinstance(exercise, Code) else [],
                    )
                    for n, answer in enumerate(getattr(exercise, kind), 1)
                ]  # fmt: skip
    return rows


@pytest.mark.parametrize(("exercise", "answer", "right"), answers())
def test_stored_answers(exercise: Code | Number | Choice, answer: str, right: bool) -> None:
    verdict = exercise.check(answer)
    assert verdict.passed is right, verdict.sentence
    assert verdict.sentence.endswith((".", "?", "!"))
    assert "Traceback" not in verdict.sentence
    if not right and answer.strip():
        assert verdict.hint == exercise.hint


@EVERY
def test_hints_point_and_do_not_tell(lesson: Lesson) -> None:
    for exercise in exercises_of(lesson.number, FOLDER):
        assert exercise.right
        assert exercise.wrong
        assert len(exercise.hint) > 20
        assert exercise.question.startswith("**")
        if isinstance(exercise, Code):
            for answer in exercise.right:
                lines = [line.strip() for line in answer.splitlines() if "return " in line]
                given = [line.removeprefix("return ") for line in lines]
                # A name alone is no answer.
                assert not any(len(each) > 9 and each in exercise.hint for each in given)
        elif isinstance(exercise, Number):
            told = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\w)", exercise.hint)
            assert exercise.expected not in {float(each) for each in told}
        else:
            assert set(exercise.right) | set(exercise.wrong) == set(exercise.options)
            assert not any(option in exercise.hint for option in exercise.right)
