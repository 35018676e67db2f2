"""The demo: the plan that it chooses for a speed, and a small one whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eosin.cli import demo_plan
from eosin.cli.demo_plan import CASES, SECONDS, SIZES, STEPS, Plan, Speed, choose, predicted
from eosin.config import read_recipe

Run = Callable[..., Any]
FAST = Speed(drawn=4000, article=4000, compact=8000, precision="bf16")
SLOW = Speed(drawn=20, article=10, compact=20)


def slower(factor: float, speed: Speed = FAST) -> Speed:
    return Speed(speed.drawn / factor, speed.article / factor, speed.compact / factor)


def work(plan: Plan) -> float:
    """Patches that all networks take in their epochs."""
    size = plan.size
    return plan.cases * size.area * (1 + 2 * size.article + size.compact)


def test_a_fast_computer_does_everything_and_a_slow_one_the_least() -> None:
    everything = choose(FAST).size
    assert everything == SIZES[0]
    assert (everything.area, everything.article, everything.compact) == (1.0, 4, 6)
    assert everything.complete
    assert choose(SLOW).size == SIZES[-1]


def test_the_slower_the_computer_the_less_it_does() -> None:
    plans = [choose(slower(factor)) for factor in (1, 2, 4, 8, 16, 32, 64, 128, 256)]
    amounts = [work(plan) for plan in plans]
    assert amounts == sorted(amounts, reverse=True)
    assert len(set(amounts)) >= 4


def test_what_is_chosen_fits_and_the_next_larger_one_does_not() -> None:
    for factor in (1, 3, 6, 9, 12, 15):
        plan = choose(slower(factor))
        place = SIZES.index(plan.size)
        if plan.size != SIZES[-1]:
            assert sum(plan.seconds.values()) <= SECONDS
        if place:
            assert sum(predicted(SIZES[place - 1], CASES, plan.speed).values()) > SECONDS


def test_a_speed_has_one_plan() -> None:
    assert choose(slower(7)) == choose(slower(7))


def test_each_size_takes_less_than_the_one_before() -> None:
    for speed in (FAST, SLOW, Speed(drawn=4000, article=10, compact=20)):
        seconds = [sum(predicted(size, CASES, speed).values()) for size in SIZES]
        assert seconds == sorted(seconds, reverse=True)


def test_time_that_is_gone_and_more_cases_count() -> None:
    speed = next(s for s in map(slower, range(1, 400)) if choose(s).size != SIZES[0])
    just = Speed(1.05 * speed.drawn, 1.05 * speed.article, 1.05 * speed.compact)
    assert work(choose(just, spent=60)) < work(choose(just, spent=0))
    assert choose(just, cases=4 * CASES).within == pytest.approx(4 * SECONDS)


def test_a_plan_says_its_speed_and_seconds() -> None:
    plan = choose(slower(10))
    assert plan.speed.sentence == (
        "this computer draws 400 patches/s and trains on 400 (article) and 800 patches/s (compact) "
        "in fp32"
    )
    assert f"about {sum(plan.seconds.values()):.0f} s" in plan.sentence
    written = plan.to_json({"data": 1.26})
    assert written["speed"]["article"] == 400
    assert list(written["predicted_seconds"]) == list(STEPS)
    assert written["taken_seconds"] == {"data": 1.3}


def test_steps_in_time_change_nothing() -> None:
    plan = choose(slower(10))
    done = {step: plan.seconds[step] for step in ("data", "verbatim")}
    assert plan.after(done) is plan
    assert plan.after({step: s / 2 for step, s in done.items()}) is plan


def test_steps_that_fall_behind_make_the_rest_smaller() -> None:
    plan = choose(slower(10))
    late = {step: 2.5 * plan.seconds[step] for step in ("data", "verbatim")}
    smaller = plan.after(late)
    assert work(smaller) < work(plan)
    assert smaller.size.area == plan.size.area, "the cases are drawn already"
    assert len(smaller.changes) == 1
    assert " s are left after verbatim for what would take " in smaller.changes[0]
    assert " s; chosen: 24 cases of about " in smaller.changes[0]
    assert smaller.sentences[1] == f"{smaller.changes[0]}."
    much = {step: 100 * plan.seconds[step] for step in ("data", "verbatim")}
    least = plan.after(much).size
    assert (least.article, least.compact, least.complete) == (1, 2, False)


def test_a_plan_keeps_to_what_recipes_know() -> None:
    for size in SIZES:
        plan = replace(choose(FAST), size=size)
        for step, recipe in (("article, by case", "article"), ("compact, by case", "compact")):
            assert read_recipe(recipe, plan.settings(step)).epochs == getattr(size, recipe)
        assert plan.settings("verbatim") == [], "the tutorial is unchanged"


@pytest.mark.slow
def test_the_speed_is_measured(tmp_path: Path) -> None:
    speed = demo_plan.measure(tmp_path, seconds=0.0)
    assert min(speed.drawn, speed.article, speed.compact) > 0
    assert speed.precision in ("fp32", "bf16")


@pytest.mark.slow
def test_the_demo_goes_the_whole_way(
    eosin: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "demo"
    monkeypatch.setattr(demo_plan, "measure", lambda folder: SLOW)
    found = eosin("demo", "-o", folder, "--cases", 12, "--set", "epochs=1", "--json")
    assert found.code == 0, found.err
    result = json.loads(found.out)
    assert result["made_up"] is True
    verbatim = result["runs"]["verbatim"]
    assert verbatim["accuracy"]["value"] == pytest.approx(verbatim["base_rate"])
    assert any("no weight changed" in mark for mark in verbatim["marks"])
    assert any("patch-random" in mark for mark in result["runs"]["article, patch-random"]["marks"])
    assert not any("patch" in mark for mark in result["runs"]["compact, by case"]["marks"])
    for run in result["runs"].values():
        assert any("made-up" in mark for mark in run.get("marks", ["made-up"]))
    for name in ("color alone", "nearest neighbors"):
        both, apart = (
            result["runs"][f"{name}, {scheme}"]["auroc"]["value"]
            for scheme in ("patch-random", "by case")
        )
        assert both > apart
    for name in result["files"]:
        assert Path(name).stat().st_size > 0
    assert result["plan"]["speed"]["drawn"] == SLOW.drawn
    assert result["plan"]["area"] == SIZES[-1].area
    assert list(result["plan"]["taken_seconds"]) == list(STEPS)
    assert SLOW.sentence in found.err
    assert "audit of the split by patch: LEAKS" in found.err
    assert "audit of the split by case: no leak found" in found.err


def test_the_demo_replaces_only_a_demo(eosin: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    found = eosin("demo", "-o", tmp_path / "mine", "--force")
    assert found.code == 2
    assert "contains other files" in found.err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    (tmp_path / "old" / "made-up.store").mkdir(parents=True)
    (tmp_path / "old" / "made-up.zip").touch()
    assert "already contains a demo" in eosin("demo", "-o", tmp_path / "old").err
