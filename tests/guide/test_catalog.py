"""Lessons are found, and read without being run."""

from __future__ import annotations

from pathlib import Path

import pytest

from eosin.errors import UserError
from eosin.guide import catalog
from eosin.guide.catalog import exercises_of, find_lesson, lessons, lessons_folder, read_lesson

HEAD = '"""Loss\n\nGoal: measure\n  how wrong.\nMinutes: 9\nPrerequisites: lesson 2.\n"""\n'


def write(folder: Path, name: str, text: str = HEAD) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_a_head_is_read_and_nothing_is_run(tmp_path: Path) -> None:
    lesson = read_lesson(write(tmp_path, "03_loss.py", HEAD + "raise SystemExit('was run')\n"))
    assert (lesson.number, lesson.title, lesson.minutes) == (3, "Loss", 9)
    assert lesson.goal == "measure how wrong."
    assert lesson.name == "03_loss"
    assert lesson.as_dict()["path"] == str(tmp_path / "03_loss.py")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('"""Loss"""\n', "goal and no minutes and no prerequisites"),
        (HEAD.replace("Minutes: 9", "Minutes: ten"), "minutes: a number"),
        ("x = 1\n", "no title"),
        ("def broken(\n", "cannot be read as Python"),
    ],
)
def test_a_head_that_lacks_something_is_named(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        read_lesson(write(tmp_path, "03_loss.py", text))


def test_lessons_come_in_order_and_other_files_are_none(tmp_path: Path) -> None:
    for name in ("10_last.py", "02_two.py", "01_one.py", "helper.py", "1_short.py"):
        write(tmp_path, name)
    assert [each.number for each in lessons(tmp_path)] == [1, 2, 10]


def test_an_unknown_number_names_those_there_are(tmp_path: Path) -> None:
    for number in (1, 2, 3, 7):
        write(tmp_path, f"{number:02d}_x.py")
    with pytest.raises(UserError, match=r"lesson 5 does not exist; the lessons are 1 to 3 and 7\."):
        find_lesson(5, tmp_path)


def test_another_lesson_that_is_broken_does_not_stop_this_one(tmp_path: Path) -> None:
    write(tmp_path, "01_x.py")
    write(tmp_path, "02_y.py", "def broken(\n")
    assert find_lesson(1, tmp_path).title == "Loss"


def test_lessons_are_found_in_the_installed_package_and_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "src" / "eosin"
    (package / "guide").mkdir(parents=True)
    monkeypatch.setattr(catalog, "_PACKAGE", package)
    with pytest.raises(UserError, match="this installation has no lessons"):
        lessons_folder()
    write(tmp_path / "lessons", "01_x.py")
    assert lessons_folder() == tmp_path / "lessons"
    write(package / "lessons", "01_x.py")
    assert lessons_folder() == package / "lessons"


def test_exercises_are_of_the_lesson_or_are_missing(tmp_path: Path) -> None:
    write(tmp_path, "01_x.py")
    with pytest.raises(UserError, match="has no exercises"):
        exercises_of(1, tmp_path)
    write(tmp_path / "exercises", "01_x.py", "EXERCISES = [1, 2]\n")
    assert exercises_of(1, tmp_path) == (1, 2)
