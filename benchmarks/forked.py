"""Commands of eosin in forked processes: they start in milliseconds, and may be killed.

The parent imports torch once and never runs a command itself, so a child has no threads but its
own. What a killed child leaves is judged by the scripts that use this.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

#: A network and a training that take a second.
TINY = [
    "--set", "arguments.widths=[4,8]", "--set", "arguments.blocks=[0,1]", "--set", "batch_size=16",
    "--set", "epochs=3", "--set", "precision=fp32", "--set", "compile=off",
]  # fmt: skip


@dataclass
class Child:
    """One command in a process of its own."""

    pid: int
    words: list[str]
    log: Path
    started: float = field(default_factory=time.monotonic)

    def wait(self) -> int:
        """Its exit code, negative where a signal ended it."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def kill_after(self, seconds: float) -> int:
        """Wait so long and kill it; its exit code, -9 where it was killed."""
        left = self.started + seconds - time.monotonic()
        if left > 0:
            time.sleep(left)
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def said(self) -> str:
        """What it wrote on stdout and stderr."""
        return self.log.read_text("utf-8", "replace")


def preload() -> None:
    """Import what the commands need, so that no child spends its time on that."""
    import cv2
    import polars
    import torch

    import eosin.cli.main as program

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    program.register()
    for name in ("pack", "train", "evaluate", "export", "report", "scan"):
        importlib.import_module(f"eosin.cli.{name}")
    # What the commands import on the way; half of a tiny training otherwise.
    for name in (
        "torch._dynamo", "torch.export", "torch.onnx", "scipy.spatial", "scipy.optimize",
        "matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg",
        "rich.progress", "rich.table", "sklearn.linear_model", "sklearn.neighbors", "jinja2",
        "onnx", "onnxscript", "onnxruntime", "tifffile", "imagecodecs", "shapely.geometry",
    ):  # fmt: skip
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import eosin.data.pack
    import eosin.exporting.export
    import eosin.inference.assess
    import eosin.reporting.report
    import eosin.training.loop
    import eosin.training.session

    # After every step: a training is then resumed from anywhere.
    eosin.training.loop.CHECKPOINT_SECONDS = 0.0
    assert polars


def start(words: list[Any], log: Path, *, before: Callable[[], None] | None = None) -> Child:
    """Run `eosin WORDS` in a forked process; before: what the child does first."""
    command = [str(word) for word in words]
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return Child(pid, command, log)
    code = 99
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.argv = ["eosin", *command]

        from eosin.cli.main import main

        if before is not None:
            before()
        try:
            main(command)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def run(words: list[Any], log: Path) -> float:
    """Run a command to its end; the seconds it took. Raises RuntimeError where it fails."""
    child = start(words, log)
    code = child.wait()
    if code:
        raise RuntimeError(f"eosin {' '.join(child.words)} ended with {code}: {child.said()}")
    return time.monotonic() - child.started


def ask(function: Callable[[], Any]) -> Any:
    """What a function returns, called in a forked process, so that this one stays without threads.

    Raises AssertionError with the reason where it raises anything.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            try:
                answer = {"value": function()}
            except BaseException as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            os.write(writing, json.dumps(answer).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        text = file.read()
    os.waitpid(pid, 0)
    answer = json.loads(text or '{"error": "the process died"}')
    if "error" in answer:
        raise AssertionError(answer["error"])
    return answer["value"]


def die_before(number: int) -> Callable[[], None]:
    """What lets a child kill itself before its number-th change of a name in the file system."""

    def arm() -> None:
        import eosin.swaps as swaps

        count = 0

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **options)

            return call

        for name in ("rename", "replace", "unlink", "remove", "rmdir", "mkdir"):
            setattr(os, name, counted(getattr(os, name)))
        swaps._exchange = counted(swaps._exchange)

    return arm


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*.partial"))
