"""The report stands whatever is missing, hostile or degenerate, and says so in words."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eosin.errors import RunError
from eosin.evaluation import ranking
from eosin.evaluation.curves import Curves, thinned
from eosin.evaluation.summary import evaluate
from eosin.figures import canvas, curves
from eosin.figures import charts as figures
from eosin.records.evaluation import Evaluation
from eosin.records.scored import Scored
from eosin.reporting import cards, charts, inline
from eosin.reporting.blocks import Bar, Forest
from eosin.reporting.material import read
from eosin.reporting.report import write_report
from eosin.reporting.verdict import verdict


class Page(HTMLParser):
    """The page's elements, its text, and whether its tags are balanced."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words)).replace(" ,", ",")

    def ids(self) -> list[str]:
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]


def opened(folder: Path) -> Page:
    return Page((folder / "report.html").read_text("utf-8"))


def sound(page: Page) -> None:
    """What holds for every report."""
    assert not page.wrong
    assert not page.open
    assert len(page.ids()) == len(set(page.ids()))
    assert [attrs["id"] for tag, attrs in page.tags if tag == "section"] == [
        "verdict",
        *cards.CARDS,
    ]
    assert page.text.count("Research and education only, not for diagnosis.") >= 2
    for tag, attrs in page.tags:
        assert tag not in ("iframe", "object", "embed", "form", "base")
        assert not [key for key in attrs if key.startswith("on")]
        for key in ("src", "href", "xlink:href"):
            assert attrs.get(key, "#").startswith(("#", "data:")), attrs
        if tag == "img":
            assert attrs["alt"]
        if tag == "svg":
            assert attrs["role"] == "img"
            assert attrs["aria-label"]
    ids = set(page.ids())
    for _, attrs in page.tags:
        for key in ("href", "xlink:href"):
            assert attrs.get(key, "")[:1] != "#" or attrs[key][1:] in ids, attrs[key]


def test_a_full_report(make_run):
    folder = make_run(pictures=True)
    written = write_report(folder)
    assert written.path == folder / "report.html"
    assert written.path.stat().st_size < 5_000_000
    page = opened(folder)
    sound(page)
    # model.json alone is no network: the maps are left out, and that is all.
    assert all("explanation" in problem for problem in written.problems)
    assert "could not be made: " not in page.text
    drawings = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"]
    assert len(drawings) == 7
    auroc = json.loads((folder / "evaluation.json").read_text())["auroc"]["value"]
    assert any(f"AUROC {auroc:.3f}" in words for words in drawings)
    for words in (
        "62 % are answered", "digits", "Cruz-Roa 2014", "best F1".capitalize(), "1 pair",
        "eosin train a.store", "Seeds: training 3", "color alone", "Label suspects",
    ):  # fmt: skip
        assert words.lower() in page.text.lower(), words
    assert (folder / "MODEL_CARD.md").read_text("utf-8").startswith("# ")
    assert {path.suffix for path in folder.iterdir()} <= {
        ".html", ".md", ".json", ".jsonl", ".toml", ".parquet",
    }  # fmt: skip


def test_the_same_run_gives_the_same_bytes(make_run):
    folder = make_run()
    first = write_report(folder).path.read_bytes()
    assert write_report(folder).path.read_bytes() == first


def test_an_older_run_and_one_without_its_store(make_run):
    def gone(evaluation):
        del evaluation["recipe"], evaluation["baselines"], evaluation["cases_note"]

    folder = make_run(gone, full=False)
    for name in ("metrics.jsonl", "environment.json", "model.json"):
        (folder / name).unlink()
    written = write_report(folder)
    page = opened(folder)
    sound(page)
    assert not [p for p in written.problems if "could not be made" in p]
    assert page.text.count("No pictures, because the store cannot be opened") == 2
    assert "evaluate the run again with this version" in page.text
    assert "no simple baseline was fitted" in page.text
    assert "no audit of the split" in page.text


def test_hostile_names_are_text(make_run):
    evil = '<script>alert(1)</script>"\' onload="x" ${x} {{ 7 * 7 }} </style>--><svg>'

    def hostile(evaluation):
        for row in evaluation["suspects"]["rows"]:
            row["case"] = row["source"] = row["label"] = row["suggested"] = evil
        evaluation["recipe"] = evaluation["split"] = evil
        evaluation["marks"] = ["leak: " + evil]
        evaluation["warnings"] = evaluation["scope"]["probes"][0]["name"] = evil
        evaluation["warnings"] = [evil]
        evaluation["operating_points"][0]["label"] = evil
        evaluation["referral"]["sentence"] = evil
        evaluation["published"]["rows"][0]["name"] = evil

    names = [evil if k % 3 else f"$x_{k}$" for k in range(320)]
    folder = make_run(hostile, classes=(f"a$b{evil}", f"c_{evil}"), cases=names)
    (folder / "environment.json").write_text(json.dumps({"command": evil, "eosin": evil}))
    written = write_report(folder)
    page = opened(folder)
    sound(page)
    assert not [p for p in written.problems if "could not be made" in p]
    scripts = [tag for tag, _ in page.tags if tag == "script"]
    assert len(scripts) == 1
    assert "alert(1)" in page.text
    assert "49" not in re.findall(r"\$\{x\} (\S+)", page.text)


@pytest.mark.parametrize(
    ("truth", "scores", "cases", "says"),
    [
        ([], [], [], "There is no verdict"),
        ([1, 1, 1], [0.2, 0.7, 0.9], ["a", "b", "c"], "There is no verdict"),
        ([0, 1, 0], [np.nan, 0.5, 0.1], ["a", "b", "c"], "There is no verdict"),
        ([0, 1, 0, 1], [0.5] * 4, ["a", "a", "b", "c"], "learned nothing"),
        ([0, 1, 0, 1], [0.1, 0.5, 0.2, 0.9], None, "whose cases are unknown"),
        ([0, 1] * 8, [0.1, 0.9] * 8, ["a"] * 16, "On only 1 case"),
        ([0, 1] * 8, [0.1, 0.9] * 8, [f"c{k // 2}" for k in range(16)], "On only 8 cases"),
    ],
    ids=["empty", "one class", "nan", "constant", "no cases", "one case", "few cases"],
)
def test_thin_data(make_run, truth, scores, cases, says):
    folder = make_run(full=False)
    found = evaluate(
        Scored.of(truth, scores, cases), classes=["negative", "positive"], replicates=20
    )
    (folder / "evaluation.json").write_text(json.dumps(found | {"part": "test", "split": "case"}))
    high = np.asarray(scores, np.float32)
    pl.DataFrame(
        {
            "patch": np.arange(len(truth)), "part": ["test"] * len(truth),
            "case": pl.Series(cases if cases else [""] * len(truth), dtype=pl.String),
            "label": np.asarray(truth, np.int64), "p_negative": 1 - high, "p_positive": high,
            "decision": pl.Series(["negative"] * len(truth), dtype=pl.String),
        }
    ).write_parquet(folder / "predictions.parquet")  # fmt: skip
    written = write_report(folder)
    page = opened(folder)
    sound(page)
    assert says in page.text
    assert not [p for p in written.problems if "could not be made" in p]


def test_more_than_two_classes(make_run):
    folder = make_run(classes=("debris", "stroma", "tumor"), full=False)
    written = write_report(folder)
    page = opened(folder)
    sound(page)
    assert "mean AUROC over 3 classes" in page.text
    assert "Each class against the rest" in page.text
    assert not [p for p in written.problems if "could not be made" in p]


def test_an_error_in_one_section_stays_in_it(make_run, monkeypatch):
    def broken(material):
        raise RuntimeError("the ceiling came down")

    for name in ("training", "scope"):
        entry = cards.CARDS[name]
        monkeypatch.setitem(cards.CARDS, name, replace(entry, build=broken))
    chart = charts.CURVES["roc"]
    monkeypatch.setitem(charts.CURVES, "roc", replace(chart, caption=broken))
    folder = make_run()
    written = write_report(folder)
    page = opened(folder)
    sound(page)
    assert page.text.count("the ceiling came down") >= 2
    assert "The card Training could not be made: RuntimeError: the ceiling came down." in page.text
    assert len([p for p in written.problems if "could not be made" in p]) >= 3
    assert "Precision and recall" in page.text


def emptied(value: Any) -> Any:
    """The same structure without a single number."""
    if isinstance(value, dict):
        return {key: emptied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [emptied(item) for item in value] if value and isinstance(value[0], dict) else []
    return None if isinstance(value, float | int) and not isinstance(value, bool) else value


def test_sections_without_numbers_are_sentences(make_run):
    keys = (
        "calibration", "operating_points", "decision_curve", "referral", "scope", "suspects",
        "published", "auroc", "average_precision", "cases", "confusion", "intervals",
    )  # fmt: skip

    def empty(evaluation):
        for key in keys:
            evaluation[key] = emptied(evaluation[key])
        evaluation["confusion"] = None
        evaluation["cases"] = []

    folder = make_run(empty)
    written = write_report(folder)
    page = opened(folder)
    sound(page)
    assert [p for p in written.problems if "could not be made" in p] == []
    assert re.findall(r".{40}None.{20}", page.text) == []
    assert "nan" not in page.text.split()


def test_damaged_files_are_sentences(make_run):
    folder = make_run()
    (folder / "predictions.parquet").write_bytes(b"PAR1 no")
    (folder / "metrics.jsonl").write_text("{\nnot json\n{}\n")
    (folder / "model.json").write_text("[")
    (folder / "recipe.toml").write_text("= =")
    written = write_report(folder)
    page = opened(folder)
    sound(page)
    assert "predictions.parquet cannot be read" in page.text
    assert "metrics.jsonl cannot be read" in page.text
    assert any("recipe.toml is damaged" in problem for problem in written.problems)


def test_what_is_no_run_is_refused(tmp_path, make_run, made_up_store):
    with pytest.raises(RunError, match="no such folder"):
        write_report(tmp_path / "nothing")
    with pytest.raises(RunError, match="eosin evaluate"):
        write_report(tmp_path)
    folder = make_run(lambda evaluation: evaluation["store"].update(digest="0" * 32))
    with pytest.raises(RunError, match="not the store of this evaluation"):
        write_report(folder, store=made_up_store)
    assert not (folder / "report.html").exists()


def test_an_evaluation_on_another_store_uses_its_run(make_run):
    folder = make_run(lambda evaluation: evaluation.update(part="test"))
    inner = folder / "evaluation-b.store"
    inner.mkdir()
    for name in ("evaluation.json", "predictions.parquet"):
        shutil.move(folder / name, inner / name)
    written = write_report(inner)
    page = opened(inner)
    sound(page)
    assert written.path == inner / "report.html"
    assert "training loss went from" in page.text


def test_the_store_may_have_moved(make_run, made_up_store):
    folder = make_run()
    write_report(folder)
    assert "No pictures" in opened(folder).text
    write_report(folder, store=made_up_store.path)
    assert "No pictures" not in opened(folder).text


def test_from_another_working_folder_the_store_and_its_pictures_are_found(
    make_run, made_up_store, tmp_path, monkeypatch
):
    """Paths in evaluation.json are as typed in the working folder of that time."""
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    shutil.copytree(made_up_store.path, project / "data" / "s.store")

    def typed(evaluation):
        evaluation["run"] = "runs/a"
        evaluation["store"]["path"] = "data/s.store"

    folder = project / "runs" / "a"
    folder.parent.mkdir()
    shutil.move(make_run(typed), folder)
    inner = folder / "evaluation-b.store"
    inner.mkdir()
    for name in ("evaluation.json", "predictions.parquet"):
        shutil.copy(folder / name, inner / name)
    for working in (project, tmp_path, folder):
        monkeypatch.chdir(working)
        for evaluated in (folder, inner):
            material = read(os.path.relpath(evaluated))
            assert material.store is not None, material.missing
            assert material.store.digest == made_up_store.digest
            assert material.run.resolve() == folder


def test_an_evaluation_of_an_earlier_version_has_its_report(tmp_path):
    earlier = Path(__file__).parents[1] / "records" / "earlier"
    for name in ("two", "three", "file"):
        shutil.copytree(earlier / name, tmp_path / name)
        written = write_report(tmp_path / name)
        page = opened(tmp_path / name)
        sound(page)
        assert not [p for p in written.problems if "could not be made" in p]
        assert "that training never saw" in page.text
        card = (tmp_path / name / "MODEL_CARD.md").read_text("utf-8")
        assert "No referral band could be set" in card


def test_a_damaged_evaluation_is_refused_in_a_sentence(make_run):
    folder = make_run(lambda evaluation: evaluation.update(scope={"probes": "nonsense"}))
    with pytest.raises(RunError, match=r"evaluation\.json cannot be used: scope\.probes"):
        write_report(folder)


# The verdict


def judged(**changes: Any) -> Any:
    found = {
        "classes": ["negative", "positive"], "part": "test", "split": "case", "n_cases": 29,
        "n_patches": 5685, "marks": [], "warnings": [],
        "auroc": {"value": 0.963, "low": 0.95, "high": 0.974},
        "intervals": {"method": "percentile bootstrap over cases", "level": 0.95, "units": 29},
        "baselines": {
            "base_rate": {"auroc": {"value": 0.5}}, "color_histogram": {"auroc": {"value": 0.884}},
        },
    }  # fmt: skip
    return verdict(Evaluation.model_validate(found | changes))


def test_the_plain_verdict():
    said = judged()
    assert said.sentence == (
        "On 29 cases that training never saw, the model ranks a positive patch above a negative "
        "one 96.3 % of the time (AUROC 0.963, 95 % interval over cases 0.950 to 0.974); the best "
        "simple baseline, color alone, reaches 0.884."
    )
    assert (said.value, said.interval, said.basis) == (
        "0.963", "0.950 to 0.974", "95 % interval over 29 cases",
    )  # fmt: skip
    assert said.sound
    assert not said.cautions


@pytest.mark.parametrize(
    ("changes", "says", "head"),
    [
        ({"baselines": {"b": {"auroc": {"value": 0.97}}}}, "not better than that", None),
        ({"baselines": {"b": {"auroc": {"value": 0.955}}}}, "still inside this interval", None),
        ({"baselines": {}}, "no simple baseline was fitted", None),
        ({"part": "val"}, "On 29 validation cases (the split has no test cases)", "No test cases"),
        ({"n_cases": 4}, "On only 4 cases", "Too few cases"),
        ({"n_cases": None}, "5,685 patches whose cases are unknown", None),
        ({"marks": ["leak: 3 cases stand in two parts"]}, "This is too good", "The split leaks"),
        ({"split": "patch"}, "of a split that leaks", "The split leaks"),
        ({"audit": {"leaking": True}}, "of a split that leaks", "The split leaks"),
        ({"marks": ["seen in training: 2 cases"]}, "some of which", "Seen in training"),
        ({"marks": ["made-up data: drawn"]}, "says nothing about tissue", "Made-up data"),
        ({"marks": ["something else"]}, "ranks a positive patch", "Note"),
        ({"classes": ["benign", "odd"]}, "a patch of “odd” above one of “benign”", None),
        ({"auroc": {"value": None}, "undefined": {"auroc": "one class"}}, "One class.", None),
        ({"auroc": None}, "There is no verdict", None),
        (
            {"warnings": ["Every patch has the same score: the model does not look at its input."]},
            "learned nothing",
            "The network has learned nothing",
        ),
    ],
)
def test_honest_verdicts(changes, says, head):
    said = judged(**changes)
    assert says in said.sentence
    assert [caution.head for caution in said.cautions] == ([head] if head else [])
    assert said.sound == (head is None)


def test_a_dead_network_and_made_up_data_come_first():
    dead = "no weight changed in epoch 1: the gradient is 0"
    found = {"auroc": {"value": 0.5}, "n_cases": 3, "marks": [dead, "made-up data: drawn"]}
    said = verdict(Evaluation.model_validate(found), diagnoses=[dead])
    assert [caution.head for caution in said.cautions] == [
        "Made-up data",
        "The network has learned nothing",
        "Too few cases",
    ]
    assert "learned nothing" in said.sentence


def test_an_empty_evaluation_has_a_verdict():
    assert "There is no verdict" in verdict(Evaluation()).sentence


# Drawings


@pytest.mark.parametrize("count", [5, 70_000])
def test_thinning_moves_no_curve_by_a_pixel(count):
    rng = np.random.default_rng(count)
    y = (rng.random(count) < 0.3).astype(int)
    y[:2] = 0, 1
    p = rng.normal(0, 1, count) + 1.5 * y
    for points in (ranking.roc_points(y, p), ranking.precision_recall_points(y, p)):
        x, height = points
        thin_x, thin_y = thinned(x, height)
        assert len(thin_x) <= min(len(x), 2000)
        kept = set(zip(thin_x.tolist(), thin_y.tolist(), strict=True))
        assert kept <= set(zip(x.tolist(), height.tolist(), strict=True))
        # Every point of the curve lies within a pixel of one that was kept.
        far = [
            np.min(np.maximum(np.abs(thin_x - a), np.abs(thin_y - b)))
            for a, b in list(zip(x, height, strict=True))[:: max(1, len(x) // 2000)]
        ]
        assert max(far) <= 1 / 450


def test_a_drawing_follows_the_page(tmp_path):
    def make(path: Path) -> Path:
        points = Curves.of([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.9])
        return figures.probability_histogram(path, evaluation, points, marks=["MADE-UP DATA"])

    evaluation = Evaluation(classes=("n", '<b> & "x"'))
    svg = str(inline.drawn("one", make, alt='A curve, "<x>"'))
    assert svg.startswith('<svg class="drawing" viewBox=')
    assert "&lt;x&gt;" in svg.partition(">")[0]
    # No colors of its own, no style for the page around it, no title, no marks.
    assert not re.findall(r"(?:fill|stroke): #", svg)
    assert "width=" not in svg.partition(">")[0]
    for absent in ("<style", "<metadata", "MADE-UP", "Probability by true", "http://purl"):
        assert absent not in svg, absent
    assert "&lt;b&gt;" in svg
    assert "var(--blue)" in svg
    assert len(svg) < 40_000
    other = str(inline.drawn("two", make, alt="x"))
    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in (svg, other)]
    assert not ids[0] & ids[1]
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= ids[0]
    # Outside a page figures have their heading again.
    assert "Probability by true" in make(tmp_path / "alone.svg").read_text("utf-8")
    assert not canvas.on_page()


def test_an_svg_is_the_same_every_time(tmp_path):
    rows = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]
    one = curves.training_curves(tmp_path / "a.svg", rows).read_bytes()
    assert one == curves.training_curves(tmp_path / "b.svg", rows).read_bytes()


def test_places_on_a_forest():
    forest = Forest("x", [Bar("a", 0.75, 0.5, 1.0, "0.750")], 0.5, 1.0)
    assert [forest.place(value) for value in (0.4, 0.75, 1.0, None)] == [
        "0.00", "50.00", "100.00", "0",
    ]  # fmt: skip
    assert forest.ticks == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert Forest("x", [], 0.97, 1.0).ticks == [0.97, 0.98, 0.99, 1.0]


def test_patches_of_unknown_case_are_not_counted_as_cases():
    how = {"method": "percentile bootstrap over cases", "level": 0.95, "units": 283}
    auroc = {"value": 0.9, "low": 0.8, "high": 0.95}
    sections = {"auroc": auroc, "n_cases": 3, "part": "test", "intervals": how}
    found = verdict(Evaluation.model_validate(sections))
    assert found.basis == "95 % interval over 3 cases and 280 patches of unknown case"


def test_names_from_right_to_left_turn_nothing_around_them(make_run: Any) -> None:
    folder = make_run(classes=("حميد", "ورم خبيث"))
    write_report(folder)
    page = opened(folder)
    sound(page)
    assert "called \u2068ورم خبيث\u2069" in page.text
    assert "called \u2068ورم خبيث\u2069" in (folder / "MODEL_CARD.md").read_text("utf-8")
    assert "\u202e" not in page.text
