"""The process that runs a reader's answer: ``python -m eosin.guide.trial FOLDER``.

It reads task.json, writes the file ``ready`` when its imports are done, and leaves outcome.json.
Errors become sentences here, where the objects still are.
"""

from __future__ import annotations

import builtins
import contextlib
import difflib
import faulthandler
import io
import json
import os
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ANSWER = "<answer>"
_MOST_PRINTED = 4000
_MOST_NUMBERS = 200_000
_GIB = 1 << 30


def main(folder: Path) -> None:
    """Run the task of a folder; used by running_answers.py."""
    task = json.loads((folder / "task.json").read_text("utf-8"))
    space: dict[str, Any] = {"__name__": "answer", "__builtins__": builtins}
    try:
        exec(compile(task["setup"], "<setup>", "exec"), space)
    except Exception as error:
        _leave(folder, {"setup": f"{type(error).__name__}: {error}"})
        return
    _limit_memory()
    printed = _Printed()
    with open(folder / "stuck", "w", encoding="utf-8") as stuck:
        faulthandler.dump_traceback_later(task["limit_s"], exit=True, file=stuck)
        (folder / "ready").touch()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            outcome = _tried(task["code"], task["expressions"], space)
        faulthandler.cancel_dump_traceback_later()
    _leave(folder, outcome | {"printed": printed.getvalue()})


def _tried(code: str, expressions: list[str], space: dict[str, Any]) -> dict[str, Any]:
    before = set(space)
    try:
        exec(compile(code, ANSWER, "exec"), space)
    except BaseException as error:
        return {"problem": in_words(error, code), "values": []}
    mine = [name for name in space if name not in before]
    values: list[dict[str, Any]] = []
    for expression in expressions:
        try:
            value = eval(compile(expression, "<test>", "eval"), space)
            values.append({"problem": "", "value": packed(value)})
        except BaseException as error:
            values.append({"problem": _while_testing(error, expression, mine), "value": None})
            break
    # The first failure is shown; what was not reached has no value.
    values += [{"problem": "", "value": None}] * (len(expressions) - len(values))
    return {"problem": "", "values": values}


def _while_testing(error: BaseException, expression: str, mine: list[str]) -> str:
    """A sentence for an error in a test."""
    line = _line(error)
    if isinstance(error, NameError) and line == 0:
        name = error.name or ""
        close = difflib.get_close_matches(name, mine, n=1)
        other = f" It defines `{close[0]}`: is that the one?" if close else ""
        return f"Your code does not define `{name}`.{other}"
    if isinstance(error, TypeError) and line == 0 and "argument" in str(error):
        return f"`{expression}` cannot be called: `{_text(error)}`."
    return f"`{expression}` stops{f' at line {line} of your code' if line else ''}: {_what(error)}"


def in_words(error: BaseException, code: str) -> str:
    """A sentence for an error in the reader's code, with its line.

    >>> in_words(NameError("name 'x' is not defined", name="x"), "")
    'Your code stops: `x` has no value there; check its spelling where you set it.'
    """
    if isinstance(error, SyntaxError):
        lines = code.splitlines()
        line = error.lineno or 0
        text = lines[line - 1].replace("`", "'").strip()[:60] if 0 < line <= len(lines) else ""
        shown = f" (`{text}`)" if text else ""
        message = (error.msg or "it is not Python").rstrip(".")
        return f"Line {line} is not Python yet{shown}: {message}."
    line = _line(error)
    return f"Your code stops{f' at line {line}' if line else ''}: {_what(error)}"


#: The first kind that fits tells a reader more than the error's own text.
_PLAIN: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((RecursionError,), "a function calls itself without end."),
    ((ZeroDivisionError,), "it divides by zero."),
    ((MemoryError,), "it needs more memory than an answer may use (2 GB)."),
    ((EOFError,), "it waits for somebody to type; remove calls such as `input()`."),
    ((SystemExit, KeyboardInterrupt), "it ends Python; remove calls such as `exit()`."),
    ((KeyError,), "the key `{text}` does not exist."),
    ((ImportError,), "`{text}`. No further import is needed here."),
)


def _what(error: BaseException) -> str:
    """An error in plain words, without its traceback."""
    text = _text(error)
    if isinstance(error, UnboundLocalError | NameError):
        name = getattr(error, "name", None) or text.partition("'")[2].partition("'")[0]
        return f"`{name}` has no value there; check its spelling where you set it."
    for kinds, sentence in _PLAIN:
        if isinstance(error, kinds):
            return sentence.format(text=text)
    if isinstance(error, ValueError) and (shapes := _shapes_that_do_not_fit(text)):
        return shapes
    if "ellipsis" in text.lower():
        return "it still has a `...` where your code should be."
    return f"{type(error).__name__}: `{text}`." if text else f"{type(error).__name__}."


def _shapes_that_do_not_fit(text: str) -> str:
    """NumPy's two most common errors in plain words, or "".

    >>> _shapes_that_do_not_fit("operands could not be broadcast together with shapes (3,) (2,) ")
    'the shapes (3,) and (2,) do not fit together.'
    """
    if match := re.search(r"broadcast together with shapes (\(.*?\)) (\(.*?\))", text):
        return f"the shapes {match[1]} and {match[2]} do not fit together."
    if match := re.search(r"matmul.*\(size (\d+) is different from (\d+)\)", text):
        return (
            "a matrix product `@` needs as many columns on its left as rows on its right; here "
            f"they are {match[2]} and {match[1]}."
        )
    return ""


def _text(error: BaseException) -> str:
    try:
        return " ".join(str(error).replace("`", "'").split())[:200].rstrip(".")
    except BaseException:  # a class of the reader's own may fail even here
        return ""


def _line(error: BaseException) -> int:
    """The last line of the reader's code that the error passed through, or 0."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == ANSWER and frame.lineno]
    return lines[-1] if lines else 0


def packed(value: Any) -> list[Any]:
    """A value as JSON that running_answers unpacks: [kind, content]."""
    import numpy as np

    if value is Ellipsis:
        return ["dots", None]
    if value is None or isinstance(value, bool | str):
        return ["plain", value]
    if isinstance(value, np.generic):
        return packed(value.item())
    if isinstance(value, int):
        return ["plain", value]
    if isinstance(value, float):
        return ["float", repr(value)]
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf" or value.size > _MOST_NUMBERS:
            return ["other", f"an array of {value.dtype} of shape {value.shape}"]
        numbers = [repr(float(each)) for each in value.ravel()]
        return ["array", {"shape": list(value.shape), "values": numbers}]
    if isinstance(value, list | tuple) and len(value) <= _MOST_NUMBERS:
        return ["list", [packed(each) for each in value]]
    if isinstance(value, Mapping):
        return ["dict", [[packed(key), packed(each)] for key, each in value.items()]]
    if callable(value):
        return ["other", f"the function {getattr(value, '__name__', '')} itself, not its result"]
    return ["other", f"something of type {type(value).__name__}"]


class _Printed(io.StringIO):
    """Keeps the beginning of the printed text and drops the rest."""

    def write(self, text: str) -> int:
        room = _MOST_PRINTED - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)


def _limit_memory() -> None:
    """A list that grows without end must not stop the machine."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    for what, size in (("RLIMIT_DATA", 2 * _GIB), ("RLIMIT_FSIZE", _GIB // 64), ("RLIMIT_CORE", 0)):
        if hasattr(resource, what):
            kind = getattr(resource, what)
            hard = resource.getrlimit(kind)[1]
            size = size if hard == resource.RLIM_INFINITY else min(size, hard)
            # A system without one of these limits refuses it.
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (size, hard))


def _leave(folder: Path, outcome: dict[str, Any]) -> None:
    part = folder / "outcome.part"
    part.write_text(json.dumps(outcome), "utf-8")
    os.replace(part, folder / "outcome.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
