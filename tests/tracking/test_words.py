"""A run in a tracker's terms."""

from __future__ import annotations

import math
from typing import Any

import pytest

from eosin.errors import RunError
from eosin.runs import RunFolder
from eosin.tracking import words


def test_parameters_are_recipe_store_split_and_machine(run: RunFolder) -> None:
    found = words.parameters(run, {"split": {"scheme": "case", "train_patches": 200}})
    assert found["epochs"] == 3
    assert found["arguments.widths"] == "[8, 16]"
    assert found["store.digest"] == "abc123"
    assert found["store.name"] == "idc.store"
    assert found["split.scheme"] == "case"
    assert found["machine.cores"] == 2
    assert found["packages.numpy"] == "2.0"
    assert found["fold"] == "none"


def test_no_path_and_no_command_leaves_the_folder(run: RunFolder) -> None:
    text = repr(words.parameters(run))
    assert "someone" not in text
    assert "secret" not in text
    sent = {path.name for path, _ in words.files(run)[1]}
    assert not sent & {"environment.json", "split.csv", "predictions.parquet", "seen.parquet"}


def test_a_folder_without_its_files_is_said(tmp_path: Any) -> None:
    with pytest.raises(RunError, match="environment"):
        words.parameters(RunFolder(tmp_path))


def test_files_and_their_kinds(run: RunFolder) -> None:
    pictures, others = words.files(run)
    assert [path.name for path in pictures] == ["roc.png", "roc.svg"]
    assert {path.name: kind for path, kind in others} == {
        "recipe.toml": "record", "evaluation.json": "record", "report.html": "report",
        "MODEL_CARD.md": "report", "model.json": "model", "model.safetensors": "model",
    }  # fmt: skip


def test_numbers_are_finite_and_no_flags() -> None:
    row = {"epoch": 1, "a": 1, "b": True, "c": math.nan, "d": math.inf, "e": None, "f": "x"}
    assert words.numbers(row) == {"a": 1.0}


def test_final_figures_have_intervals_and_baselines(story: Any) -> None:
    found = words.final_figures(story.evaluation)
    assert found["test/auroc"] == 0.75
    assert found["test/auroc_low"] == pytest.approx(0.65)
    assert found["test/auroc_high"] == pytest.approx(0.85)
    assert found["baseline/base_rate/auroc"] == 0.5
    table = words.final_table(story.evaluation)
    assert "| auroc | 0.7500 | 0.6500 to 0.8500 | 0.5000 |" in table
    assert story.mark in table
    assert "not for diagnosis" in table


def test_an_undefined_figure_is_left_out() -> None:
    nothing = {"value": None, "low": None, "high": None}
    assert words.final_figures({"auroc": nothing}) == {}
    assert "| auroc | - | - to - |" in words.final_table({"auroc": nothing})


def test_long_tags_are_cut() -> None:
    assert len(words.short("x" * 200)) == 60
