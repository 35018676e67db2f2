"""Several worker processes on one search: started, listened to, replaced when killed, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from eosin import errors
from eosin.cores import usable_cores
from eosin.errors import EosinError, FailureError, StoppedError
from eosin.search.trials import again

#: Workers that may die in a row without having said that they stand.
_MOST_DEAF = 3


class _Worker:
    """A process and what it says."""

    def __init__(self, name: str, folder: Path, store: Path, threads: int) -> None:
        self.name = name
        self.ready = False
        self.error: dict[str, Any] = {}
        #: What it says that is no message of ours: kept for the sentence of a sudden end.
        self.tail: deque[str] = deque(maxlen=5)
        self.news: deque[str] = deque()
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "eosin.search.worker",
                str(folder),
                str(store),
                str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._heard(line.strip())

    def _heard(self, line: str) -> None:
        try:
            facts = json.loads(line)
        except ValueError:
            facts = None
        if not isinstance(facts, dict):
            self.tail.append(line)
            return
        self.ready = self.ready or "ready" in facts
        if "said" in facts:
            self.news.append(f"{self.name}: {facts['said']}")
        if "error" in facts:
            self.error = facts


def threads_each(workers: int) -> int:
    """Threads of a worker, so that all together use the usable cores once.

    >>> threads_each(10_000)
    1
    """
    return max(1, usable_cores()[0] // workers)


def run_workers(
    folder: Path, store: Path, workers: int, said: Callable[[str], None] = lambda text: None
) -> None:
    """Let so many processes work until no trial is left.

    A worker that is killed is replaced, and its trial taken up from its checkpoint. Raises
    StoppedError at Ctrl-C, when every worker has saved its state, and the error of a worker that
    would meet all.
    """
    running: list[_Worker] = []
    deaf = 0
    names = iter(range(1, sys.maxsize))

    def begin() -> None:
        running.append(_Worker(f"worker {next(names)}", folder, store, threads_each(workers)))

    with _asked_to_stop(said) as asked:
        try:
            for _ in range(workers):
                begin()
            told = False
            while running:
                if asked() and not told:
                    told = True
                    _terminate(running)
                for worker in list(running):
                    _pass_on(worker, said)
                    code = worker.process.poll()
                    if code is None:
                        continue
                    worker.listener.join()
                    _pass_on(worker, said)
                    running.remove(worker)
                    if code == 0 or asked():
                        continue
                    if worker.error:
                        raise _raised(worker.error)
                    how = f"by signal {-code}" if code < 0 else f"with code {code}"
                    deaf = 0 if worker.ready else deaf + 1
                    if deaf >= _MOST_DEAF or code > 0:
                        last = " | ".join(worker.tail) or "it said nothing"
                        raise FailureError(f"{worker.name} ended {how}: {last}; {again(folder)}")
                    said(f"{worker.name} ended {how}; another takes up its trial")
                    begin()
                time.sleep(0.02)
        finally:
            _terminate(running)
            for worker in running:
                worker.process.wait()
                worker.listener.join()
        if asked():
            raise StoppedError(f"stopped; every worker has saved its state; {again(folder)}")


def _pass_on(worker: _Worker, said: Callable[[str], None]) -> None:
    while worker.news:
        said(worker.news.popleft())


def _raised(facts: dict[str, Any]) -> EosinError:
    """The error that a worker named, of its own kind where that takes one sentence."""
    kind = getattr(errors, str(facts.get("kind")), FailureError)
    if not (isinstance(kind, type) and issubclass(kind, EosinError)):
        kind = FailureError
    if kind is errors.MissingExtraError:
        return errors.MissingExtraError("search", "eosin search")
    return kind(str(facts["error"]))


def _terminate(running: list[_Worker]) -> None:
    for worker in running:
        with contextlib.suppress(ProcessLookupError):
            worker.process.terminate()


@contextlib.contextmanager
def _asked_to_stop(said: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or a stop signal has come; the second Ctrl-C ends at once."""
    state = {"asked": False}
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def ask(number: int, frame: object) -> None:
        if state["asked"]:
            raise KeyboardInterrupt
        state["asked"] = True
        said("stopping all workers after their step (once more to stop at once) ...")

    before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: state["asked"]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
