"""The lessons: where they are, and their titles and goals, read without running them."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.guide.exercises import Exercise

#: 01_perceptron.py and so on; a file without a number is not a lesson.
_NAME = re.compile(r"(\d\d)_\w+\.py")
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Lesson:
    """One lesson, as the text at the head of its file describes it."""

    number: int
    title: str
    goal: str
    minutes: int
    prerequisites: str
    path: Path

    @property
    def name(self) -> str:
        """The file's name without its ending: ``01_perceptron``."""
        return self.path.stem

    def as_dict(self) -> dict[str, Any]:
        """Number, title, goal, minutes, prerequisites and path, for JSON."""
        return asdict(self) | {"path": str(self.path)}


def lessons_folder() -> Path:
    """The folder with the lessons: inside the installed package, or beside src in a checkout.

    Raises UserError where neither is there.
    """
    for folder in (_PACKAGE / "lessons", _PACKAGE.parents[1] / "lessons"):
        if any(_NAME.fullmatch(path.name) for path in folder.glob("*.py")):
            return folder
    raise UserError(
        "this installation has no lessons; install eosin again, or run it from a checkout of the "
        "repository"
    )


def lessons(folder: Path | None = None) -> list[Lesson]:
    """All lessons in order; ``folder`` is by default ``lessons_folder()``."""
    return [read_lesson(path) for path in _files(folder).values()]


def find_lesson(number: int, folder: Path | None = None) -> Lesson:
    """The lesson with this number; raises UserError with the numbers that exist."""
    files = _files(folder)
    if number not in files:
        raise UserError(
            f"lesson {number} does not exist; the lessons are {_ranges(list(files))}. `eosin "
            "learn` lists them"
        )
    return read_lesson(files[number])


def _files(folder: Path | None) -> dict[int, Path]:
    """Number -> file of every lesson, in order; none of them is read."""
    named = [(_NAME.fullmatch(p.name), p) for p in (folder or lessons_folder()).glob("*.py")]
    return dict(sorted((int(match[1]), path) for match, path in named if match))


def read_lesson(path: Path) -> Lesson:
    """A lesson from the head of its file, which is parsed and not run.

    The docstring has the title on its first line, then ``Goal:``, ``Minutes:`` and
    ``Prerequisites:``; a continued line is indented. Raises UserError where one is missing.
    """
    try:
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not a lesson: it cannot be read as Python ({error})") from None
    fields = read_head(text)
    missing = [key for key in ("title", "goal", "minutes", "prerequisites") if not fields.get(key)]
    number = _NAME.fullmatch(path.name)
    if missing or number is None or not fields["minutes"].isdigit():
        reason = f"its docstring has no {' and no '.join(missing)}"
        raise UserError(f"{path} is not a lesson: {reason if missing else 'minutes: a number'}")
    return Lesson(
        number=int(number[1]),
        title=fields["title"],
        goal=fields["goal"],
        minutes=int(fields["minutes"]),
        prerequisites=fields["prerequisites"],
        path=path,
    )


def read_head(text: str) -> dict[str, str]:
    """Title and fields of a docstring.

    >>> read_head("Loss\\n\\nGoal: measure\\n  how wrong.\\nMinutes: 9\\nPrerequisites: lesson 2")
    {'title': 'Loss', 'goal': 'measure how wrong.', 'minutes': '9', 'prerequisites': 'lesson 2'}
    """
    first, _, rest = text.strip().partition("\n")
    fields = {"title": first.strip().rstrip(".")}
    for key, value in re.findall(r"^([A-Z]\w+): *(.*(?:\n[ \t]+\S.*)*)", rest, re.MULTILINE):
        fields[key.lower()] = " ".join(value.split())
    return fields


def exercises_of(number: int, folder: Path | None = None) -> tuple[Exercise, ...]:
    """The exercises of a lesson: EXERCISES in lessons/exercises, in the file of the same name.

    Raises UserError where the lesson or its exercises are missing.
    """
    lesson = find_lesson(number, folder)
    path = lesson.path.parent / "exercises" / lesson.path.name
    if not path.is_file():
        raise UserError(f"lesson {number} has no exercises: {path} is missing")
    return tuple(runpy.run_path(str(path))["EXERCISES"])


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in words.

    >>> _ranges([1, 2, 3, 5])
    '1 to 3 and 5'
    """
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return " and ".join(str(g[0]) if len(g) == 1 else f"{g[0]} to {g[-1]}" for g in groups)
