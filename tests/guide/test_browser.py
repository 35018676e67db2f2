"""The server behind a lesson in the browser; what its pages show is in test_path.py."""

from __future__ import annotations

import http.cookiejar
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from eosin.guide.browser import open_lesson, served
from eosin.guide.catalog import Lesson, find_lesson

pytest.importorskip("marimo")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
#: A busy machine may be slow; nothing here measures time.
PATIENCE_MS = 180_000
#: A lesson with files of its own.
SMALL = """
import marimo
app = marimo.App()

@app.cell
def _():
    import marimo as mo
    from eosin.guide.notebook import workplace
    folder = workplace()
    (folder / "a.npy").write_text("")
    mo.md(f"the folder holds {len(list(folder.iterdir()))} file")
    return

if __name__ == "__main__":
    app.run()
"""


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return find_lesson(1, Path(__file__).parents[2] / "lessons")


def test_the_server_ends_with_the_lesson(lesson: Lesson) -> None:
    with served(lesson) as (address, process):
        assert address.startswith("http://127.0.0.1:")
        assert process.poll() is None
    assert process.poll() is not None


@pytest.mark.parametrize("edit", [False, True])
def test_nothing_is_left_of_a_lesson_that_ended(
    chromium: Path,
    lesson: Lesson,
    edit: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    (temporary := tmp_path / "temporary").mkdir()
    (tmp_path / "house.css").touch()
    (tmp_path / "99_small.py").write_text(SMALL, "utf-8")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    small = replace(lesson, path=tmp_path / "99_small.py")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with served(small, edit=edit) as (address, _), playwright.sync_playwright() as running:
        program = running.chromium.launch(executable_path=str(chromium), args=arguments)
        tab = program.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        tab.goto(address)
        if edit:  # there, what is run is the reader's choice
            tab.get_by_test_id("cell-editor").first.wait_for()
            tab.keyboard.press("Control+Shift+r")
        tab.get_by_text("the folder holds 1 file").first.wait_for()
        assert list(temporary.glob("eosin-lesson-*/eosin-lesson-*/a.npy"))
        program.close()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "edit"), [("127.0.0.1", False), ("127.0.0.1", True), ("0.0.0.0", False)]
)
def test_only_an_address_with_the_token_is_served(lesson: Lesson, host: str, edit: bool) -> None:
    with served(lesson, host=host, edit=edit) as (address, process):
        base, _, query = address.partition("/?")
        token = query.partition("access_token=")[2]
        assert len(token) >= 20
        command = Path(f"/proc/{process.pid}/cmdline")
        if command.is_file():
            assert token not in command.read_text("utf-8")
        wrong = query.replace(token, "x" * len(token))
        for asked, login in ((f"{base}/", True), (f"{base}/?{wrong}", True), (address, False)):
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}),
                urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
            )
            with opener.open(asked, timeout=60) as page:
                assert ("/auth/login" in page.url) is login
            if login:
                run = urllib.request.Request(f"{base}/api/kernel/run", b"{}", method="POST")
                with pytest.raises(urllib.error.HTTPError, match="401"):
                    opener.open(run, timeout=60)


def test_two_servers_have_two_tokens(lesson: Lesson) -> None:
    with served(lesson) as (one, _), served(lesson) as (two, _):
        assert one.rpartition("=")[2] != two.rpartition("=")[2]


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_the_browser_opens_a_file_that_only_its_user_can_read(
    lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, str, int]] = []

    def browse(address: str) -> None:
        path = Path(urllib.request.url2pathname(address.removeprefix("file://")))
        opened.append((address, path.read_text("utf-8"), path.stat().st_mode & 0o777))
        server.terminate()

    @contextmanager
    def serve(*_: object, **__: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
        yield "http://127.0.0.1:9/?show-code=true&access_token=secret", server

    server = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setattr("webbrowser.open", browse)
    monkeypatch.setattr("eosin.guide.browser.served", serve)
    addresses = list(open_lesson(lesson))
    assert server.stdin is not None
    server.stdin.close()
    [(address, page, mode)] = opened
    assert "secret" in addresses[0]
    assert "secret" not in address
    assert "?show-code=true&amp;access_token=secret" in page
    assert mode == 0o600
    assert not Path(address.removeprefix("file://")).exists()
