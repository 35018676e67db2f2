"""A lesson in the browser: marimo's server on this machine, until Ctrl-C."""

from __future__ import annotations

import ast
import contextlib
import html
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

#: A busy machine may take long to import marimo.
START_S = 90.0


def require_marimo() -> None:
    """Raises MissingExtraError with the line to install where marimo is missing."""
    if importlib.util.find_spec("marimo") is None:
        raise MissingExtraError("guide", "a lesson")


def require_parts(lesson: Lesson) -> None:
    """Raises MissingExtraError where an extra that the lesson itself asks for is missing.

    Read from its ``with needing(extra, purpose):`` and the imports inside; none of it runs.
    """
    for node in ast.walk(ast.parse(lesson.path.read_text("utf-8"))):
        match node:
            case ast.With(
                items=[ast.withitem(ast.Call(ast.Name("needing"), [extra, purpose]))], body=body
            ):
                names = [
                    each.name
                    for line in body
                    if isinstance(line, ast.Import)
                    for each in line.names
                ]
                if any(importlib.util.find_spec(name) is None for name in names):
                    raise MissingExtraError(ast.literal_eval(extra), ast.literal_eval(purpose))


@contextmanager
def served(
    lesson: Lesson, *, port: int = 0, host: str = "127.0.0.1", edit: bool = False
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the lesson's server; gives its address and process, and ends it in any case.

    The address contains a token: a lesson runs code as its reader, and without the token any
    other user of the machine could. port: 0 picks a free one. edit: the reader may change the
    lesson, on a copy in a temporary folder. Raises UserError where the port is taken, FailureError
    where marimo does not start.
    """
    require_marimo()
    chosen = _free_port(host, port)
    with tempfile.TemporaryDirectory(prefix="eosin-lesson-", ignore_cleanup_errors=True) as folder:
        path, log = lesson.path, Path(folder) / "server.log"
        if edit:
            path = Path(folder) / lesson.path.name
            shutil.copyfile(lesson.path, path)
            shutil.copyfile(lesson.path.parent / "house.css", path.parent / "house.css")
        token = secrets.token_urlsafe(16)
        # Not on the command line, which every user of this machine can read.
        secret = _private(Path(folder) / "token", token)
        command = [sys.executable, "-m", "marimo", "--yes", "edit" if edit else "run", str(path)]
        command += ["--headless", "--no-sandbox", "--host", host, "--port", str(chosen)]
        command += ["--token", "--token-password-file", str(secret)]
        command += ["--skip-update-check"] if edit else ["--include-code"]
        with open(log, "wb") as lines:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=subprocess.STDOUT,
                # The lesson's files are removed with this folder, even where marimo is killed.
                env={**os.environ, "TMPDIR": folder, "TEMP": folder, "TMP": folder},
                # Ctrl-C reaches this program, which then ends the server in order.
                start_new_session=True,
            )
        try:
            base = f"http://{f'[{host}]' if ':' in host else host}:{chosen}"
            _wait(base, process, log)
            code = "" if edit else "show-code=true&"
            yield f"{base}/?{code}access_token={token}", process
        finally:
            _end(process)


def open_lesson(
    lesson: Lesson, *, port: int = 0, host: str = "127.0.0.1", edit: bool = False, show: bool = True
) -> Iterator[str]:
    """Serve a lesson until Ctrl-C or the server's end; gives the address once it answers.

    A stop signal and a closed terminal end it like Ctrl-C, so that no server is left behind.
    """
    with (
        _stoppable(),
        served(lesson, port=port, host=host, edit=edit) as (address, process),
        tempfile.TemporaryDirectory(prefix="eosin-lesson-", ignore_cleanup_errors=True) as folder,
    ):
        yield address
        if show:
            # The browser's command line would show the token; this file only its user can read.
            page = f'<meta http-equiv="refresh" content="0; url={html.escape(address)}">\n'
            webbrowser.open(_private(Path(folder) / "lesson.html", page).as_uri())
        with contextlib.suppress(KeyboardInterrupt):
            code = process.wait()
            if code not in (0, -signal.SIGINT, -signal.SIGTERM):
                raise FailureError(f"the lesson's server stopped unexpectedly (exit code {code})")


def _private(path: Path, text: str) -> Path:
    """Write a file that no other user of the machine can read; returns its path."""
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")
    return path


@contextmanager
def _stoppable() -> Iterator[None]:
    def stop(number: int, _: object) -> None:
        raise KeyboardInterrupt

    # Ctrl-C too: a shell starts background jobs with it ignored.
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
                f"port {port} of {host} cannot be used ({error.strerror or error}); choose another "
                "with --port, or omit --port to use a free one"
            ) from None
        return int(trial.getsockname()[1])


def _wait(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    # A proxy must not be asked for this machine's own page.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None and time.monotonic() < end:
        try:
            opener.open(base + "/health", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    lines = log.read_text("utf-8", "replace").strip().splitlines() or ["it printed no reason"]
    raise FailureError(f"marimo did not start: {lines[-1]}")


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
