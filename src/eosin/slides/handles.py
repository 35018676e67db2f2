"""What a library opens for a slide: one handle for each thread, none after a fork or closing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from eosin.errors import SlideError

Handle = TypeVar("Handle")


class Handles(Generic[Handle]):
    """Opens a handle for each thread that asks, and closes all of them together.

    open_one: makes a handle. close_one: closes it. name: of the slide, for the error.
    """

    def __init__(
        self, name: str, open_one: Callable[[], Handle], close_one: Callable[[Handle], Any]
    ) -> None:
        self.name = name
        self._open_one, self._close_one = open_one, close_one
        self._closed = False
        #: Those of a parent process stay alive untouched: closing them here would be a use.
        self._left: list[Any] = []
        self._start()

    def _start(self) -> None:
        self._own = threading.local()
        self._all: list[Handle] = []
        self._lock = threading.Lock()
        self._process = os.getpid()

    def get(self) -> Handle:
        """This thread's handle; raises SlideError after closing."""
        if self._process != os.getpid():
            self._left.append((self._own, self._all))
            self._start()
        if self._closed:
            raise SlideError(f"{self.name} is closed; open it again")
        handle: Handle | None = getattr(self._own, "handle", None)
        if handle is None:
            handle = self._open_one()
            with self._lock:
                self._all.append(handle)
            self._own.handle = handle
        return handle

    def close(self) -> None:
        """Close all handles, once no thread reads any more; a second call does nothing."""
        self._closed = True
        if self._process != os.getpid():
            return
        with self._lock:
            handles, self._all = self._all, []
            self._own = threading.local()
        for handle in handles:
            self._close_one(handle)


class File:
    """A file that threads share: reads name their place, so none moves another's.

    It is closed when the last reader has let go of it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._number = -1
        self._number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._number).st_size

    def read(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset``; fewer where the file ends."""
        if hasattr(os, "pread"):
            return os.pread(self._number, count, offset)
        with self._lock:  # Windows
            os.lseek(self._number, offset, os.SEEK_SET)
            return os.read(self._number, count)

    def __del__(self) -> None:
        if self._number >= 0:
            os.close(self._number)
