"""The parts of a lesson in its notebook: exercises with verdicts, and figures in our style."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eosin.guide.exercises import Choice, Code, Exercise

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

#: A drawing with more characters than this becomes a picture, which browsers draw faster.
_LARGEST_DRAWING = 400_000
_numbers = itertools.count(1)


class _Place(type(Path())):  # type: ignore[misc]  # the class of this system's paths
    """A path with weak references: its folder is removed with the last reference to it."""


def workplace() -> Path:
    """An empty folder for one lesson's files; keep it in a variable of the lesson.

    It is removed with that variable: when its cell runs again, when the page is closed, when the
    process ends. A stop signal then ends the process in order instead of at once.

    >>> folder = workplace()
    >>> path = Path(str(folder))
    >>> folder.is_dir(), (folder / "a.store").parent == folder
    (True, True)
    >>> del folder
    >>> path.exists()
    False
    """
    place = _Place(tempfile.mkdtemp(prefix="eosin-lesson-"))
    weakref.finalize(place, shutil.rmtree, str(place), ignore_errors=True)
    # Python takes signals in its main thread only; marimo's page runs lessons in others.
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            kind = getattr(signal, name, None)
            if kind is not None and signal.getsignal(kind) is signal.SIG_DFL:
                signal.signal(kind, lambda number, _: sys.exit(128 + number))
    return place


def ask(exercise: Exercise) -> Any:
    """The exercise as a marimo form; its ``.value`` is the answer, None until it is submitted.

    Assign it to a variable in one cell, and pass the variable's value to ``tell`` in the next.
    """
    import marimo as mo

    element: Any
    button, chosen = "Check my answer", None
    if isinstance(exercise, Code):
        element = mo.ui.code_editor(exercise.starter, language="python")
        button = "Run and check"
    elif isinstance(exercise, Choice):
        element = mo.ui.radio(list(exercise.options))
        chosen = _unchosen(exercise)
    else:
        unit = f" in {exercise.unit}" if exercise.unit else ""
        element = mo.ui.text(placeholder=f"a number{unit}")
    # The question is the form's label: an element's own stands beside it, too narrow on a phone.
    question = f'<div style="text-align: left">{mo.md(exercise.question).text}</div>'
    return element.form(
        label=question, submit_button_label=button, submit_button_tooltip="", validate=chosen
    )


def _unchosen(exercise: Choice) -> Callable[[Any], str | None]:
    """The form's message where nothing is chosen; without it the button would seem broken."""
    return lambda chosen: None if chosen else exercise.check(None).sentence


def tell(exercise: Exercise, answer: str | None) -> Any:
    """The verdict on an answer, as marimo shows it; empty before the first answer."""
    import marimo as mo

    if answer is None:
        return mo.md("")
    verdict = exercise.check(answer)
    parts = [
        ("**" + verdict.sentence.replace(" ", "** ", 1)) if verdict.passed else verdict.sentence
    ]
    if verdict.hint:
        parts.append(f"**Hint:** {verdict.hint}")
    if verdict.printed.strip():
        parts.append(f"Your code printed:\n\n{_fenced(verdict.printed)}")
    return mo.callout(mo.md("\n\n".join(parts)), kind="success" if verdict.passed else "warn")


def _fenced(text: str) -> str:
    return "````text\n" + text.replace("````", "'```").rstrip() + "\n````"


def house_look() -> None:
    """Show matplotlib figures as drawings that follow light and dark. Call it in the setup cell.

    In Jupyter, what only marimo can draw is shown as text instead.
    """
    from matplotlib.figure import Figure

    from eosin.guide.jupyter import in_jupyter, register

    show = _shown
    if in_jupyter():
        register()
        show = _shown_in_jupyter
    try:
        from marimo._output.formatting import formatter, opinionated_formatter
    except ImportError:  # another version of marimo: it shows figures its own way
        return
    for each in (formatter, opinionated_formatter):
        each(Figure)(show)


def _shown(figure: Any) -> tuple[Any, str]:
    return "text/html", drawing(figure)


def _shown_in_jupyter(figure: Any) -> tuple[Any, str]:
    from eosin.guide.jupyter import png

    return "text/html", _picture(png(figure), in_words(figure))


def drawing(figure: Figure, alt: str = "") -> str:
    """HTML of a figure: an inline SVG whose colors follow the page, or a PNG where that is large.

    alt: its content in words; by default its heading and the names of its axes.
    """
    from eosin.figures import canvas
    from eosin.reporting.inline import COLORS, for_html

    words = alt or in_words(figure)
    width_px = figure.get_figwidth() * 86
    with tempfile.TemporaryDirectory(prefix="eosin-figure-") as folder:
        text = canvas.save(figure, Path(folder) / "figure.svg").read_text("utf-8")
        html = str(for_html(text, f"drawing-{next(_numbers)}", alt=words))
        if len(html) > _LARGEST_DRAWING:
            picture = canvas.save(figure, Path(folder) / "figure.png").read_bytes()
            html = _picture(picture, words)
    fixed = {variable: color for color, variable in reversed(COLORS.items())}
    html = re.sub(
        r"var\((--[\w-]+)\)",
        lambda match: f"var({match[1]}, {fixed.get(match[1], 'sans-serif')})",
        html,
    )
    # A phone scrolls a wide figure, so that all figures have letters of one size.
    least_px = figure.get_figwidth() * 57
    style = f"max-width: {width_px:.0f}px; --least: {least_px:.0f}px"
    return f'<div class="eosin-figure" style="{style}">{html}</div>'


def _picture(data: bytes, words: str) -> str:
    import base64

    code = base64.b64encode(data).decode("ascii")
    return f'<img alt="{words}" src="data:image/png;base64,{code}" style="width: 100%" />'


def in_words(figure: Figure, *, axes: bool = True) -> str:
    """A figure in words: its heading and, with ``axes``, the names of its axes."""
    heading, size = "", None
    for each in figure.texts:
        text = " ".join(each.get_text().split())
        # A heading comes in lines; a new sentence starts with a capital letter or in another size.
        new = text[:1].isupper() or each.get_fontsize() != size
        stop = "." if new and heading and heading[-1] not in ".:,;?!" else ""
        heading, size = f"{heading}{stop} {text}", each.get_fontsize()
    words = [heading]
    for panel in figure.axes if axes else []:
        words += [panel.get_title(), panel.get_ylabel(), panel.get_xlabel()]
    clean = (" ".join(text.split()).rstrip(".") for text in words)
    return re.sub(r'[<>"&$\\]', "", ". ".join(dict.fromkeys(c for c in clean if c))) or "Figure"
