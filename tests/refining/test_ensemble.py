"""An ensemble of runs is an ordinary run, and no member may know what it is measured on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import EosinError, LeakError, RecipeError, RunError, UserError
from eosin.inference.explain import explain
from eosin.inference.predictor import load
from eosin.refining.ensemble import ensemble
from eosin.runs import RunFolder
from eosin.splitting.split_file import Split
from eosin.training.session import fit, reopen, start

Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def together(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensemble(pair, tmp_path_factory.mktemp("together") / "run").path


def test_the_run_answers_with_the_mean_and_every_part_of_it_is_readable(
    pair: Pair, together: Path, made_up_store: PatchStore
) -> None:
    patches = np.asarray(made_up_store.patches[:30])
    alone = np.mean([load(path).predict(patches) for path in pair], axis=0)
    np.testing.assert_allclose(load(together).predict(patches), alone, atol=1e-5)
    session = reopen(together)
    assert session.recipe.network == "ensemble"
    assert session.recipe.epochs == 2  # what the members agree on
    assert session.recipe.seed == 0  # where they differ, the default
    np.testing.assert_array_equal(session.parts["test"], reopen(pair[0]).parts["test"])
    facts = RunFolder(together).read_json("environment.json")["start"]
    assert [each["path"] for each in facts["members"]] == [str(path.resolve()) for path in pair]
    assert [each["recipe"]["seed"] for each in facts["members"]] == [0, 1]
    assert sorted(path.name for path in together.parent.iterdir()) == ["run"]


def test_evaluated_by_the_command_it_is_compared_with_its_members(
    pair: Pair, tmp_path: Path, eosin: Callable[..., Any]
) -> None:
    done = eosin("ensemble", *pair, "-o", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["evaluation"]["part"] == "test"
    assert [run["name"] for run in result["compare"]["runs"]] == ["run", "run0", "run1"]
    assert not any("seen in training" in mark for mark in result["compare"]["marks"])
    facts = json.loads((tmp_path / "run/model.json").read_text())
    assert facts["fit"] == "pad"
    temperatures = [each["temperature"] for each in facts["arguments"]["members"]]
    assert temperatures == [float(load(path).model.temperature) for path in pair]
    for name in ("report.html", "MODEL_CARD.md", "compare.md", "predictions.parquet"):
        assert (tmp_path / "run" / name).is_file()
    again = eosin("ensemble", *pair, "-o", tmp_path / "run", "--no-evaluate")
    assert again.code == 2
    assert "already contains a run" in again.err


def test_an_ensemble_teaches_but_no_run_begins_with_it(
    together: Path, made_up_store: PatchStore, split: Split, tiny: Recipe, tmp_path: Path
) -> None:
    short = tiny.changed(epochs=1)
    facts = fit(start(made_up_store, split, short, tmp_path / "taught", teacher=together)[0])
    assert facts.teacher is not None
    assert facts.teacher.recipe == "ensemble"
    with pytest.raises(RecipeError, match="start from one of its members"):
        start(made_up_store, split, tiny, tmp_path / "begun", base=together)


def test_occlusion_explains_an_ensemble_and_grad_cam_says_why_not(
    together: Path, made_up_store: PatchStore
) -> None:
    model, patches = load(together).model, np.asarray(made_up_store.patches[:2])
    assert explain(model, patches, method="occlusion").shape == (2, 50, 50)
    with pytest.raises(UserError, match="explain a member"):
        explain(model, patches)


@pytest.mark.parametrize(
    ("members", "error", "words"),
    [
        ([0], UserError, "at least two"),
        ([0, 0], UserError, "same weights"),
        ([0, "together"], RunError, "is an ensemble itself"),
        ([0, "unfinished"], RunError, "has not finished; resume it with"),
        ([0, "nowhere"], RunError, "no such run folder"),
        ([0, "elsewhere"], RunError, "another train part"),
    ],
)
def test_what_cannot_be_joined_is_a_sentence(
    pair: Pair,
    together: Path,
    tmp_path: Path,
    members: list[int | str],
    error: type[EosinError],
    words: str,
) -> None:
    unfinished = tmp_path / "unfinished"
    shutil.copytree(pair[1], unfinished)
    (unfinished / "model.json").unlink()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(pair[1], elsewhere)
    text = (elsewhere / "split.csv").read_text("utf-8")
    moved = next(line for line in text.splitlines() if line.endswith(",train"))
    (elsewhere / "split.csv").write_text(text.replace(moved, moved[:-5] + "test"), "utf-8")
    named = {"together": together, "unfinished": unfinished, "elsewhere": elsewhere}
    paths = [pair[m] if isinstance(m, int) else named.get(m, tmp_path / m) for m in members]
    with pytest.raises(error, match=words):
        ensemble(paths, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_member_that_has_seen_a_test_case_is_refused_unless_said(
    pair: Pair, made_up_store: PatchStore, tmp_path: Path
) -> None:
    """As a run that began from another one's weights may have."""
    wise = tmp_path / "wise"
    shutil.copytree(pair[1], wise)
    test = reopen(pair[0]).parts["test"][:5]
    more = made_up_store.index.select("case", "digest")[test].with_columns(part=pl.lit("train"))
    pl.concat([pl.read_parquet(wise / "seen.parquet"), more]).write_parquet(wise / "seen.parquet")
    with pytest.raises(LeakError, match="has seen 1 case"):
        ensemble([pair[0], wise], tmp_path / "run")
    made = ensemble([pair[0], wise], tmp_path / "run", allow_leaks=True)
    assert any(
        "has seen 1 case" in mark["sentence"] for mark in made.read_json("model.json")["marks"]
    )
    seen = pl.read_parquet(made / "seen.parquet")
    assert set(more["digest"].to_list()) <= set(seen["digest"].to_list())
