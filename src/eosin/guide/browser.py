"""A lesson in the browser: marimo's server on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eosin.errors import FailureError, MissingExtraError, UserError
from eosin.guide.catalog import Lesson

LOCAL = ("127.0.0.1", "localhost", "::1")
#: A busy machine may take long to import marimo.
START_S = 90.0


def require_marimo() -> None:
    """Raises MissingExtraError with the line to install where marimo is missing."""
    if importlib.util.find_spec("marimo") is None:
        raise MissingExtraError("guide", "a lesson")


@contextmanager
def served(
    lesson: Lesson, *, port: int = 0, host: str = "127.0.0.1", edit: bool = False
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the lesson's server; gives its address and process, and ends it in any case.

    port: 0 picks a free one. Another host than this machine gets a token in the address. edit: the
    reader may change the lesson, on a copy in a temporary folder. Raises UserError where the port
    is taken, FailureError where marimo does not start.
    """
    require_marimo()
    chosen = _free_port(host, port)
    token = "" if host in LOCAL else secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory(prefix="eosin-lesson-", ignore_cleanup_errors=True) as place:
        path, log = lesson.path, Path(place) / "server.log"
        if edit:
            path = Path(place) / lesson.path.name
            shutil.copyfile(lesson.path, path)
            shutil.copyfile(lesson.path.parent / "house.css", path.parent / "house.css")
        command = [sys.executable, "-m", "marimo", "--yes", "edit" if edit else "run", str(path)]
        command += ["--headless", "--no-sandbox", "--host", host, "--port", str(chosen)]
        command += ["--skip-update-check"] if edit else ["--include-code"]
        if token:
            secret = Path(place) / "token"
            # Not on the command line, which everyone on this machine can read.
            secret.touch(mode=0o600)
            secret.write_text(token, "utf-8")
            command += ["--token", "--token-password-file", str(secret)]
        else:
            command += ["--no-token"]
        with open(log, "wb") as said:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                # What the lesson leaves goes with this folder, even where marimo is killed.
                env={**os.environ, "TMPDIR": place, "TEMP": place, "TMP": place},
                # Ctrl-C reaches this program, which then ends the server in order.
                start_new_session=True,
            )
        try:
            shown = f"[{host}]" if ":" in host else host
            base = f"http://{shown}:{chosen}"
            _wait(base, process, log)
            query = [
                *(["show-code=true"] if not edit else []),
                *([f"access_token={token}"] * bool(token)),
            ]
            yield base + ("/?" + "&".join(query) if query else "/"), process
        finally:
            _end(process)


def open_lesson(
    lesson: Lesson, *, port: int = 0, host: str = "127.0.0.1", edit: bool = False, show: bool = True
) -> Iterator[str]:
    """Serve a lesson until Ctrl-C or the server's end; gives the address once it answers.

    A stop signal and a closed terminal end it like Ctrl-C, so that no server is left behind.
    """
    with _stoppable(), served(lesson, port=port, host=host, edit=edit) as (address, process):
        yield address
        if show:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            code = process.wait()
            if code not in (0, -signal.SIGINT, -signal.SIGTERM):
                raise FailureError(f"the lesson's server ended by itself (exit code {code})")


@contextmanager
def _stoppable() -> Iterator[None]:
    def stop(number: int, _: object) -> None:
        raise KeyboardInterrupt

    # Ctrl-C too: a job in the background is born deaf to it.
    kinds = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    # Python takes signals in its main thread only.
    here = threading.current_thread() is threading.main_thread()
    before = [(kind, signal.signal(kind, stop)) for kind in kinds if kind is not None and here]
    try:
        yield
    finally:
        for kind, handler in before:
            signal.signal(kind, handler)


def _free_port(host: str, port: int) -> int:
    """The port to use; raises UserError where it is taken or the host is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        if os.name == "posix":
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise UserError(
                f"port {port} of {host} cannot be used ({error.strerror or error}); name another "
                "with --port, or leave it out for a free one"
            ) from None
        return int(trial.getsockname()[1])


def _wait(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    # No proxy stands between this machine and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None and time.monotonic() < end:
        try:
            opener.open(base + "/health", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    said = log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise FailureError(f"marimo did not start: {said[0]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, and make it end where it does not."""
    group = hasattr(os, "killpg")
    for name, patience_s in (("SIGINT", 3.0), ("SIGTERM", 3.0), ("SIGKILL", 10.0)):
        if process.poll() is not None:
            break
        number = getattr(signal, name, signal.SIGTERM)
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(process.pid, number)
            else:
                process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
