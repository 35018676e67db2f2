"""The line to one tracker: a bounded queue, a thread that empties it, a process behind it.

Nothing here waits for a tracker but `close`, and that has a time limit. Whatever goes wrong becomes
one sentence in ``trouble``, and the line is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from eosin.tracking.worker import environment

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much a tracker may hold back before it is dropped.

    waiting: messages in the queue; first_s: until it is open (it imports a large library and may
    create a database); call_s: a call; bytes_per_s: what a file's transfer must reach on top of
    that; end_s: at the end of a finished run, without its files; stop_s: of a stopped one.
    """

    waiting: int = 2000
    first_s: float = 180.0
    call_s: float = 75.0
    bytes_per_s: float = 2e6
    end_s: float = 90.0
    stop_s: float = 10.0


class Channel:
    """The line to one tracker.

    name: of the tracker; answered: called in the thread after each call that succeeded, with the
    message and the answer; skip: asked in the thread before each call, True leaves it out; command:
    the process to start instead of the tracker's own.
    """

    def __init__(
        self,
        name: str,
        *,
        limits: Limits | None = None,
        answered: Callable[[Message, Message], None] = lambda message, answer: None,
        skip: Callable[[Message], bool] = lambda message: False,
        command: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.limits = limits or Limits()
        self.trouble = self._late = ""
        self._answered, self._skip = answered, skip
        self._command = command or [sys.executable, "-m", "eosin.tracking.worker", name]
        self._queue: queue.Queue[Message | None] = queue.Queue(self.limits.waiting)
        self._process: subprocess.Popen[str] | None = None
        self._stderr: IO[bytes] | None = None
        self._cut = threading.Event()
        # A daemon: a tracker that hangs must not hold up the end of the program.
        self._thread = threading.Thread(target=self._work, name=f"track-{name}", daemon=True)
        self._thread.start()

    def send(self, call: str, **arguments: Any) -> None:
        """Queue a call; returns at once, whatever becomes of it."""
        if self._cut.is_set():
            return
        try:
            self._queue.put_nowait({"call": call, "with": arguments})
        except queue.Full:
            self.cut(f"it does not keep up ({self.limits.waiting} messages are waiting)")

    def close(self, *, wait_s: float) -> None:
        """Wait until all is sent, for so long at most; a process that hangs is then ended."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(wait_s)
        if self._thread.is_alive():
            self.cut(f"it did not finish within {wait_s:.0f} s")

    def cut(self, why: str) -> None:
        """Drop the tracker: the first reason is kept, its process is ended.

        Does nothing where all has been sent already.
        """
        if not self._thread.is_alive():
            return
        if not self._cut.is_set():
            self.trouble = self.trouble or why
            self._cut.set()
        if self._process is not None:
            _kill(self._process)
        # The thread may wait for a message.
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)

    # In the thread

    def _work(self) -> None:
        try:
            while (message := self._queue.get()) is not None and not self._cut.is_set():
                if self._skip(message):
                    continue
                answer = self._ask(message)
                if "error" in answer:
                    self.cut(str(answer["error"]))
                    return
                self._answered(message, answer.get("ok", {}))
        except Exception as error:
            # A full disk, a process that cannot be started, an answer that is not JSON.
            self.cut(f"{type(error).__name__}: {error}")
        finally:
            self._end()

    def _ask(self, message: Message) -> Message:
        first = self._process is None
        process = self._process or self._start()
        if self._cut.is_set():
            return {"error": self.trouble}
        limit = self._limit(message, first)
        watch = threading.Timer(limit, self._overdue, (str(message["call"]), limit))
        watch.daemon = True
        watch.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(message, ensure_ascii=True, default=str) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            watch.cancel()
        if line:
            answer: Message = json.loads(line)
            return answer
        return {"error": self._late or self._why_it_ended(process)}

    def _limit(self, message: Message, first: bool) -> float:
        limit = self.limits.first_s if first else self.limits.call_s
        with contextlib.suppress(OSError, KeyError):
            limit += os.path.getsize(message["with"]["path"]) / self.limits.bytes_per_s
        return limit

    def _overdue(self, call: str, limit: float) -> None:
        self._late = f"no answer within {limit:.0f} s (to {call!r})"
        if self._process is not None:
            _kill(self._process)

    def _start(self) -> subprocess.Popen[str]:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in _end)
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            env=environment(os.environ),
            # Ctrl-C is for the training, which then tells the tracker how the run ended.
            start_new_session=True,
        )
        return self._process

    def _why_it_ended(self, process: subprocess.Popen[str]) -> str:
        """Why the process ended: the last line it printed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        text = ""
        if self._stderr is not None:
            self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - 4000))
            lines = self._stderr.read().decode("utf-8", "replace").split("\n")
            text = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its process ended ({text[:300] or f'exit code {process.returncode}'})"

    def _end(self) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                assert process.stdin is not None
                process.stdin.close()
            if not self._cut.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(self.limits.stop_s)
            _kill(process)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if self._stderr is not None:
            self._stderr.close()


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and those it started."""
    if process.poll() is not None:
        return
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
