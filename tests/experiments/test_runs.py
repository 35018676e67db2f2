"""Rows of runs: found, read, chosen, ordered, ranked, told apart; damage is a reason in its row."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from eosin.errors import RunError, UserError
from eosin.experiments.best import best_runs
from eosin.experiments.differences import differences
from eosin.experiments.drawing import runs_figure
from eosin.experiments.rows import find_runs, read_row, read_rows
from eosin.experiments.select import checked_key, columns_of, kept, ordered


def names(rows):
    return [row.name for row in rows]


def test_runs_are_found_at_any_depth_and_nothing_else(make_run, tmp_path):
    make_run("one")
    make_run("deep/er/two")
    make_run("deep/er/two/elsewhere")
    make_run(".hidden/three")
    runs = tmp_path / "runs"
    (runs / "store").mkdir()
    for name in ("store.json", "patches.npy", "recipe.toml", "split.csv"):
        (runs / "store" / name).touch()
    (runs / "recipe.toml").touch()
    (runs / "loop").symlink_to(runs)
    found, closed = find_runs(runs)
    assert [str(path.relative_to(runs)) for path in found] == [
        "deep/er/two", "deep/er/two/elsewhere", "one"
    ]  # fmt: skip
    assert not closed
    assert names(read_rows(runs / "one")[0]) == ["one"]
    with pytest.raises(RunError, match="no such folder"):
        find_runs(tmp_path / "nowhere")


def test_marks_of_an_evaluation_are_sentences(make_run):
    run = make_run("a", marks=({"kind": "made_up", "sentence": "made-up data"},))
    assert read_row(run.path).marks == ("made-up data",)


def test_a_row_holds_what_the_run_left(make_run):
    row = read_row(make_run("one", auroc=0.93, epochs=4, seed=7).path)
    assert row.status == "finished"
    assert not row.remark
    wanted = {"recipe": "compact", "network": "compact", "epochs": 4, "seconds": 8.0, "auroc": 0.93,
              "accuracy": 0.8, "part": "test", "cases": 3, "seed": 7, "store": "5d1c5d1c",
              "split": "case", "date": "2026-01-02", "parameters": 1000, "batch_size": 128,
              "f1": None, "arguments.width": None}  # fmt: skip
    assert {key: row.value(key) for key in wanted} == wanted
    assert row.value("val_auroc") == pytest.approx(0.905)


def test_states(make_run):
    stopped = make_run("stopped", finished=False)
    assert read_row(stopped.path).status == "running"
    long_ago = time.time() - 3600
    for file in stopped.path.iterdir():
        os.utime(file, (long_ago, long_ago))
    row = read_row(stopped.path)
    assert row.status == "unfinished"
    assert row.remark == f"resume it with: eosin train --resume {stopped.path}"
    assert row.value("epochs") == 3
    assert row.value("seconds") == 6.0
    unmeasured = read_row(make_run("unmeasured", evaluated=False).path)
    assert unmeasured.status == "finished"
    assert "eosin evaluate" in unmeasured.remark
    stopped.write_json("failed.json", {"sentence": "the loss is not a number"})
    row = read_row(stopped.path)
    assert (row.status, row.remark) == ("failed", "the loss is not a number")
    stopped.write_text("failed.json", "{")
    assert read_row(stopped.path).status == "damaged"
    dead = read_row(make_run("dead", dead=True).path)
    assert (dead.status, dead.remark) == ("failed", "no weight changed")


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("recipe.toml", b"epochs = = 3", "recipe.toml cannot be read"),
        ("recipe.toml", b"\xff\xfe", "recipe.toml cannot be read"),
        ("recipe.toml", None, "has no recipe.toml"),
        ("environment.json", b"{", "environment.json cannot be read"),
        ("environment.json", b"[]", "does not contain a JSON object"),
        ("environment.json", b'{"marks": 3}', "something unexpected"),
        ("model.json", b"\x00", "model.json cannot be read"),
        ("evaluation.json", b"{}", "something unexpected"),
        ("evaluation.json", b'{"part": "test", "n_patches": "many"}', "something unexpected"),
        ("evaluation.json", b'{"part": "test", "n_patches": 1, "cases": [3]}', "unexpected"),
        ("metrics.jsonl", b'{"epoch": 1}\n}\n{"epoch": 3}\n', "line 2: not JSON"),
        ("metrics.jsonl", b"3\n", "not JSON objects"),
        ("metrics.jsonl", b"\xff\n", "metrics.jsonl cannot be read"),
    ],
)
def test_damage_is_a_row_with_its_reason(make_run, file, content, reason):
    run = make_run("one")
    (run / file).unlink() if content is None else (run / file).write_bytes(content)
    if file == "environment.json":
        (run / "model.json").unlink()
        (run / "evaluation.json").unlink()
    row = read_row(run.path)
    assert row.status == "damaged"
    assert reason in row.remark
    for key in ("name", "recipe", "auroc", "seconds", "epochs", "store", "val_auroc"):
        row.value(key)


def test_a_recipe_of_another_version_is_no_damage(make_run):
    run = make_run("one")
    run.write_text("recipe.toml", 'name = "old"\nforgotten = 3\n')
    row = read_row(run.path)
    assert row.status == "finished"
    assert row.value("recipe") == "old"


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        (["auroc>0.9"], ["a", "b"]),
        (["auroc >= 0.92"], ["a", "b"]),
        (["auc<0.9"], ["c"]),
        (["recipe=compact"], ["a", "c", "d"]),
        (["recipe=COMP*"], ["a", "c", "d"]),
        (["recipe!=compact"], ["b"]),
        (["name~B"], ["b"]),
        (["status==finished", "learning_rate=0.01"], ["c"]),
        (["learning_rate<0.005", "auroc>0"], ["a", "b"]),
        (["date>2026-01-01"], ["a", "b", "c", "d"]),
        (["date>=2026-01-02"], ["a", "b", "c", "d"]),
        (["date<2026-01-02"], []),
        (["dihedral=true"], ["a"]),
        (["arguments.width=8"], ["a"]),
        (["auroc=nothing"], []),
    ],
)
def test_filters(make_run, tmp_path, conditions, left):
    make_run("a", auroc=0.95, dihedral=True, arguments={"width": 8})
    make_run("b", auroc=0.92, name="article")
    make_run("c", auroc=0.85, learning_rate=0.01)
    make_run("d", evaluated=False)
    rows, _ = read_rows(tmp_path / "runs")
    assert names(kept(rows, conditions)) == left


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("aurok>0.9", "unknown key 'aurok'; did you mean auroc"),
        ("auroc", "write key, sign and value"),
        ("auroc>high", "'high' is not a number"),
        ("learning_rat=1", "did you mean learning_rate"),
    ],
)
def test_a_condition_that_is_none_says_so(condition, said):
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        kept([], [condition])


def test_columns_and_keys():
    assert columns_of("name, ap,name,arguments.width") == [
        "name", "average_precision", "arguments.width"
    ]  # fmt: skip
    assert "auroc" in columns_of(None)
    with pytest.raises(UserError, match="lists none"):
        columns_of(" , ")
    with pytest.raises(UserError, match="did you mean seconds"):
        checked_key("second", "--sort")


def test_order_puts_the_better_first_and_the_unknown_last(make_run, tmp_path):
    make_run("a", auroc=0.8, seed=10)
    make_run("b", auroc=0.9, seed=9)
    make_run("c", evaluated=False, seed=2)
    rows, _ = read_rows(tmp_path / "runs")
    assert names(ordered(rows, "auroc")) == ["b", "a", "c"]
    assert names(ordered(rows, "auroc", reverse=True)) == ["a", "b", "c"]
    assert names(ordered(rows, "seed")) == ["c", "b", "a"]
    assert names(ordered(rows, "network")) == ["a", "b", "c"]


def test_the_best_and_what_may_be_said(make_run, tmp_path):
    make_run("good", auroc=0.95, half=0.005)
    make_run("fair", auroc=0.94, half=0.01)
    make_run("poor", auroc=0.80, half=0.01)
    make_run("elsewhere", auroc=0.99, cases=("x", "y"))
    make_run("unmeasured", evaluated=False)
    rows, _ = read_rows(tmp_path / "runs")
    found = best_runs(rows, "auroc")
    first, second = found["groups"]
    assert first["best"]["name"] == "good"
    assert first["runs"] == 3
    assert second["best"]["name"] == "elsewhere"
    assert second["told_apart"] is None
    assert first["told_apart"] is False
    text = " ".join(first["sentences"])
    assert "0.9500 (0.9450 to 0.9550)" in text
    assert "intervals overlap" in text
    assert "eosin compare" in text
    assert "best of 3" in text
    assert "somewhat too good" in text
    assert "2 different sets of patches" in found["notes"][0]
    assert "1 run has no AUROC" in found["notes"][1]
    apart = best_runs([row for row in rows if row.name in ("good", "poor")], "auroc")
    assert apart["groups"][0]["told_apart"] is True
    assert "do not overlap" in " ".join(apart["groups"][0]["sentences"])
    with pytest.raises(UserError, match="no run here has F1"):
        best_runs(rows, "f1")
    with pytest.raises(UserError, match="no runs to choose from"):
        best_runs([], "auroc")


def test_the_least_brier_score_is_the_best_and_marks_are_said(make_run, tmp_path):
    for name, value in (("a", 0.3), ("b", 0.1)):
        run = make_run(name, marks=("leak: all",), part="val")
        facts = run.read_json("evaluation.json")
        run.write_json("evaluation.json", facts | {"brier": {"value": value, "low": None}})
    group = best_runs(read_rows(tmp_path / "runs")[0], "brier")["groups"][0]
    assert group["best"]["name"] == "b"
    assert group["told_apart"] is None
    text = " ".join(group["sentences"])
    assert "leak: all" in text
    assert "validation patches" in text
    assert "no interval" in text


def test_differences_name_only_what_differs(make_run):
    one = read_row(make_run("one", learning_rate=0.01, arguments={"width": 8}).path)
    other = read_row(
        make_run("other", auroc=0.8, environment={"packages": {"torch": "3"}}, cases=("x",)).path
    )
    found = differences(one, other)
    assert found["recipe"] == {"learning_rate": [0.01, 0.001], "arguments.width": [8, None]}
    assert found["environment"] == {"packages.torch": ["2", "3"]}
    assert found["results"] == {"auroc": [0.9, 0.8], "patches": [90, 30]}
    assert found["same_patches"] is False
    same = differences(one, one)
    assert same["recipe"] == same["environment"] == same["results"] == {}
    assert same["same_patches"] is True


def test_a_key_that_an_older_run_lacks_has_the_default(make_run):
    one, old = make_run("one"), make_run("old")
    old.write_text("recipe.toml", 'name = "compact"\n')
    assert differences(read_row(one.path), read_row(old.path))["recipe"] == {}


@pytest.mark.parametrize("count", [1, 9])
def test_curves_of_few_and_of_many(make_run, tmp_path, count):
    for number in range(count):
        make_run(f"run-{number}", auroc=None if number == 4 else 0.8 + number / 100)
    rows, _ = read_rows(tmp_path / "runs")
    drawn = [
        {"name": row.name, "metrics": row.metrics, "marks": (), "score": row.value("val_auroc")}
        for row in rows
    ]
    text = runs_figure(tmp_path / "curves.svg", drawn).read_text("utf-8")
    assert f"{count} run" in text
    assert ("the others in gray" in text) == (count > 6)
    best = f"run-{count - 1}"
    assert best in text
    assert runs_figure(tmp_path / "curves.png", drawn) == Path(tmp_path / "curves.png")
