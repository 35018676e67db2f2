"""The process of one tracker: `python -m eosin.tracking.worker NAME`, a JSON line in, one out.

In a process of its own a tracker cannot slow the training, print between its lines, hold up its end
or take its Ctrl-C; and what it needs in the environment changes nothing for anyone else. It handles
requests in order. Where the sender ends without closing the run, the run is marked as stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from eosin.tracking.backend import Backend, Place
from eosin.tracking.names import SPECS

#: No messages to the makers of the trackers, no search for updates, no use of the accelerator.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
}
#: A server that does not answer is given up after seconds; the environment may ask for more.
PATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker, from that of the program."""
    return {**PATIENT, **inherited, **QUIET}


def serve(backend: Backend, requests: IO[str], answers: IO[str]) -> None:
    """Do what each line asks of the backend, and answer each with a line.

    A line is ``{"call": name, "with": {...}}``; the answer is ``{"ok": {...}}`` or, as the last one
    of all, ``{"error": sentence}``.
    """
    opened = ended = False
    for line in requests:
        message = json.loads(line)
        call = str(message["call"])
        try:
            reply = _called(backend, call, message["with"])
        except Exception as error:
            _answer(answers, {"error": one_line(error)})
            return
        opened |= call == "open"
        ended |= call in ("finished", "failed")
        _answer(answers, {"ok": reply})
    if opened and not ended:
        # Nobody reads an error anymore.
        with contextlib.suppress(Exception):
            backend.failed("the training was killed", True)


def one_line(error: BaseException) -> str:
    """An error of a tracker's library in one line.

    >>> one_line(ValueError("first line\\nsecond"))
    'ValueError: first line'
    """
    text = str(error).strip()
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:300]}".rstrip(": ")


def _answer(answers: IO[str], reply: Mapping[str, Any]) -> None:
    answers.write(json.dumps(reply, ensure_ascii=True) + "\n")
    answers.flush()


def _called(backend: Backend, call: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a method of the backend returns, as JSON has it; its paths arrive as text."""
    arguments |= {key: Path(arguments[key]) for key in ("run", "path") if key in arguments}
    if call == "open":
        return asdict(backend.open(Place(**arguments)))
    getattr(backend, call)(**arguments)
    return {}


def main() -> None:
    """Serve the tracker named on the command line until the sender closes the line."""
    # A tracker may print, ask questions or start programs that do: those get other files.
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(10)
    warnings.simplefilter("ignore")
    spec = SPECS[sys.argv[1]]
    try:
        backend: Backend = import_module(f"eosin.tracking.{spec.module}").Tracked()
    except Exception as error:
        requests.readline()
        _answer(answers, {"error": one_line(error)})
        return
    serve(backend, requests, answers)


if __name__ == "__main__":
    main()
