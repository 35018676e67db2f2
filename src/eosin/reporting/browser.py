"""Chromium, found on this machine: it prints a page to PDF without a window."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from eosin.errors import FailureError, UserError
from eosin.files import whole

#: Names to look for on the path; $EOSIN_CHROMIUM goes first.
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
VARIABLE = "EOSIN_CHROMIUM"
TIMEOUT_S = 120.0


def find_browser() -> Path:
    """The program that prints; raises UserError that says what to install where there is none."""
    named = os.environ.get(VARIABLE, "")
    if named:
        found = shutil.which(named)
        if found is None:
            raise UserError(f"{VARIABLE} is {named}, which is no program that can be run")
        return Path(found)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise UserError(
        "a PDF needs Chromium, and none was found; install it (Debian and Ubuntu: apt install "
        f"chromium; macOS and Windows: Chrome), or name the program in {VARIABLE}. Any browser "
        "can also print report.html"
    )


def print_pdf(
    page: Path, pdf: Path, *, browser: Path | None = None, timeout_s: float = TIMEOUT_S
) -> Path:
    """Print an HTML file to a PDF, whole or not at all; returns its path.

    page: the file; pdf: what to write; browser: by default ``find_browser()``.
    Raises UserError where there is no browser, FailureError where it fails or takes too long.
    """
    program = browser or find_browser()
    # Its own profile: a browser that the user has open is neither asked nor disturbed.
    with tempfile.TemporaryDirectory(prefix="eosin-print-") as folder:
        printed = Path(folder) / "page.pdf"
        command = [
            str(program),
            "--headless",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--no-first-run",
            "--no-default-browser-check",
            "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={printed}",
            page.resolve().as_uri(),
        ]
        # Chromium refuses to sandbox the administrator, which containers run as.
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        said = _run(command, timeout_s)
        if not printed.is_file() or printed.stat().st_size == 0:
            last = said.strip().splitlines()[-1:] or ["it said nothing"]
            raise FailureError(f"{program} printed no PDF of {page}: {last[0]}")
        with whole(pdf) as temporary:
            shutil.copyfile(printed, temporary)
    return pdf


def _run(command: list[str], timeout_s: float) -> str:
    """Run to the end; what it says on stderr. The browser's helpers end with it."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
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
