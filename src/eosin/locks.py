"""Locks of the operating system: whoever has one is alive, and a killed process has none.

A heartbeat would detect the same later and less surely: it needs a waiting time, and a machine that
was suspended looks dead.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from eosin.errors import BusyError
from eosin.kinds import LOCK


class Lock:
    """One locked file or folder; released when it is closed or its process ends, in any way."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, *, create: bool = True) -> Lock | None:
        """The lock of this file or folder, or None while another process has it.

        create: make the file if it is missing. Raises OSError where it cannot be opened.

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
        if path.is_dir():
            if sys.platform == "win32":  # a folder cannot be opened there
                return cls(-1)
            descriptor = os.open(path, os.O_RDONLY)
        else:
            if create:
                path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def write(self, text: str) -> None:
        """Replace the content of the locked file."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


@contextlib.contextmanager
def waiting_for(path: Path) -> Iterator[None]:
    """Hold a lock for a block; wait for it as long as another process has it."""
    while (lock := Lock.take(path)) is None:
        time.sleep(0.02)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def working_on(folder: str | os.PathLike[str], task: str) -> Iterator[None]:
    """Be the only process that changes a folder; raises BusyError where another one does.

    task: what this process does, such as "eosin evaluate", for the message of others.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, working_on(folder, "eosin train"):
    ...     (Path(folder) / LOCK).exists()
    True
    """
    path = Path(folder) / LOCK
    lock = Lock.take(path)
    if lock is None:
        raise BusyError(f"{folder} is in use{_user_of(path)}; wait until it has finished")
    try:
        since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        lock.write(json.dumps({"task": task, "process": os.getpid(), "since": since}) + "\n")
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.write("")
        lock.release()


def _user_of(path: Path) -> str:
    try:
        user = json.loads(path.read_text("utf-8"))
        return f" by {user['task']} (process {user['process']}, since {user['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return " by another process"


def _lock(descriptor: int) -> None:
    """Take the lock at once or raise BlockingIOError (PermissionError on Windows)."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
