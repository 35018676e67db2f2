"""A lesson in a real browser: a slider moves a figure, and exercises are answered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def page(chromium: Path, lesson: Lesson) -> Iterator[Any]:
    """The lesson's page, all of it computed."""
    playwright = pytest.importorskip("playwright.sync_api")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with served(lesson) as (address, _), playwright.sync_playwright() as running:
        program = running.chromium.launch(executable_path=str(chromium), args=arguments)
        tab = program.new_page(viewport={"width": 1100, "height": 2000}, color_scheme="dark")
        tab.set_default_timeout(PATIENCE_MS)
        tab.asked = []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.goto(address)
        tab.get_by_role("heading", name="Summary").wait_for()
        tab.get_by_text("100,000 perceptrons").first.wait_for()
        tab.locator(".eosin-figure svg").nth(3).wait_for()
        yield tab
        program.close()


def heading(page: Any, figure: int) -> str:
    return str(page.locator(".eosin-figure svg").nth(figure).get_attribute("aria-label"))


def until(page: Any, holds: Callable[[], bool]) -> None:
    for _ in range(PATIENCE_MS // 200):
        if holds():
            return
        page.wait_for_timeout(200)
    raise AssertionError("it did not happen")


def test_nothing_is_asked_of_another_machine(page: Any) -> None:
    outside = [u for u in page.asked if not u.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert outside == []


def test_code_that_teaches_is_seen_and_the_rest_is_not(page: Any) -> None:
    shown = [cell.inner_text() for cell in page.locator(".tray .cm").all() if cell.is_visible()]
    assert any("evidence = patch @ weights + bias" in each for each in shown)
    assert not any("canvas(" in each or "exercises_of" in each for each in shown)


def test_figures_follow_the_dark_page(page: Any) -> None:
    color = page.evaluate(
        "getComputedStyle(document.querySelector('.eosin-figure svg')).getPropertyValue('--ink')"
    )
    assert color.strip() == "#e9e7ea"


def test_a_slider_moves_the_figure(page: Any) -> None:
    assert heading(page, 0).startswith("3 of the 8")
    knob = page.get_by_role("slider").nth(2)  # the weight of a dividing cell
    knob.focus()
    for _ in range(4):
        knob.press("ArrowRight")
    until(page, lambda: heading(page, 0).startswith("4 of the 8"))


def test_an_exercise_is_answered_wrongly_and_then_rightly(page: Any) -> None:
    editor = page.locator("marimo-code-editor .cm-content").first
    button = page.get_by_role("button", name="Run and check").first

    def write(code: str) -> None:
        editor.click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(code)
        button.click()

    write("def decide(x, w, b):\n    return int(np.dot(x, w) > 0)")
    page.get_by_text("2 + 2 is less than 4.5").wait_for()
    page.get_by_text("Hint:").first.wait_for()
    write("def decide(x, w, b):\n    return int(np.dot(x, w) + b > 0)")
    page.get_by_text("all 5 tests pass").wait_for()
    assert page.get_by_text("2 + 2 is less than 4.5").count() == 0


def test_a_number_is_answered(page: Any) -> None:
    field = page.get_by_placeholder("a number")
    field.fill("2")
    button = page.get_by_role("button", name="Check my answer")
    button.click()
    page.get_by_text("Did the bias learn too?").wait_for()
    field.fill("3")
    button.click()
    page.get_by_text("Both weights and the bias grew by 1").wait_for()


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
