"""Locks of the operating system: who holds one is alive, and a killed process holds none.

A heartbeat in the database would say the same later and less surely: it needs a waiting time, and
a machine that was suspended looks dead.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path


class Lock:
    """One locked file; released when it is closed or its process ends, however that ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Lock | None:
        """The lock of this name, or None while another process holds it.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first = Lock.take(Path(folder) / "a")
        ...     second = Lock.take(Path(folder) / "a")
        ...     first.release()
        ...     third = Lock.take(Path(folder) / "a")
        ...     third.release()
        >>> first is None, second is None, third is None
        (False, True, False)
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


@contextlib.contextmanager
def waiting_for(path: Path) -> Iterator[None]:
    """Hold a lock for a block; wait for it as long as another process holds it."""
    while (lock := Lock.take(path)) is None:
        time.sleep(0.02)
    try:
        yield
    finally:
        lock.release()


def _lock(descriptor: int) -> None:
    """Take the lock at once or raise BlockingIOError (PermissionError on Windows)."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
