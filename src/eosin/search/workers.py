"""Equal processes on one search, each `python -m eosin.search.workers FOLDER STORE PARENT`.

All take trials from the same journal. A process prints its progress, and where it fails a JSON
object as its last line. It ends, with its state saved, after the step in which it is asked to
(SIGTERM) or in which the process that started it has ended. One that is killed is replaced.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eosin import errors
from eosin.cores import usable_cores
from eosin.errors import EosinError, FailureError, StoppedError
from eosin.folders import temporary_folder
from eosin.memory import keep_freed_memory
from eosin.search.plan import Search
from eosin.search.storage import opened
from eosin.search.trials import work
from eosin.stopping import asked_to_stop
from eosin.studies.study import Note
from eosin.training.loop import Reporter
from eosin.training.session import Session

#: Processes that may be killed in a row before they print anything.
_MOST_SILENT = 3


class _Worker:
    """A process and what it prints."""

    def __init__(self, number: int, search: Search, threads: int, logs: Path) -> None:
        self.name = f"worker {number}"
        self.last = "it printed nothing"
        self.error: EosinError | None = None
        log = logs / str(number)
        words = [str(search.folder), str(search.study.store.path), str(os.getpid())]
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "eosin.search.workers", *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={"OMP_NUM_THREADS": str(threads), **os.environ},
                start_new_session=True,
            )
        self._log = open(log, encoding="utf-8", errors="replace")  # noqa: SIM115

    def pass_on(self, note: Note) -> None:
        """Show the lines that are new."""
        for line in filter(None, map(str.strip, iter(self._log.readline, ""))):
            self.last = line
            if line.startswith('{"error"'):
                self.error = _error(line)
            else:
                note(f"{self.name}: {line}")

    def end(self) -> None:
        """Ask the process to stop after its step, and wait for it."""
        self.process.terminate()
        self.process.wait()
        self._log.close()


def _error(line: str) -> EosinError | None:
    """The error that a worker printed, of its own kind where that takes one sentence."""
    with suppress(ValueError, KeyError):
        result = json.loads(line)
        kind = getattr(errors, str(result.get("kind")), FailureError)
        if kind is errors.MissingExtraError:
            return errors.MissingExtraError("search", "eosin search")
        if kind is errors.DiskError:
            return errors.DiskError(str(result["error"]), again="")
        error: EosinError = kind(str(result["error"]))
        return error
    return None


def threads_each(workers: int) -> int:
    """Threads of a worker, so that all together use the cores of this process once.

    >>> threads_each(10_000)
    1
    """
    return max(1, usable_cores()[0] // workers)


def run_workers(search: Search, count: int) -> None:
    """Let so many processes work until no trial is left.

    A killed one is replaced, and its trial taken over from its checkpoint. Raises StoppedError at
    Ctrl-C, when every process has saved its state, and the error of one that would meet all.
    """
    again, note = search.study.again, search.study.note
    running: list[_Worker] = []
    started = silent = 0
    words = "stopping all workers after their step (once more to stop at once) ..."
    with asked_to_stop(lambda: note(words)) as asked, temporary_folder() as logs:
        try:
            missing = count
            while missing or running:
                for _ in range(missing):
                    started += 1
                    running.append(_Worker(started, search, threads_each(count), logs))
                missing = 0
                if asked():
                    break
                time.sleep(0.02)
                for worker in [each for each in running if each.process.poll() is not None]:
                    code = worker.process.returncode
                    worker.pass_on(note)
                    worker.end()
                    running.remove(worker)
                    if code == 0:
                        continue
                    if worker.error:
                        raise worker.error
                    how = f"by signal {-code}" if code < 0 else f"with code {code}"
                    silent = silent + 1 if worker.last == "it printed nothing" else 0
                    if code > 0 or silent >= _MOST_SILENT:
                        raise FailureError(
                            f"{worker.name} ended {how}: {worker.last}; resume with: {again}"
                        )
                    note(f"{worker.name} ended {how}; another one takes over its trial")
                    missing += 1
                for worker in running:
                    worker.pass_on(note)
        finally:
            for worker in running:
                worker.process.terminate()
            for worker in running:
                worker.end()
        if asked():
            raise StoppedError(f"stopped; every worker has saved its state; resume with: {again}")


def main(folder: str, store: str, parent: int) -> int:
    """Work until no trial is left; returns the exit code."""
    asked = {"stop": False}

    def ask(number: int, frame: object) -> None:
        asked["stop"] = True

    def stop() -> bool:
        return asked["stop"] or os.getppid() != parent

    def show(text: str) -> None:
        print(text, flush=True)

    @contextmanager
    def watch(session: Session) -> Iterator[Reporter]:
        yield Reporter(warned=lambda text: show(f"{session.recipe.name}: {text}"), stop=stop)

    signal.signal(signal.SIGTERM, ask)
    # Ctrl-C reaches the whole group of processes; the process that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    try:
        again = f"eosin search --resume {folder}"
        search = Search.reopen(folder, store, again=again, watch=watch, note=show)
        work(search, opened(search.folder, search.plan), stop)
    except EosinError as error:
        show(json.dumps({"error": str(error), "kind": type(error).__name__}))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
