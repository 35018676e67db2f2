"""Answers on the disk while a slide is scanned, so that a scan goes on where it was interrupted."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from eosin.disks import writing
from eosin.scanning.scan import Floats

#: The first line: what the answers are of. Anything else is thrown away.
_HEAD = b"eosin answers 1 "


class Answers:
    """Rows of numbers in the order of the plan, in a file that only grows.

    key: digest of the slide, the grid and everything else that the answers depend on. Rows of
    another key are no answers to this question. Raises DiskError where the disk refuses it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Answers(Path(folder) / "a", "k", 2) as answers:
    ...         answers.append(np.array([[0.25, 0.75]], np.float32))
    ...     with Answers(Path(folder) / "a", "k", 2) as answers:
    ...         len(answers), answers.read().tolist()
    (1, [[0.25, 0.75]])
    """

    def __init__(self, path: Path, key: str, width: int) -> None:
        self.path, self.width = path, width
        head = _HEAD + key.encode() + b"\n"
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            try:
                known = os.pread(self._file, len(head), 0) == head
                self._start = len(head)
                rows = (os.fstat(self._file).st_size - len(head)) // (4 * width) if known else 0
                self._keep(rows, head)
            except BaseException:
                os.close(self._file)
                raise

    def __len__(self) -> int:
        return self._rows

    def keep(self, rows: int) -> None:
        """Forget all rows but the first."""
        with writing(self.path):
            self._keep(min(rows, self._rows))

    def append(self, rows: Floats) -> None:
        """Add rows: float32 [n, width]."""
        data = np.ascontiguousarray(rows, "<f4").tobytes()
        with writing(self.path):
            at = self._start + 4 * self.width * self._rows
            while data:
                done = os.pwrite(self._file, data, at)
                at, data = at + done, data[done:]
        self._rows += len(rows)

    def read(self) -> Floats:
        """All rows: float32 [n, width]."""
        data = os.pread(self._file, 4 * self.width * self._rows, self._start)
        return np.frombuffer(data, "<f4").reshape(-1, self.width).astype(np.float32)

    def _keep(self, rows: int, head: bytes = b"") -> None:
        if not rows and head:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, head, 0)
        os.ftruncate(self._file, self._start + 4 * self.width * rows)
        self._rows = rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)
