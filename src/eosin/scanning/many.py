"""Slides one after the other: the next is opened while one is answered, and none stops the rest."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from eosin.errors import DiskError, EosinError, StoppedError
from eosin.runtime.predictor import Predictor
from eosin.scanning.dicom import left_out
from eosin.scanning.job import Job, Log, Prepared
from eosin.scanning.slides import answers_of, forget_failed, patches_written, set_failed, taken
from eosin.scanning.writing import read_result, write

#: (name of the slide, patches done, patches in all)
Show = Callable[[str, int, int], None]


class Row(NamedTuple):
    """How a slide ended."""

    name: str
    slide: Path
    #: "scanned", "skipped" (finished before), "elsewhere" (another process has it), "failed".
    status: str
    error: str = ""
    seconds: float = 0.0
    patches: int = 0
    resumed: int = 0
    #: Files that could not be written beside the others, and why.
    left_out: str = ""

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return self._asdict() | {"slide": str(self.slide), "seconds": round(self.seconds, 2)}


def scan_many(
    jobs: Mapping[str, Job],
    predictor: Predictor,
    out: Path,
    *,
    show: Show = lambda name, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Row]:
    """Scan slides into a folder; what failed is a row with its cause.

    jobs: by the name of their results. A slide of which the same results are there is skipped; one
    that another process works on is left to it, and looked at again in the end. Raises StoppedError
    where ``stop`` says so, and DiskError where the results have no room: both concern all slides.
    """
    rows: dict[str, Row] = {}
    for _ in range(2):
        left = [name for name in jobs if name not in rows or rows[name].status == "elsewhere"]
        with ThreadPoolExecutor(1, thread_name_prefix="eosin-open") as pool:
            work = _Work(jobs, predictor, out, pool, show, stop)
            with contextlib.closing(work.opened(left)) as opened:
                for name, ready in opened:
                    rows[name] = work.one(name, ready)
    return [rows[name] for name in jobs]


Ready = Row | tuple[Future[Prepared], str]


@dataclass(frozen=True)
class _Work:
    """What every slide needs."""

    jobs: Mapping[str, Job]
    predictor: Predictor
    out: Path
    pool: ThreadPoolExecutor
    show: Show
    stop: Callable[[], bool]

    def opened(self, names: list[str]) -> Generator[tuple[str, Ready]]:
        """Each slide while it is this process's, with the next one being opened meanwhile."""
        waiting: deque[tuple[str, Ready, contextlib.ExitStack]] = deque()
        left = iter(names)
        try:
            while True:
                while len(waiting) < 2 and (name := next(left, None)) is not None:
                    stack = contextlib.ExitStack()
                    waiting.append((name, self._begin(name, stack), stack))
                if not waiting:
                    return
                yield waiting[0][:2]
                waiting.popleft()[2].close()
        finally:
            for _, ready, stack in waiting:
                if not isinstance(ready, Row):
                    with contextlib.suppress(Exception):
                        ready[0].result().slide.close()
                stack.close()

    def _begin(self, name: str, stack: contextlib.ExitStack) -> Ready:
        job = self.jobs[name]
        if not stack.enter_context(taken(self.out, name)):
            return Row(name, job.path, "elsewhere")
        try:
            key = job.key()
        except OSError as error:
            return Row(name, job.path, "failed", f"{job.path} cannot be read: {error.strerror}")
        if count := patches_written(self.out, name, key):
            return Row(name, job.path, "skipped", patches=count - 1)
        return self.pool.submit(job.prepare), key

    def one(self, name: str, ready: Ready) -> Row:
        """The end of a slide; what failed is kept with its cause."""
        path, begun = self.jobs[name].path, time.monotonic()
        if isinstance(ready, Row):
            row = ready
        else:
            try:
                row = self._scanned(name, path, *ready)
                row = row._replace(seconds=time.monotonic() - begun)
            except (StoppedError, DiskError):
                raise
            except (EosinError, MemoryError, OSError) as error:
                row = Row(name, path, "failed", str(error) or type(error).__name__)
            except Exception as error:
                # A fault of eosin or of a library: the other slides are scanned all the same.
                if os.environ.get("EOSIN_DEBUG"):
                    raise
                cause = f"internal error, please report it: {type(error).__name__}: {error}"
                row = Row(name, path, "failed", f"{cause} (EOSIN_DEBUG=1 shows where)")
        if row.status == "failed":
            set_failed(self.out, name, path, row.error)
        elif row.status != "elsewhere":
            forget_failed(self.out, name)
        return row

    def _scanned(self, name: str, path: Path, opening: Future[Prepared], key: str) -> Row:
        prepared, file = opening.result(), answers_of(self.out, name)

        def progress(done: int, total: int) -> None:
            self.show(name, done, total)

        with contextlib.closing(prepared.slide):
            log = Log(file, key, progress, self.stop)
            scan, resumed = self.jobs[name].answer(prepared, self.predictor, log)
            written = read_result(write(scan, self.out, name, force=True))
        file.unlink(missing_ok=True)
        return Row(
            name, path, "scanned", patches=len(scan.grid), resumed=resumed,
            left_out=left_out(written.facts.notes),
        )  # fmt: skip
