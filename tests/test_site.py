"""The site: built without network and without warnings, every page reachable, read in a browser."""

from __future__ import annotations

import doctest
import functools
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: Pages that are opened in a browser; with these every kind of page is seen.
OPENED = (
    "index.html", "guide/index.html", "how-to/read-an-evaluation.html", "how-to/own-data.html",
    "reference/cli.html", "reference/formats.html", "reference/python.html",
    "reference/python/eosin.evaluation.metrics.html", "explanation/design.html", "peers.html",
    "results.html", "glossary.html", "decisions/index.html",
)  # fmt: skip
LOOKS = ((1280, 900, "light"), (360, 800, "dark"))


@pytest.fixture(scope="module")
def tools() -> Iterator[Callable[[str], Any]]:
    """Import a script of docs/ by its name."""
    for needed in ("sphinx", "myst_parser", "furo", "marimo"):
        pytest.importorskip(needed)
    sys.path.insert(0, str(DOCS))
    yield importlib.import_module
    sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def site(tools: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site built from nothing, with a proxy that leads nowhere.

    Of the lessons it has the first, of the modules those of three rooms: all take minutes.
    """
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
    )
    done = subprocess.run(
        [sys.executable, str(DOCS / "build.py"), "--output", str(folder / "html"),
         "--work", str(folder / "work"), "--lessons", "1",
         "--rooms", "data,evaluation,slides"],
        capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL,
        env={**os.environ, **nowhere},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert "WARNING" not in done.stdout + done.stderr
    return folder / "html"


@functools.cache
def links(page: Path) -> Links:
    return Links(page)


class Links(HTMLParser):
    """Everything that a page leads to or loads, and the ids in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        data = dict(attributes)
        if (name := data.get("id")) is not None:
            self.ids.add(name)
        if tag == "a" and data.get("href"):
            self.targets.append(str(data["href"]))
        if tag in ("script", "img", "iframe", "source") and data.get("src"):
            self.loaded.append(str(data["src"]))
        if tag == "link" and data.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(str(data["href"]))


@functools.cache
def inside(page: Path, target: str) -> Path | None:
    """The file that a link of a page leads to, or None where it leaves the site."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    return (page.parent / unquote(parts.path)).resolve() if parts.path else page


@pytest.mark.slow
def test_every_page_is_reachable_and_every_link_inside_leads_somewhere(site: Path) -> None:
    pages = {path.resolve(): links(path.resolve()) for path in site.rglob("*.html")}
    reached, waiting = set(), [(site / "index.html").resolve()]
    while waiting:
        page = waiting.pop()
        if page in reached or page not in pages:
            continue
        reached.add(page)
        for target in dict.fromkeys(pages[page].targets):
            found = inside(page, target)
            if found is None:
                continue
            assert found.exists(), f"{page.name}: {target}"
            anchor = unquote(urlsplit(target).fragment)
            if anchor and found in pages:
                assert anchor in pages[found].ids, f"{page.name}: {target}"
            waiting.append(found)
    left = {path.relative_to(site.resolve()).as_posix() for path in set(pages) - reached}
    # Written by Sphinx and linked by no page of this theme: indexes of names, and what the search
    # form opens.
    assert left <= {"genindex.html", "py-modindex.html", "search.html"}


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for target in links(page.resolve()).loaded:
            found = inside(page, target)
            if not target.startswith("data:"):
                assert found is not None, f"{page.name} loads {target}"
                assert found.exists(), f"{page.name} loads {target}"
    for style in site.rglob("*.css"):
        text = style.read_text("utf-8")
        assert not re.search(r"(?:url\(|@import\s+)[\"']?(?:https?:)?//", text), style.name


@pytest.mark.slow
def test_every_page_carries_the_disclaimer(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "Research and education only, not for diagnosis" in page.read_text("utf-8")


@pytest.mark.slow
def test_the_search_index_holds_words_of_pages_docstrings_and_lessons(site: Path) -> None:
    text = (site / "searchindex.js").read_text("utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    for word in ("preval", "leak", "threshold", "perceptron"):
        assert any(term.startswith(word) for term in index["terms"]), word
    named = {f"{name}.{entry[-1]}" for name, found in index["objects"].items() for entry in found}
    assert "eosin.data.store.PatchStore" in named
    assert "eosin.evaluation.metrics.confusion" in named


@pytest.mark.slow
def test_formulas_are_mathml_and_docstrings_name_their_arguments(site: Path) -> None:
    lessons = "".join(path.read_text("utf-8") for path in (site / "guide").glob("[0-9]*.html"))
    assert "<math" in lessons
    assert "marimo-" not in lessons.replace("marimo-team", "")
    page = (site / "reference/python/eosin.evaluation.metrics.html").read_text("utf-8")
    assert re.search(r"<dt><code[^>]*><span class=\"pre\">counts</span></code></dt>", page)
    assert "_SupportsArray" not in page


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("look", LOOKS, ids=["desktop-light", "phone-dark"])
def test_pages_in_a_browser(site: Path, look: tuple[int, int, str], open_tab: Any) -> None:
    lesson = next(path for path in sorted((site / "guide").glob("[0-9]*.html")))
    for page in (*(site / name for name in OPENED), lesson):
        tab = open_tab(page, *look)
        tab.page.wait_for_load_state("load")
        wide, window = tab.widths()
        assert wide <= window, f"{page.name} is {wide} px wide in a window of {window}"
        assert tab.wrong == [], page.name
        assert tab.outside() == [], page.name
        tab.context.close()


@pytest.mark.slow
@pytest.mark.browser
def test_search_works_without_a_server(site: Path, open_tab: Any) -> None:
    tab = open_tab(site / "index.html", 1280, 900, "light")
    tab.page.fill("input[name=q]", "prevalence")
    tab.page.press("input[name=q]", "Enter")
    tab.page.wait_for_selector("#search-results a:has-text('Glossary')", timeout=20_000)
    assert tab.wrong == []
    assert tab.outside() == []


# The scripts that build it


@pytest.mark.parametrize("name", ["build", "formulas", "prose", "still"])
def test_examples_in_the_scripts(name: str, tools: Callable[[str], Any]) -> None:
    outcome = doctest.testmod(tools(name))
    assert outcome.attempted
    assert not outcome.failed


def test_a_part_that_cannot_stand_still_is_named(tools: Callable[[str], Any]) -> None:
    still = tools("still")
    with pytest.raises(still.UnknownPartError, match="marimo-plotly"):
        still.still("<marimo-plotly></marimo-plotly>")


def test_moving_parts_stand_still(tools: Callable[[str], Any]) -> None:
    import marimo as mo

    still = tools("still").still
    slider = still(mo.ui.slider(0, 10, 1, value=5, label="rate").text)
    assert "rate" in slider
    assert "left: 50%" in slider
    assert "<b>5</b>" in slider
    steps = still(mo.ui.slider(steps=[0.1, 0.5, 0.9], value=0.5, label="rate").text)
    assert "<b>0.5</b>" in steps
    folded = still(mo.accordion({"Hint": mo.md("$x^2$")}).text)
    assert folded.index("<summary>") < folded.index("Hint") < folded.index("<math")
    assert "<details>" in folded
    table = still(mo.ui.table([{"a": 1, "b": "<"}], selection=None).text)
    assert "<td>&lt;</td>" in table
    said = still(mo.callout(mo.md("**No.**"), kind="warn").text)
    assert 'class="callout warn"' in said
    assert "<strong>No.</strong>" in said
    for text in (slider, steps, folded, table, said):
        assert "marimo" not in text


def test_a_lesson_that_fails_is_named_with_its_cause(
    tools: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = tools("lesson_pages")
    (tmp_path / "01_wrong.py").write_text(
        '"""Wrong\n\nGoal: fail.\nMinutes: 1\nPrerequisites: none\n"""\nraise ValueError("so")\n'
    )
    monkeypatch.setattr(pages, "LESSONS", tmp_path)
    with pytest.raises(pages.LessonError, match=r"(?s)01_wrong\.py failed.*ValueError: so"):
        pages.pages(tmp_path / "kept")


def test_pictures_are_small() -> None:
    pictures = sorted((DOCS / "pictures").glob("*.webp"))
    assert pictures, "make them with: make pictures"
    for path in pictures:
        assert path.stat().st_size <= 300_000, path.name
