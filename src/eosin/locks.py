"""Locks of the operating system: whoever has one is alive, and a killed process has none.

A heartbeat would detect the same later and less surely: it needs a waiting time, and a machine that
was suspended looks dead.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from eosin.disks import writing
from eosin.errors import BusyError
from eosin.kinds import LOCK
from eosin.texts import from_json, read_text

#: What file systems without locks answer; nobody is refused there.
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
_SWEEP_AFTER_S = 60
#: What this process works on: process, thread, folder.
_held: set[tuple[int, int, str]] = set()


class Lock:
    """One locked file; released when it is closed or its process ends, in any way."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, *, create: bool = True) -> Lock | None:
        """The lock of this file, or None while another process has it.

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
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
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

    task: what this process does, such as "eosin evaluate", for the message of others. Work inside
    this block may use the folder again in the same way.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, working_on(folder, "eosin train"):
    ...     (Path(folder) / LOCK).exists()
    True
    """
    path, key = Path(folder) / LOCK, _key(folder)
    if key in _held:
        yield
        return
    with writing(folder):
        lock = Lock.take(path)
    if lock is None:
        raise _busy(folder)
    _held.add(key)
    try:
        since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        with contextlib.suppress(OSError):  # for the message of others only
            lock.write(json.dumps({"task": task, "process": os.getpid(), "since": since}) + "\n")
        yield
    finally:
        _held.discard(key)
        with contextlib.suppress(OSError):
            lock.write("")
        lock.release()


def refuse_in_use(folder: str | os.PathLike[str]) -> None:
    """Raise BusyError while another process or thread works on a folder."""
    if _key(folder) in _held:
        return
    with contextlib.suppress(OSError):
        if (lock := Lock.take(Path(folder) / LOCK, create=False)) is None:
            raise _busy(folder)
        lock.release()


def claim(path: Path, process: int) -> Lock | None:
    """The lock of a temporary file or folder that a dead process left; None if it may be alive.

    A number may be that of a younger process: after a minute the lock alone decides.
    """
    try:
        if _running(process) and time.time() - path.stat().st_mtime < _SWEEP_AFTER_S:
            return None
        return Lock.take(path / LOCK) if path.is_dir() else Lock.take(path, create=False)
    except OSError:
        return None


def _running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def _key(folder: str | os.PathLike[str]) -> tuple[int, int, str]:
    return os.getpid(), threading.get_ident(), os.path.realpath(folder)


def _busy(folder: str | os.PathLike[str]) -> BusyError:
    who = "another process"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        user = from_json(read_text(Path(folder) / LOCK))
        who = f"{user['task']} (process {user['process']}, since {user['since']})"
    return BusyError(f"{folder} is in use by {who}; wait until it has finished")


def _lock(descriptor: int) -> None:
    """Take the lock at once or raise BlockingIOError (PermissionError on Windows)."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
