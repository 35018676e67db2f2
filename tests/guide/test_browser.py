"""The server behind a lesson in the browser; what its pages show is in test_path.py."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from eosin.guide.browser import served
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
        assert "token" not in address
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


def test_a_lesson_for_others_needs_a_token(lesson: Lesson) -> None:
    import http.cookiejar
    import urllib.request

    with served(lesson, host="0.0.0.0") as (address, process):
        base, _, query = address.partition("/?")
        assert "access_token=" in query
        command = Path(f"/proc/{process.pid}/cmdline")
        token = query.partition("access_token=")[2]
        if command.is_file():
            assert token not in command.read_text("utf-8")
        for given, ends in ((f"{base}/", "login"), (f"{base}/?{query}", base)):
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}),
                urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
            )
            with opener.open(given, timeout=60) as page:
                assert ("login" in page.url) is (ends == "login")
