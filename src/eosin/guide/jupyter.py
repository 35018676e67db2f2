"""Lessons in Jupyter: the .ipynb, and plain text there in place of marimo's moving parts."""

from __future__ import annotations

import ast
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

from eosin.errors import EosinError, UserError
from eosin.folders import whole_file
from eosin.guide.catalog import Lesson, exercises_of
from eosin.guide.exercises import Choice, Code, Exercise

#: In the first cell of every lesson.
_OPENING = "of eosin's guide"
_ASKS = re.compile(r"^(answer_\d+)\s*=\s*ask\(", re.MULTILINE)


def in_jupyter() -> bool:
    """Whether this runs inside IPython or Jupyter."""
    return _shell() is not None


def _shell() -> Any:
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def register() -> None:
    """Show marimo's texts and inputs as Markdown, and figures as pictures, in this session."""
    from marimo import Html
    from matplotlib.figure import Figure

    from eosin.guide.plain import markdown_of

    def markdown(shown: Any) -> str:
        return markdown_of(shown, pictures=True)

    formatters = _shell().display_formatter.formatters
    for kind in ("text/html", "text/plain"):
        formatters[kind].for_type(Html, lambda shown, *_: None)
    formatters["text/markdown"].for_type(Html, markdown)
    formatters["image/png"].for_type(Figure, png)
    _shell().set_custom_exc((EosinError,), _print_error)


def _print_error(shell: Any, kind: type, error: BaseException, trace: Any, **_: Any) -> list[str]:
    """Show the sentence of an error that eosin raises on purpose, without its traceback."""
    sentence = f"error: {error}"
    print(sentence, file=sys.stderr)
    return [sentence]


def png(figure: Any) -> bytes:
    """A figure as a PNG."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()


def write_notebook(lesson: Lesson, path: Path, *, force: bool = False) -> Path:
    """Write a lesson as a Jupyter notebook, complete or not at all; returns the path.

    Texts become Markdown cells; code and figures code cells; each exercise a cell to write in,
    whose verdict appears when it is run. force: replace a lesson that is there, with its answers.
    Raises UserError where the file is there and not force, or is not a lesson.
    """
    if path.suffix != ".ipynb":
        raise UserError(f"{path} must end in .ipynb, as Jupyter notebooks do")
    if path.exists() and not (force and _is_lesson(path)):
        raise UserError(f"{path} already exists and may contain answers; name another file")
    text = json.dumps(notebook_of(lesson), ensure_ascii=False, indent=1) + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text, "utf-8")
    return path


def _is_lesson(path: Path) -> bool:
    try:
        return _OPENING in str(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def notebook_of(lesson: Lesson) -> dict[str, Any]:
    """A lesson in Jupyter's format, version 4.5, without outputs."""
    from eosin.guide.terminal import load

    exercises = iter(exercises_of(lesson.number, lesson.path.parent))
    cells = [
        _markdown(
            f"*Lesson {lesson.number} {_OPENING}. Run the cells from top to bottom "
            "(Run, Run All Cells). Sliders do not move in Jupyter: change the number after "
            f"`value=` and run the cells below again. With sliders: `eosin learn {lesson.number}`.*"
        )
    ]
    # This runs the setup cell, as marimo itself does.
    for cell in load(lesson).app._cell_manager.cell_data():
        code = cell.code.strip()
        prose = _prose(code)
        if cell.name != "setup" and prose is not None:
            cells.append(_markdown(prose))
        elif match := _ASKS.search(code):
            cells += _asked(next(exercises), match[1])
        elif re.match(r"\s*tell\(", code):
            continue  # the cell of the answer shows the verdict
        elif code:
            cells.append(_code(code, hidden=cell.config.hide_code))
    for k, made in enumerate(cells):
        made["id"] = f"{lesson.name.replace('_', '-')}-{k:03d}"[-64:]
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _prose(code: str) -> str | None:
    """The text of a cell with only ``mo.md("...")``, or None."""
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return None
    match body:
        case [
            ast.Expr(
                ast.Call(
                    func=ast.Attribute(value=ast.Name("mo"), attr="md"),
                    args=[ast.Constant(value=str(text))],
                )
            )
        ]:
            import inspect

            return inspect.cleandoc(text)
    return None


def _asked(exercise: Exercise, name: str) -> list[dict[str, Any]]:
    """The question, and a cell for the answer that shows the verdict when it runs."""
    number = name.removeprefix("answer_")
    variable = {"1": "first", "2": "second", "3": "third"}.get(number, f"exercise_{number}")
    text = exercise.question
    if isinstance(exercise, Choice):
        text += "\n\n" + "\n".join(f"- `{option}`" for option in exercise.options)
    if isinstance(exercise, Code):
        # A cell magic would be Jupyter's way, but then the cell would not be plain Python.
        quoted = exercise.starter.replace("\\", "\\\\").replace("'''", "\\'\\'\\'")
        answer = f"{name} = '''\n{quoted}\n'''"
    else:
        answer = f'{name} = ""'
    return [_markdown(text), _code(f"{answer}\n\ntell({variable}, {name})", hidden=False)]


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def _code(text: str, *, hidden: bool) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"jupyter": {"source_hidden": True}} if hidden else {},
        "outputs": [],
        "source": text,
    }
