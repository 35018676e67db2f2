"""The guide's pages: every lesson there is, run when it or what it uses has changed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from eosin.guide.catalog import Lesson, lessons

DOCS = Path(__file__).parent
ROOT = DOCS.parent
LESSONS = ROOT / "lessons"
#: Where the list of lessons goes in docs/guide/index.md.
MARK = "<!-- lessons -->"
#: A lesson takes a minute; a busy machine takes longer.
LONGEST_S = 900
_USED = ("docs/run_lesson.py", "docs/still.py", "docs/formulas.py")


class LessonError(Exception):
    """A lesson that did not run to its end."""


@dataclass
class Guide:
    """The lessons and their pages: path below guide/ -> content."""

    lessons: list[Lesson] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def contents(self) -> str:
        """The list of lessons, for readers and for the site's table of contents."""
        if not self.lessons:
            return ""
        rows = [
            f"| [{each.number}. {each.title}]({each.name}.md) "
            f"| {each.goal[:1].upper()}{each.goal[1:]} | {each.minutes} |"
            for each in self.lessons
        ]
        tree = [f"{each.number}. {each.title} <{each.name}>" for each in self.lessons]
        head = ["## Lessons", "", "| lesson | what you do | minutes |", "|---|---|--:|"]
        return "\n".join([*head, *rows, "", "```{toctree}", ":hidden:", "", *tree, "```"])


def pages(cache: Path, *, most: int | None = None) -> Guide:
    """Run what has to be run, two at a time; raises LessonError with every lesson that failed."""
    if not any(LESSONS.glob("[0-9]*.py")):
        return Guide()
    guide = Guide(lessons(LESSONS)[:most])
    with ThreadPoolExecutor(2) as several:
        results = list(several.map(lambda lesson: _page(lesson, cache), guide.lessons))
    wrong = [result for result in results if isinstance(result, LessonError)]
    if wrong:
        raise LessonError("\n".join(map(str, wrong)))
    for result in results:
        assert isinstance(result, dict)
        guide.files |= result
    return guide


def _page(lesson: Lesson, cache: Path) -> dict[str, bytes] | LessonError:
    folder = cache / lesson.name
    stamp = folder / "made-from"
    key = _key(lesson.path)
    if not stamp.is_file() or stamp.read_text("utf-8") != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        page = folder / "page.md"
        command = [sys.executable, str(DOCS / "run_lesson.py"), str(lesson.path), str(page)]
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=LONGEST_S,
                stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONUTF8": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return LessonError(f"{lesson.path.name} was not done after {LONGEST_S} s")
        if done.returncode:
            return LessonError(f"{lesson.path.name} failed:\n{done.stderr.strip()[-2000:]}")
        stamp.write_text(key, "utf-8")
    text = (folder / "page.md").read_text("utf-8")
    return {f"{lesson.name}.md": _whole(lesson, text).encode()}


def _whole(lesson: Lesson, text: str) -> str:
    """The page with a title, and below it how to open the lesson itself."""
    if not text.lstrip().startswith("# "):
        text = f"# {lesson.number}. {lesson.title}\n\n{text}"
    head, _, rest = text.lstrip().partition("\n")
    note = (
        '<div class="open">As it ran when the site was built. To move the sliders and have your '
        f"answers checked: <code>eosin learn {lesson.number}</code></div>"
    )
    return f"{head}\n\n{note}\n\n{rest}"


def _key(lesson: Path) -> str:
    """What a page depends on: the lesson, its exercises, the rooms that it uses, and marimo."""
    paths = [lesson, lesson.parent / "exercises" / lesson.name, *(ROOT / name for name in _USED)]
    text = "\n".join(path.read_text("utf-8") for path in paths if path.is_file())
    rooms = {"guide", "scratch", "figures", *re.findall(r"\beosin\.(\w+)", text)}
    digest = hashlib.sha256(f"marimo {version('marimo')}\n{text}".encode())
    for room in sorted(rooms):
        for path in sorted((ROOT / "src" / "eosin" / room).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
