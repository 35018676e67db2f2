"""A lesson in the terminal: its text, its code, its figures as files, and its exercises."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from eosin.errors import FailureError
from eosin.guide.catalog import Lesson, exercises_of
from eosin.guide.exercises import Choice, Code, Exercise, Number
from eosin.guide.plain import markdown_of, readable

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Shown:
    """One part of a lesson: "text" (Markdown), "code" (Python), "figure" or "exercise"."""

    kind: str
    content: Any


def load(lesson: Lesson) -> ModuleType:
    """The lesson as a module; this runs only its setup cell. The module is not registered."""
    spec = importlib.util.spec_from_file_location(f"eosin_lesson_{lesson.name}", lesson.path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


def pieces(lesson: Lesson) -> Iterator[Shown]:
    """Run the lesson and yield its parts, in the order of the page.

    Raises FailureError with the reason where a cell fails.
    """
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.use("Agg")
    figures: list[Figure] = []
    with _keeping(figures):
        try:
            module = load(lesson)
            with contextlib.redirect_stdout(io.StringIO()):
                outputs, _ = module.app.run()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".strip()
            raise FailureError(f"lesson {lesson.number} stopped: {reason}") from error
        exercises = iter(exercises_of(lesson.number, lesson.path.parent))
        # marimo returns no output for the setup cell.
        cells = [c for c in module.app._cell_manager.cell_data() if c.name != "setup"]
        for cell, output in zip(cells, outputs, strict=True):
            code = cell.code.strip()
            if "ask(" in code:
                yield Shown("exercise", next(exercises))
                continue
            if not cell.config.hide_code and code:
                yield Shown("code", code)
            if isinstance(output, Figure):
                yield Shown("figure", output)
            elif output is not None:
                yield from _with_figures(markdown_of(output), figures)


@contextlib.contextmanager
def _keeping(figures: list[Any]) -> Iterator[None]:
    """Meanwhile, a figure inside a layout becomes a mark with its position in ``figures``."""
    import eosin.guide.notebook as notebook

    def keep(figure: Any, alt: str = "") -> str:
        figures.append(figure)
        return f"<p>\x02{len(figures) - 1}\x02</p>"

    before = notebook.drawing
    notebook.drawing = keep
    try:
        yield
    finally:
        notebook.drawing = before


def _with_figures(text: str, figures: list[Any]) -> Iterator[Shown]:
    for k, part in enumerate(text.split("\x02")):
        if k % 2:
            yield Shown("figure", figures[int(part)])
        elif part.strip():
            yield Shown("text", part.strip())


def tell_lesson(
    lesson: Lesson,
    console: Console,
    *,
    pictures: Path,
    answers: Callable[[str], str] | None = None,
) -> int:
    """Print a lesson; returns the number of correct answers.

    pictures: the folder for the figures, made where it is missing. answers: how to ask the reader
    (a function from a prompt to the typed text), or None to only list the exercises.
    """
    from rich.markdown import Markdown
    from rich.padding import Padding
    from rich.syntax import Syntax

    from eosin.figures.canvas import save
    from eosin.guide.notebook import in_words

    right = drawn = 0
    for shown in pieces(lesson):
        if shown.kind == "code":
            console.print(Padding(Syntax(shown.content, "python", word_wrap=True), (0, 2)))
        elif shown.kind == "figure":
            drawn += 1
            pictures.mkdir(parents=True, exist_ok=True)
            path = save(shown.content, pictures / f"{lesson.name}-{drawn}.png")
            words = in_words(shown.content, axes=False)
            console.print(f"  [figure] {words}", markup=False, style="bold")
            console.print(f"  {path}", markup=False, soft_wrap=True)
        elif shown.kind == "exercise":
            right += _exercise(shown.content, console, answers)
        else:
            console.print(Markdown(readable(shown.content)))
        console.print()
    return right


def _exercise(exercise: Exercise, console: Console, answers: Callable[[str], str] | None) -> bool:
    """Show one exercise and, with a reader, ask until the answer is right or skipped."""
    from rich.markdown import Markdown
    from rich.syntax import Syntax

    console.rule(style="magenta")
    console.print(Markdown(readable(exercise.question)))
    if isinstance(exercise, Code):
        console.print(Syntax(exercise.starter, "python", word_wrap=True))
    elif isinstance(exercise, Choice):
        for k, option in enumerate(exercise.options, 1):
            console.print(Markdown(readable(f"{k}\\. {option}")))
    passed = False
    while answers is not None and not passed:
        answer = _asked(exercise, answers)
        if not answer.strip():
            break
        verdict = exercise.check(answer)
        passed = verdict.passed
        text = verdict.sentence + (f"\n\n**Hint:** {verdict.hint}" if verdict.hint else "")
        if verdict.printed.strip():
            console.print(verdict.printed, markup=False, style="dim")
        console.print(Markdown(readable(text), style="green" if passed else "yellow"))
    console.rule(style="magenta")
    return passed


def _asked(exercise: Exercise, answers: Callable[[str], str]) -> str:
    """What the reader types; "" skips the exercise."""
    if isinstance(exercise, Number):
        return answers("your answer (Enter to skip): ")
    if isinstance(exercise, Choice):
        typed = answers("the number of your answer (Enter to skip): ").strip()
        options = list(exercise.options)
        return options[int(typed) - 1] if typed in map(str, range(1, len(options) + 1)) else typed
    typed = answers("your code, ended by an empty line, or the name of a file (Enter to skip): ")
    if typed.strip().endswith(".py") and Path(typed.strip()).is_file():
        return Path(typed.strip()).read_text("utf-8")
    lines = [typed]
    while lines[-1].strip():
        lines.append(answers("... "))
    return "\n".join(lines)
