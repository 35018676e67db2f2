"""Every figure is drawn, whatever is missing; nothing half-written, no plotting state touched."""

import sys

import numpy as np
import pytest
from PIL import Image

from eosin.evaluation import metrics
from eosin.evaluation.curves import Curves
from eosin.evaluation.summary import evaluate
from eosin.figures import canvas, charts
from eosin.figures.canvas import MARK
from eosin.records.evaluation import Evaluation
from eosin.records.figures import CaseRow, Figure
from eosin.records.scored import Scored

HISTORY = [
    {
        "epoch": k + 1,
        "step": 10 * k,
        "loss": 1 / (k + 1),
        "val_auroc": 0.5 + 0.1 * k,
        "val_loss": None if k == 1 else 0.4,
        "watched": "a.png",
        "watched_probability": 0.5,
        "learning_rate_factor": 0.1,
    }
    for k in range(3)
]
ALL = {
    "roc.png",
    "precision_recall.png",
    "probabilities.png",
    "confusion.png",
    "cases.png",
    "training.png",
}


def evaluated(y, p, cases, classes=("negative", "positive"), **options):
    """The evaluation and its curves, as ``draw_all`` takes them."""
    sections = evaluate(Scored.of(y, p, cases), classes=list(classes), replicates=20, **options)
    return Evaluation.model_validate(sections), Curves.of(y, p)


def simulated():
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.4).astype(int)
    p = 1 / (1 + np.exp(-(rng.normal(0, 1, 200) + 2 * y - 1)))
    return y, np.stack([1 - p, p], axis=1), np.array([f"c{k % 8}" for k in range(200)])


def pixels(path):
    with Image.open(path) as image:
        image.load()
        return np.asarray(image.convert("RGB")).astype(int)


def test_all_figures_are_drawn_with_their_marks(tmp_path):
    y, p, cases = simulated()
    found = evaluated(y, p, cases, marks=["MADE-UP DATA"])
    names = charts.draw_all(tmp_path, *found, metrics=HISTORY)
    assert set(names) == ALL == {path.name for path in tmp_path.iterdir()}
    red = np.array([int(MARK[k : k + 2], 16) for k in (1, 3, 5)])
    for name in names:
        image = pixels(tmp_path / name)
        assert min(image.shape[:2]) > 500
        # Red letters stand in the top of every figure, and white paper around them.
        assert (np.abs(image[:80] - red).max(axis=-1) < 12).sum() > 50, name
        assert (image[0, 0] == 255).all()


def test_without_marks_nothing_is_red(tmp_path):
    y, p, cases = simulated()
    charts.draw_all(tmp_path, *evaluated(y, p, cases))
    image = pixels(tmp_path / "roc.png")
    red = np.array([int(MARK[k : k + 2], 16) for k in (1, 3, 5)])
    assert (np.abs(image - red).max(axis=-1) < 12).sum() == 0
    assert not (tmp_path / "training.png").exists()


@pytest.mark.parametrize(
    ("y", "p", "cases"),
    [
        ([], [], []),
        ([1, 1, 1], [0.2, 0.7, 0.9], ["a", "b", "c"]),
        ([0, 1, 0], [np.nan, 0.5, 0.1], ["a", "b", "c"]),
        ([0, 1, 0, 1], [0.5] * 4, ["a", "a", "b", "c"]),
        ([0, 1, 0, 1], [0.1, 0.5, 0.2, 0.9], None),
        ([0, 1], [-3.0, 7.0], ["a", "a"]),
    ],
    ids=["empty", "one class", "nan", "constant", "no cases", "not probabilities"],
)
def test_thin_data_still_gives_readable_files(tmp_path, y, p, cases):
    found = evaluated(y, p, cases)
    names = charts.draw_all(tmp_path, *found, metrics=[{"epoch": 1}])
    assert {"roc.png", "precision_recall.png", "training.png"} <= set(names)
    for name in names:
        pixels(tmp_path / name)


def test_many_classes(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"a rather long tissue name {k}" for k in range(9)]
    y, p = rng.integers(0, 9, 300), rng.dirichlet(np.ones(9), 300)
    found = evaluated(y, p, [f"c{k % 5}" for k in range(300)], names)
    assert set(charts.draw_all(tmp_path, *found)) == {"confusion.png", "cases.png"}


def test_more_cases_than_fit_and_names_that_are_long(tmp_path):
    interval = {"value": 0.8, "low": 0.7, "high": 0.9}
    row = {"n": 10, "accuracy": interval}
    names = [f"TCGA-A1-A0SB-01Z-00-DX{k}" for k in range(150)]
    rows = [CaseRow.model_validate({"case": name, **row}) for name in names]
    overall = Figure.model_validate(interval)
    path = charts.cases_figure(tmp_path / "c.png", rows, name="accuracy", overall=overall)
    assert pixels(path).shape[0] < 4000


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    counts = [[3, 1], [0, 5]]
    first = charts.confusion_figure(tmp_path / "a.png", counts, ["n", "p"])
    second = charts.confusion_figure(tmp_path / "b.png", counts, ["n", "p"])
    assert first.read_bytes() == second.read_bytes()


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    figure, _ = canvas.canvas("title")
    monkeypatch.setattr(figure, "savefig", lambda *a, **k: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        canvas.save(figure, path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"before"


def test_no_plotting_state(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    charts.training_curves(tmp_path / "t.png", HISTORY)
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_a_mark_that_is_a_sentence_is_wrapped_and_makes_room(tmp_path):
    mark = "No weight changed in the first epoch, so the network cannot learn anything at all. "
    short, _ = canvas.canvas("title", marks=["MADE-UP DATA"])
    long, (axes,) = canvas.canvas("title", "data", marks=["MADE-UP DATA", mark * 4])
    assert long.get_figheight() > short.get_figheight()
    written = [text.get_window_extent() for text in long.texts]
    assert max(box.x1 for box in written) < long.bbox.width
    assert min(box.y0 for box in written) > axes.get_window_extent().y1


def test_score_histogram_counts_every_finite_probability():
    edges, counts = metrics.score_histogram([0, 1, 1, 0], [0.0, 1.0, np.nan, 0.5], bins=4)
    assert edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert counts.tolist() == [[1, 0, 1, 0], [0, 0, 0, 1]]
    with pytest.raises(ValueError, match="two classes"):
        metrics.score_histogram([0, 1], np.eye(3)[:2])
