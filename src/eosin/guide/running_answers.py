"""A reader's code, run in a process of its own so that nothing it does can reach the lesson.

The parent and the child (trial.py) talk through files in a temporary folder: pipes would keep the
parent waiting for whatever the answer starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eosin.errors import FailureError

#: A machine under load may take long to start Python and to import; that is not the reader's time.
START_S = 90.0
_STEP_S = 0.01


@dataclass(frozen=True)
class Found:
    """The value of one expression, or why there is none."""

    value: Any = None
    problem: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of an answer: a problem of the whole, or one found value an expression."""

    found: tuple[Found, ...] = ()
    problem: str = ""
    printed: str = ""


def run_answer(
    code: str, expressions: Sequence[str], *, given: str = "", limit_s: float = 5.0
) -> Outcome:
    """Run the code in a fresh namespace and evaluate the expressions after it.

    given: Python that runs first and is not counted in the time. Nothing that the code does
    raises here: syntax and other errors, endless loops, exits and crashes become sentences.
    Raises FailureError only where a process cannot be started or ``given`` itself fails.
    """
    # The reader's code may leave files that cannot be removed.
    with tempfile.TemporaryDirectory(prefix="eosin-answer-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        task = {"code": code, "expressions": list(expressions), "given": given, "limit_s": limit_s}
        (folder / "task.json").write_text(json.dumps(task), "utf-8")
        code_of_exit = _run(folder, limit_s)
        began = (folder / "ready").exists()
        try:
            left = json.loads((folder / "outcome.json").read_text("utf-8"))
            if not began:
                raise FailureError(f"the exercise itself does not run: {left['given']}")
            found = tuple(Found(_value(f["value"]), str(f["problem"])) for f in left["found"])
            if left["problem"] or len(found) == len(expressions):
                return Outcome(found, str(left["problem"]), str(left["printed"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # There is no outcome, or the answer wrote its own.
            left = None
        if not began and code_of_exit is not None:
            raise FailureError(
                f"Python could not be started to run the answer (exit code {code_of_exit}); "
                "check the answer again, or start the lesson anew"
            )
        return Outcome(problem=_without_outcome(folder, code_of_exit, limit_s))


def _without_outcome(folder: Path, code_of_exit: int | None, limit_s: float) -> str:
    stuck = folder / "stuck"
    said = stuck.read_text("utf-8", "replace") if stuck.is_file() else ""
    if code_of_exit is None or said.strip():
        where = [
            part.split(",")[0].strip()
            for part in said.split('File "<answer>", line ')[1:]
            for part in [part.split(" in ")[0]]
        ]
        line = f" It was at line {where[0]} of your code." if where and where[0].isdigit() else ""
        return (
            f"Your code was not done after {limit_s:g} seconds and was stopped: a loop may have "
            f"no end.{line}"
        )
    if not (folder / "ready").exists():
        return "Python took too long to start; check the answer again."
    return (
        f"Your code ended Python (exit code {code_of_exit}) before it could be tested: leave out "
        "calls such as `exit()`."
    )


def _run(folder: Path, limit_s: float) -> int | None:
    """Start the child and wait; its exit code, or None where it was stopped."""
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    process = subprocess.Popen(
        # -P: a file that the reader saved beside the lesson cannot stand in for a library.
        [sys.executable, "-P", "-X", "utf8", "-m", "eosin.guide.trial", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=os.environ | quiet,
        start_new_session=True,
    )
    try:
        end, ready = time.monotonic() + START_S, False
        while process.poll() is None and time.monotonic() < end:
            if not ready and (folder / "ready").exists():
                # The child stops itself at the limit and says where; this is for when it cannot.
                ready, end = True, time.monotonic() + limit_s + 3.0
            time.sleep(_STEP_S)
        return process.poll()
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the child and everything it started in its group."""
    if hasattr(os, "killpg"):
        # The group may have ended by itself.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _value(packed: Any) -> Any:
    """What trial.packed() packed."""
    kind: str
    value: Any
    kind, value = packed or ("none", None)
    if kind == "array":
        return np.asarray([float(each) for each in value["values"]]).reshape(value["shape"])
    if kind == "list":
        return [_value(each) for each in value]
    if kind == "dict":
        return {_value(key): _value(each) for key, each in value}
    if kind == "float":
        return float(value)
    if kind == "dots":
        return Ellipsis
    if kind == "other":
        return Other(value)
    return value


@dataclass(frozen=True)
class Other:
    """A value that no exercise expects, with the words for it."""

    words: str

    def __repr__(self) -> str:
        return self.words
