"""The report in a real browser: at a desk, on a phone, in the dark and on paper."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from eosin.errors import FailureError, UserError
from eosin.reporting import browser
from eosin.reporting.cards import CARDS
from eosin.reporting.report import write_report

LOOKS = {
    "desktop-light": (1280, 900, "light"),
    "desktop-dark": (1280, 900, "dark"),
    "phone-light": (360, 800, "light"),
    "phone-dark": (360, 800, "dark"),
}

#: Texts whose colors carry the page, and letters of figures.
SPOKEN = (
    "h1", "h2", ".lead", ".quiet", ".disclaimer", ".kicker", ".big", ".basis", ".cautions dt",
    ".cautions dd", ".contents a", "summary", "small", "thead th", ".severity", ".facts dt",
    ".badge", ".threshold", ".axis i", "figcaption p", ".strong b", "td.shaded", "td.shaded small",
    ".strong small", ".bottom p", "pre",
)  # fmt: skip

#: Contrast of every text with what lies under it, after WCAG 2.2; the worst of each selector.
CONTRAST = """
(selectors) => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const over = (layers) => {
    context.clearRect(0, 0, 1, 1);
    for (const color of layers) { context.fillStyle = color; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map(
      (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = {};
  for (const selector of selectors) {
    for (const one of document.querySelectorAll(selector)) {
      if (!one.getClientRects().length) continue;
      const layers = [];
      for (let up = one; up; up = up.parentElement) {
        layers.unshift(getComputedStyle(up).backgroundColor);
      }
      const style = getComputedStyle(one);
      const under = over(layers), text = over([...layers, style.color]);
      const [a, b] = [light(under), light(text)].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      found[selector] = Math.min(found[selector] ?? 99, ratio);
    }
  }
  return found;
}
"""


def long_words(evaluation: dict[str, Any]) -> None:
    """Names as long as they come must not push the page wider."""
    evaluation["cases"][0]["case"] = "TCGA-A1-A0SB-01Z-00-DX1." * 5
    evaluation["suspects"]["rows"][0]["source"] = "a/very/long/path/without/any/space" * 6
    evaluation["marks"] = ["made-up data: " + "x" * 300]
    evaluation["operating_points"][0]["label"] = "w" * 120
    evaluation["recipe"] = "r" * 200


@pytest.mark.browser
@pytest.mark.parametrize("look", LOOKS)
def test_the_page_at_every_width_and_scheme(make_run, open_tab, tmp_path, look):
    path = write_report(make_run(pictures=look == "phone-light")).path
    assert path.stat().st_size < 5_000_000
    tab = open_tab(path, *LOOKS[look])
    page = tab.page
    page.screenshot(path=tmp_path / f"{look}.png", full_page=True)
    assert (tmp_path / f"{look}.png").stat().st_size > 50_000
    wide, client = tab.widths()
    assert wide <= client
    # What is wider than its column scrolls in a box of its own.
    beyond = page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter((one) => {
          if (one.closest(".scroll, pre, svg, .track, .contents")) return false;
          const box = one.getBoundingClientRect();
          return box.width && box.right > document.documentElement.clientWidth + 1;
        }).map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert beyond == []
    assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth)")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("svg, img")].filter((one) =>
          !(one.getAttribute("aria-label") || one.getAttribute("alt"))).length"""
    )
    assert unnamed == 0
    assert [one.get_attribute("id") for one in page.query_selector_all("main > section")] == [
        "verdict",
        *CARDS,
    ]
    for name in CARDS:
        assert page.locator(f"#{name} > h2").is_visible()
    ratios = page.evaluate(CONTRAST, list(SPOKEN))
    assert len(ratios) >= len(SPOKEN) - 2
    assert {name: round(ratio, 2) for name, ratio in ratios.items() if ratio < 4.5} == {}
    # Letters of the figures follow the scheme too.
    colors = page.evaluate(
        """() => [...document.querySelectorAll(".drawing text")].map((one) =>
          getComputedStyle(one).fill)"""
    )
    dark = "dark" in look
    assert colors
    means = {sum(int(part) for part in color[4:-1].split(",")) / 3 for color in colors}
    assert all((mean > 130) == dark for mean in means), set(colors)
    for one in page.query_selector_all("summary"):
        one.evaluate("one => one.parentElement.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= client
    assert tab.wrong == []
    assert tab.outside() == []
    tab.context.close()


@pytest.mark.browser
def test_long_names_do_not_widen_a_phone(make_run, open_tab):
    path = write_report(make_run(long_words)).path
    tab = open_tab(path, *LOOKS["phone-light"])
    for one in tab.page.query_selector_all("summary"):
        one.evaluate("one => one.parentElement.open = true")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
    tab.context.close()


@pytest.mark.browser
def test_on_paper_it_is_light_and_whole(make_run, open_tab, tmp_path):
    path = write_report(make_run()).path
    tab = open_tab(path, 794, 1123, "dark")
    tab.page.emulate_media(media="print")
    tab.page.screenshot(path=tmp_path / "print.png", full_page=True)
    ground = tab.page.evaluate("getComputedStyle(document.documentElement).colorScheme")
    assert "dark" not in ground
    ink = tab.page.evaluate("getComputedStyle(document.body).color")
    assert ink == "rgb(29, 36, 48)"
    assert not tab.page.locator(".contents").is_visible()
    assert tab.page.locator(".meaning p").first.is_visible()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 794
    tab.context.close()


@pytest.mark.browser
def test_a_script_in_the_data_cannot_run(make_run, open_tab):
    """Even were a name written unescaped, the page's policy lets nothing but its own script run."""
    path = write_report(make_run()).path
    text = path.read_text("utf-8").replace(
        "<main>",
        '<main><script>document.title = "broken in"</script>'
        '<img src="https://127.0.0.1:9/x.png" alt="x" onerror="document.title = 1">',
    )
    path.write_text(text, "utf-8")
    tab = open_tab(path, *LOOKS["desktop-light"])
    assert tab.page.title() != "broken in"
    assert len(tab.page.title()) > 5
    refused = [said for said in tab.wrong if "Content Security Policy" in said]
    assert len(refused) >= 3
    tab.context.close()


@pytest.mark.browser
def test_a_pdf_is_printed(make_run, chromium):
    path = write_report(make_run()).path
    pdf = browser.print_pdf(path, path.with_suffix(".pdf"), browser=chromium)
    data = pdf.read_bytes()
    assert data[:5] == b"%PDF-"
    assert len(data) > 20_000
    assert not list(path.parent.glob(".*"))


# Without a browser


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "chrome-of-the-test"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_no_browser_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt install chromium"):
        browser.find_browser()
    monkeypatch.setenv(browser.VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(UserError, match="not a program that can be run"):
        browser.find_browser()
    path = script(tmp_path, "exit 0")
    monkeypatch.setenv(browser.VARIABLE, str(path))
    assert browser.find_browser() == path


def test_a_browser_that_fails_or_hangs_leaves_nothing(tmp_path):
    page, pdf = tmp_path / "a.html", tmp_path / "a.pdf"
    page.write_text("<p>x")
    pdf.write_bytes(b"before")
    with pytest.raises(FailureError, match="the paper is out"):
        browser.print_pdf(page, pdf, browser=script(tmp_path, "echo the paper is out >&2; exit 1"))
    hanging = script(tmp_path, "sleep 60 & sleep 60")
    with pytest.raises(FailureError, match="not done after"):
        browser.print_pdf(page, pdf, browser=hanging, timeout_s=0.3)
    with pytest.raises(FailureError, match="cannot be started"):
        browser.print_pdf(page, pdf, browser=tmp_path / "gone")
    assert pdf.read_bytes() == b"before"
    assert not list(tmp_path.glob(".*"))
