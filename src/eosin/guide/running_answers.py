"""A reader's code, run in a separate process so that nothing it does can reach the lesson.

The parent and the child (trial.py) exchange files in a temporary folder: with pipes the parent
would wait for every process that the answer starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
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

#: A busy machine takes long to start Python and to import; that is not the reader's time.
START_S = 90.0
_STEP_S = 0.01


@dataclass(frozen=True)
class Value:
    """The value of one expression, or why it has none."""

    value: Any = None
    problem: str = ""


@dataclass(frozen=True)
class Outcome:
    """The result of an answer: one value for each expression, or the problem of all of it."""

    values: tuple[Value, ...] = ()
    problem: str = ""
    printed: str = ""


def run_answer(
    code: str, expressions: Sequence[str], *, setup: str = "", limit_s: float = 5.0
) -> Outcome:
    """Run the code in a fresh namespace and evaluate the expressions after it.

    setup: Python that runs first and is not counted in the time. Nothing that the code does
    raises here: syntax and other errors, endless loops, exits and crashes become sentences.
    Raises FailureError only where a process cannot be started or ``setup`` itself fails.
    """
    # The reader's code may leave files that cannot be removed.
    with tempfile.TemporaryDirectory(prefix="eosin-answer-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        task = {"code": code, "expressions": list(expressions), "setup": setup, "limit_s": limit_s}
        (folder / "task.json").write_text(json.dumps(task), "utf-8")
        exit_code = _run(folder, limit_s)
        ready = (folder / "ready").exists()
        # Without an outcome, or with one that the answer wrote itself, the exit code tells.
        with contextlib.suppress(
            OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError
        ):
            result = json.loads((folder / "outcome.json").read_text("utf-8"))
            if not ready:
                raise FailureError(f"the exercise itself does not run: {result['setup']}")
            values = tuple(Value(_value(v["value"]), str(v["problem"])) for v in result["values"])
            if result["problem"] or len(values) == len(expressions):
                return Outcome(values, str(result["problem"]), str(result["printed"]))
        if not ready and exit_code is not None:
            raise FailureError(
                f"Python could not be started to run the answer (exit code {exit_code}); "
                "check the answer again, or restart the lesson"
            )
        return Outcome(problem=_without_outcome(folder, exit_code, limit_s))


def _without_outcome(folder: Path, exit_code: int | None, limit_s: float) -> str:
    stuck = folder / "stuck"
    trace = stuck.read_text("utf-8", "replace") if stuck.is_file() else ""
    if exit_code is None or trace.strip():
        line = re.search(r'File "<answer>", line (\d+)', trace)
        where = f" It was at line {line[1]} of your code." if line else ""
        return f"Your code did not end in {limit_s:g} seconds; a loop may have no end.{where}"
    if not (folder / "ready").exists():
        return "Python took too long to start; check the answer again."
    return (
        f"Your code ended Python (exit code {exit_code}) before the tests: remove calls such as "
        "`exit()`."
    )


def _run(folder: Path, limit_s: float) -> int | None:
    """Start the child and wait; its exit code, or None where it was stopped."""
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    process = subprocess.Popen(
        # -P: a file that the reader saved beside the lesson cannot replace a library.
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
                # The child stops itself at the limit and reports the line; this is the last resort.
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
    """The value that trial.packed() packed."""
    kind: str
    value: Any
    kind, value = packed or ("none", None)
    if kind == "array":
        return np.asarray([float(each) for each in value["values"]]).reshape(value["shape"])
    if kind == "list":
        return [_value(each) for each in value]
    if kind == "dict":
        return {_value(key): _value(each) for key, each in value}
    if kind == "dots":
        return Ellipsis
    return {"float": float, "other": Other}.get(kind, lambda plain: plain)(value)


@dataclass(frozen=True)
class Other:
    """A value that no exercise expects, described in words."""

    words: str

    def __repr__(self) -> str:
        return self.words
