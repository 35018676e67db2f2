"""Chromium, found on this machine: it prints a page to PDF without a window."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from eosin.errors import FailureError, UserError
from eosin.folders import temporary_folder, whole_file

#: Names to look for on the path; $EOSIN_CHROMIUM goes first.
NAMES = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge",
)  # fmt: skip
VARIABLE = "EOSIN_CHROMIUM"
TIMEOUT_S = 120.0
_NULL = subprocess.DEVNULL
_OPTIONS = (
    "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
    "--no-first-run", "--no-default-browser-check", "--no-pdf-header-footer",
)  # fmt: skip


def find_browser() -> Path:
    """The program that prints; raises UserError that says what to install where there is none."""
    if named := os.environ.get(VARIABLE):
        if program := shutil.which(named):
            return Path(program)
        raise UserError(f"{VARIABLE} is {named}, which is not a program that can be run")
    if program := next(filter(None, map(shutil.which, NAMES)), None):
        return Path(program)
    raise UserError(
        "a PDF needs Chromium, which is not installed; install it (Debian and Ubuntu: apt install "
        f"chromium; macOS and Windows: Chrome), or name the program in {VARIABLE}. Any browser "
        "can also print report.html"
    )


def print_pdf(
    page: Path, pdf: Path, *, browser: Path | None = None, timeout_s: float = TIMEOUT_S
) -> Path:
    """Print an HTML file to a PDF, complete or not at all; returns its path.

    page: the file; pdf: what to write; browser: by default ``find_browser()``.
    Raises UserError where there is no browser, FailureError where it fails or takes too long.
    """
    program = browser or find_browser()
    # Its own profile: a browser that the user has open is neither asked nor disturbed.
    with temporary_folder() as folder:
        printed = folder / "page.pdf"
        command = [
            str(program),
            *_OPTIONS,
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={printed}",
            page.resolve().as_uri(),
        ]
        # Chromium refuses to sandbox the administrator, which containers run as.
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        errors = _run(command, timeout_s)
        if not printed.is_file() or printed.stat().st_size == 0:
            last = errors.strip().splitlines()[-1:] or ["it gave no reason"]
            raise FailureError(f"{program} printed no PDF of {page}: {last[0]}")
        with whole_file(pdf) as temporary:
            shutil.copyfile(printed, temporary)
    return pdf


def _run(command: list[str], timeout_s: float) -> str:
    """Run to the end; returns what it writes to stderr. The browser's helpers end with it."""
    try:
        process = subprocess.Popen(
            command, stdin=_NULL, stdout=_NULL, stderr=subprocess.PIPE, text=True,
            errors="replace", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise FailureError(f"{command[0]} cannot be started ({error})") from None
    try:
        return process.communicate(timeout=timeout_s)[1]
    except subprocess.TimeoutExpired:
        raise FailureError(f"{command[0]} was not done after {timeout_s:.0f} s") from None
    finally:
        if process.poll() is None:
            # The browser leads a group of its own, which holds nothing else.
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.communicate()
