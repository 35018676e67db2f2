"""A learner's path: lessons 1 to 7 in a browser, exercises answered wrongly, then rightly."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eosin.guide.browser import served
from eosin.guide.catalog import exercises_of, find_lesson
from eosin.guide.exercises import Choice, Code, Exercise

pytest.importorskip("marimo")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
#: A busy machine may be slow; nothing here measures time.
PATIENCE_MS = 180_000
LESSONS = Path(__file__).parents[2] / "lessons"
#: For each lesson the place of a slider that changes the heading of a figure.
SLIDERS = {1: 2, 2: 0, 3: 0, 4: 0, 5: 0, 6: 3, 7: 0}
HEADINGS = "figures => figures.map(each => each.getAttribute('aria-label'))"


@pytest.fixture(scope="module")
def program(chromium: Path) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=str(chromium), args=arguments)
        yield started
        started.close()


@pytest.mark.parametrize("number", SLIDERS)
def test_a_learner_walks_through(program: Any, number: int) -> None:
    exercises = exercises_of(number, LESSONS)
    with served(find_lesson(number, LESSONS)) as (address, _):
        page = program.new_page(viewport={"width": 1100, "height": 2000}, color_scheme="dark")
        page.set_default_timeout(PATIENCE_MS)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.locator("marimo-form").nth(len(exercises) - 1).wait_for(state="attached")
        page.get_by_role("heading", name="Summary").wait_for()
        move_a_slider(page, SLIDERS[number])
        for k, exercise in enumerate(exercises):
            answer_wrongly_and_rightly(page, page.locator("marimo-form").nth(k), exercise)
        assert page.get_by_text("Traceback").count() == 0
        if number == 1:
            only_code_that_teaches_is_seen(page)
        figures_follow_the_dark_page(page)
        outside = [u for u in asked if not u.startswith(("http://127.0.0.1:", "data:", "blob:"))]
        assert outside == []
        page.set_viewport_size({"width": 390, "height": 2000})
        until(page, lambda: within(page, 390), "every slider is within reach on a phone")
        page.close()


def move_a_slider(page: Any, place: int) -> None:
    figures = page.locator(".eosin-figure svg")
    figures.first.wait_for(state="attached")
    knob = page.get_by_role("slider").nth(place)
    before, stood = figures.evaluate_all(HEADINGS), knob.get_attribute("aria-valuenow")
    knob.focus()
    for _ in range(4):
        knob.press("ArrowRight")
    assert knob.get_attribute("aria-valuenow") != stood
    until(
        page,
        # A figure that comes late is no figure that changed.
        lambda: any(a != b for a, b in zip(before, figures.evaluate_all(HEADINGS), strict=False)),
        "a slider changes a figure",
    )


def answer_wrongly_and_rightly(page: Any, form: Any, exercise: Exercise) -> None:
    button = form.get_by_role("button", name=re.compile("Run and check|Check my answer"))
    outputs = page.locator('[data-cell-role="output"]')
    place = form.evaluate(
        """form => [...document.querySelectorAll('[data-cell-role="output"]')]
            .findIndex(each => each.contains(form))"""
    )
    verdict = outputs.nth(place + 1)

    def answer(text: str) -> None:
        if isinstance(exercise, Code):
            form.locator(".cm-content").click()
            page.keyboard.press("Control+a")
            page.keyboard.insert_text(text)
        elif isinstance(exercise, Choice):
            form.get_by_role("radio").nth(list(exercise.options).index(text)).click()
        else:
            form.get_by_role("textbox").fill(text)
        button.click()

    if isinstance(exercise, Choice):
        button.click()
        form.get_by_text("Choose an answer first").wait_for()
    answer(exercise.wrong[0])
    verdict.get_by_text("Hint:").first.wait_for()
    assert verdict.get_by_text(re.compile(r"^\s*Right\b")).count() == 0
    answer(exercise.right[0])
    verdict.get_by_text(re.compile(r"^\s*Right\b")).first.wait_for()
    assert verdict.get_by_text("Hint:").count() == 0


def only_code_that_teaches_is_seen(page: Any) -> None:
    shown = [cell.inner_text() for cell in page.locator(".tray .cm").all() if cell.is_visible()]
    assert any("evidence = patch @ weights + bias" in each for each in shown)
    assert not any("canvas(" in each or "exercises_of" in each for each in shown)


def figures_follow_the_dark_page(page: Any) -> None:
    color = page.evaluate(
        "getComputedStyle(document.querySelector('.eosin-figure svg')).getPropertyValue('--ink')"
    )
    assert color.strip() == "#e9e7ea"
    black = page.locator(".eosin-figure svg text").evaluate_all(
        "all => all.filter(each => getComputedStyle(each).fill === 'rgb(0, 0, 0)').length"
    )
    assert black == 0


def within(page: Any, width_px: int) -> bool:
    boxes = [knob.bounding_box() for knob in page.get_by_role("slider").all()]
    return all(box is not None and box["x"] < width_px for box in boxes)


def until(page: Any, holds: Callable[[], bool], what: str) -> None:
    for _ in range(PATIENCE_MS // 100):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"it did not happen: {what}")
