"""summary.csv and summary.html: every slide, also the failed ones, in a real browser too."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from eosin.scanning.summary import Failed, found_in, write_summary
from eosin.scanning.writing import read_result, write

HOT = {(x, 2): 0.9 for x in range(5)}
BAD = Failed("broken <i>.svs", "broken <i>.svs cannot be opened: not a TIFF file")


@pytest.fixture
def folder(make_scan, tmp_path):
    """Three slides with unlike figures and odd names, and one that failed."""
    out = tmp_path / "out #1"
    scans = {
        "slide 10": make_scan(HOT | {(x, 5): 0.1 for x in range(5)}, slide={"name": "a.svs"}),
        "slide 2 <b>&%20": make_scan({(1, 1): 0.9}),
        "no scale": make_scan(
            {(x, 1): 0.1 for x in range(4)}, slide={"scale": None}, distances={(0, 1): 9.0}
        ),
    }
    results = [read_result(write(scan, out, name)) for name, scan in scans.items()]
    write_summary(out, results, [BAD])
    return out


class Links(HTMLParser):
    """Addresses in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for key, value in attrs if key in ("href", "src")]


def test_the_table_has_every_slide(folder):
    rows = list(csv.DictReader(io.StringIO((folder / "summary.csv").read_text("utf-8"))))
    assert [row["name"] for row in rows] == ["no scale", "slide 10", "slide 2 <b>&%20", ""]
    plain, hot = rows[0], rows[1]
    assert hot["status"] == "done"
    assert float(hot["positive_share"]) == 0.5
    assert float(hot["positive_mm2"]) == pytest.approx(0.05)
    assert float(hot["largest_focus_mm2"]) == pytest.approx(0.05)
    assert hot["patches"] == "10"
    assert hot["mpp_x"] == "0.5"
    assert plain["positive_mm2"] == plain["mpp_x"] == ""
    assert plain["unlike_training"] == "True"
    assert float(plain["out_of_scope_share"]) == 0.25
    assert rows[3]["file"] == BAD.slide
    assert rows[3]["status"] == "failed"
    assert rows[3]["cause"] == BAD.cause


def test_a_slide_named_as_a_formula_is_a_text(make_scan, tmp_path):
    write_summary(tmp_path, [], [Failed("=cmd()", "+1")])
    assert "'=cmd(),failed,'+1" in (tmp_path / "summary.csv").read_text("utf-8")


def test_the_page_links_what_is_there_and_nothing_outside(folder):
    text = (folder / "summary.html").read_text("utf-8")
    addresses = [each for each in Links(text).found if not each.startswith("data:")]
    assert len(addresses) == 3 * 9
    for each in addresses:
        assert (folder / unquote(each)).is_file(), each
    assert not re.search(r"https?:|//[a-z]", text)
    assert text.count("Research and education only, not for diagnosis.") == 2
    assert "<b>" not in text
    assert "<i>" not in text


def test_more_classes_have_a_column_each(make_scan, tmp_path):
    cells = {(0, 0): [0.8, 0.1, 0.1], (1, 0): [0.1, 0.8, 0.1]}
    result = read_result(write(make_scan(cells, classes=("a", "b", "c")), tmp_path, "s"))
    text = write_summary(tmp_path, [result]).read_text("utf-8")
    (row,) = csv.DictReader(io.StringIO((tmp_path / "summary.csv").read_text("utf-8")))
    assert (row["share_a"], row["share_b"], row["share_c"]) == ("0.5", "0.5", "0.0")
    assert "positive_share" not in row
    assert text.count('data-value="0.5"') == 2


def test_all_scans_of_a_folder_are_found_and_the_damaged_ones_named(folder):
    (folder / "slide 10" / "slide 10.json").write_text("{")
    (folder / "other").mkdir()
    results, failed = found_in(folder)
    assert [each.name for each in results] == ["no scale", "slide 2 <b>&%20"]
    assert [each.slide for each in failed] == ["slide 10"]
    assert "is damaged" in failed[0].cause


def test_an_empty_folder_has_a_summary_too(tmp_path):
    assert "No slide has been scanned yet" in write_summary(tmp_path, []).read_text("utf-8")


def names(page):
    return page.eval_on_selector_all(
        "tbody tr:not([hidden]) th .name", "all => all.map((one) => one.textContent)"
    )


@pytest.mark.browser
@pytest.mark.parametrize("look", [(1400, 900, "light"), (360, 800, "dark")])
def test_it_is_sorted_and_searched_from_a_file(folder, open_tab, tmp_path, look):
    tab = open_tab(folder / "summary.html", *look)
    page = tab.page
    page.wait_for_load_state("networkidle")
    page.screenshot(path=tmp_path / "summary.png", full_page=True)
    wide, client = tab.widths()
    assert wide <= client
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every((one) => one.naturalWidth > 100)")
    assert len(names(page)) == 4
    # Numbers: the largest first, then the smallest; what has none stays last.
    head = page.locator("thead button", has_text="scanned")
    head.click()
    assert names(page)[:2] == ["slide 10", "slide 2 <b>&%20"]
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    head.click()
    assert names(page)[:2] == ["slide 2 <b>&%20", "slide 10"]
    assert page.locator("th[aria-sort]").count() == 1
    # Names as a person counts.
    page.locator("thead button", has_text="slide").click()
    assert names(page) == ["broken <i>.svs", "no scale", "slide 2 <b>&%20", "slide 10"]
    page.fill("#search", "SLIDE 10")
    assert names(page) == ["slide 10"]
    assert page.locator("#count").inner_text() == "1 of 4"
    page.fill("#search", "tiff file")
    assert names(page) == ["broken <i>.svs"]
    page.fill("#search", "nothing like it")
    assert page.locator("#none").is_visible()
    page.fill("#search", "")
    assert len(names(page)) == 4
    assert tab.wrong == []
    assert tab.outside() == []
    tab.context.close()


@pytest.mark.browser
def test_a_script_in_a_name_cannot_run(folder, open_tab):
    path = folder / "summary.html"
    text = path.read_text("utf-8").replace(
        "<main>", '<main><script>document.title = "broken in"</script>'
    )
    path.write_text(text, "utf-8")
    tab = open_tab(path, 1280, 900, "light")
    assert tab.page.title() == "Scans in out #1"
    assert any("Content Security Policy" in said for said in tab.wrong)
    tab.context.close()
