"""Slides one after the other: the next is opened while one is answered, and none stops the rest."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from eosin.errors import DiskError, EosinError, StoppedError
from eosin.runtime.predictor import Predictor
from eosin.scanning.job import Asked, Prepared, answered, prepare, result_key
from eosin.scanning.slides import (
    answers_of,
    forget_failed,
    key_written,
    set_failed,
    taken,
)
from eosin.scanning.writing import write

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

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return self._asdict() | {"slide": str(self.slide), "seconds": round(self.seconds, 2)}


def scan_many(
    slides: Mapping[str, Path],
    asked: Asked,
    predictor: Predictor,
    out: Path,
    *,
    scales: Mapping[str, float] | None = None,
    show: Show = lambda name, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Row]:
    """Scan slides into a folder; what failed is a row with its cause.

    slides: name -> file; scales: name -> micrometers a pixel, for slides whose file does not tell.
    A slide of which the same results are there is skipped; one that another process works on is
    left to it, and looked at again in the end. Raises StoppedError where ``stop`` says so, and
    DiskError where the results have no room: both concern all slides.
    """
    rows: dict[str, Row] = {}
    with ThreadPoolExecutor(1, thread_name_prefix="eosin-open") as pool:
        for _ in range(2):
            left = [name for name in slides if name not in rows or rows[name].status == "elsewhere"]
            with contextlib.closing(_opened(left, slides, asked, out, scales or {}, pool)) as opened:
                for name, ready in opened:
                    rows[name] = _one(name, slides[name], ready, asked, predictor, out, show, stop)
    return [rows[name] for name in slides]


Ready = Row | tuple["Future[Prepared]", str]


def _opened(
    names: list[str],
    slides: Mapping[str, Path],
    asked: Asked,
    out: Path,
    scales: Mapping[str, float],
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[str, Ready]]:
    """Each slide while it is this process's, with the next one being opened meanwhile."""
    waiting: list[tuple[str, Ready, contextlib.ExitStack]] = []
    try:
        for name in [*names, None]:
            if name is not None:
                stack = contextlib.ExitStack()
                waiting.append((name, _begin(name, slides[name], asked, out, scales, pool, stack), stack))
            if len(waiting) > 1 or (name is None and waiting):
                first, ready, held = waiting[0]
                yield first, ready
                waiting.pop(0)
                held.close()
    finally:
        for _, ready, held in waiting:
            if not isinstance(ready, Row):
                with contextlib.suppress(Exception):
                    ready[0].result().slide.close()
            held.close()


def _begin(
    name: str,
    path: Path,
    asked: Asked,
    out: Path,
    scales: Mapping[str, float],
    pool: ThreadPoolExecutor,
    stack: contextlib.ExitStack,
) -> Ready:
    mpp = scales.get(name)
    if not stack.enter_context(taken(out, name)):
        return Row(name, path, "elsewhere")
    try:
        key = result_key(path, asked, mpp)
    except OSError as error:
        return Row(name, path, "failed", f"{path} cannot be read: {error.strerror}")
    if key_written(out, name) == key:
        return Row(name, path, "skipped")
    return pool.submit(prepare, path, asked, mpp=mpp), key


def _one(
    name: str,
    path: Path,
    ready: Ready,
    asked: Asked,
    predictor: Predictor,
    out: Path,
    show: Show,
    stop: Callable[[], bool],
) -> Row:
    begun = time.monotonic()
    row = ready if isinstance(ready, Row) else None
    if row is None:
        assert not isinstance(ready, Row)
        try:
            row = _scan(name, path, *ready, asked, predictor, out, show, stop)
            row = row._replace(seconds=time.monotonic() - begun)
        except (StoppedError, DiskError):
            raise
        except (EosinError, MemoryError, OSError) as error:
            row = Row(name, path, "failed", str(error) or type(error).__name__)
    if row.status == "failed":
        set_failed(out, name, path, row.error)
    elif row.status != "elsewhere":
        forget_failed(out, name)
    return row


def _scan(
    name: str,
    path: Path,
    opening: Future[Prepared],
    key: str,
    asked: Asked,
    predictor: Predictor,
    out: Path,
    show: Show,
    stop: Callable[[], bool],
) -> Row:
    prepared = opening.result()
    try:
        log = answers_of(out, name)

        def progress(done: int, total: int) -> None:
            show(name, done, total)

        scan, resumed = answered(
            prepared, asked, predictor, log, key=key, progress=progress, stop=stop
        )
        write(scan, out, name)
        log.unlink(missing_ok=True)
        return Row(name, path, "scanned", patches=len(scan.grid), resumed=resumed)
    finally:
        prepared.slide.close()
