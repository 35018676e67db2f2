"""What is searched: read, checked, put into recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from eosin.config import Recipe, read_recipe
from eosin.errors import RecipeError
from eosin.search.space import Dimension, built_in_space, check_space, outside, recipe_with
from eosin.search.space_file import parse_space, read_space

GOOD = """
[learning_rate]
low = 1e-4
high = 1e-1
log = true

[batch_size]
choices = [64, 128]

[epochs]
low = 2
high = 8
step = 2

["arguments.dropout"]
low = 0.0
high = 0.5

[arguments.widths]
choices = [[16, 32], [8, 16]]
"""


def test_a_space_file_is_read_and_written_back(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(GOOD)
    space = read_space(path)
    assert [(d.key, d.kind) for d in space] == [
        ("learning_rate", "float"), ("batch_size", "choice"), ("epochs", "int"),
        ("arguments.dropout", "float"), ("arguments.widths", "choice"),
    ]  # fmt: skip
    assert space[0] == Dimension("learning_rate", "float", low=1e-4, high=0.1, log=True)
    assert space[2].tested() == (2, 8)
    assert parse_space({d.key: d.table() for d in space}) == space
    assert "epochs from 2 to 8 (steps of 2)" in space[2].sentence()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rate = ", "not valid TOML"),
        ("", "lists nothing to search"),
        ("learning_rate = 0.1", "is not a table; write low and high, or choices"),
        ("[learning_rat]\nlow=1\nhigh=2", "did you mean learning_rate"),
        ("[seed]\nlow=0\nhigh=9", "choosing luck"),
        ("[learning_rate]\nlo=1\nhigh=2", "unknown word 'lo'; did you mean low"),
        ("[learning_rate]\nlow=0.1", "high is missing"),
        ("[learning_rate]\nlow=0.1\nhigh=0.1", "not below high"),
        ("[learning_rate]\nlow=0.2\nhigh=0.1", "not below high"),
        ("[learning_rate]\nlow=0.0\nhigh=0.1\nlog=true", "starts above 0"),
        ("[learning_rate]\nlow='small'\nhigh=0.1", "'small', not a number"),
        ("[learning_rate]\nlow=nan\nhigh=0.1", "not a number"),
        ("[learning_rate]\nlow=0.1\nhigh=inf", "not a number"),
        ("[learning_rate]\nlow=true\nhigh=2", "not a number"),
        ("[learning_rate]\nlow=0.1\nhigh=0.2\nlog=1", "true or false"),
        ("[learning_rate]\nlow=0.1\nhigh=0.2\nchoices=[1]", "choices cannot be combined with low"),
        ("[batch_size]\nlow=1.5\nhigh=8", "whole numbers"),
        ("[batch_size]\nlow=8\nhigh=64\nstep=5", "do not end at high"),
        ("[batch_size]\nlow=8\nhigh=64\nstep=0", "does not fit between"),
        ("[learning_rate]\nlow=0.1\nhigh=0.2\nstep=0.1\nlog=true", "exclude each other"),
        ("[batch_size]\nchoices=64", "not a list"),
        ("[batch_size]\nchoices=[64]", "at least 2"),
        ("[batch_size]\nchoices=[64, 32, 64]", "64 is in choices twice"),
        ("[batch_size]\nchoices=[nan, 1]", "choices are numbers"),
        ("[optimizer]\nlow=1\nhigh=2", "write choices"),
        ("[dihedral]\nlow=0\nhigh=1", "write choices"),
        ("[arguments]\nchoices=[1, 2]", "use one argument"),
        ('["epochs.x"]\nlow=1\nhigh=2', "use [epochs]"),
    ],
)
def test_a_bad_space_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as error:
        read_space(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_or_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read_space(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_space(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"learning_rate": {"low": 1.0, "high": 1000.0}}, "learning_rate = 1000 cannot be tried"),
        ({"momentum": {"low": 0.5, "high": 1.0}}, "less than 1"),
        ({"batch_size": {"low": 0, "high": 8}}, "batch_size = 0 cannot be tried"),
        ({"batch_size": {"choices": [64, "many"]}}, "batch_size = many cannot be tried"),
        ({"optimizer": {"choices": ["sgd", "lion"]}}, "optimizer = lion cannot be tried"),
        ({"arguments.dropout": {"low": 0.0, "high": 2.0}}, "between 0 and 1"),
        ({"arguments.dropot": {"low": 0.0, "high": 0.5}}, "dropot"),
        ({"network": {"choices": ["compact", "compct"]}}, "did you mean compact"),
        ({"network": {"choices": ["compact", "article"]}}, "network = article cannot be tried"),
    ],
)
def test_a_value_out_of_the_recipes_range_is_said_before_the_first_trial(
    table: dict[str, dict[str, object]], said: str
) -> None:
    space = parse_space(table)
    with pytest.raises(RecipeError) as error:
        check_space(
            space, read_recipe("compact"), classes=2, patch_size=(50, 50), origin="space.toml"
        )
    assert said in str(error.value)
    assert str(error.value).startswith("space.toml: ")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("rate", [1e-6, 0.01, 50.0])
def test_the_built_in_space_holds_the_recipes_own_values(optimizer: str, rate: float) -> None:
    recipe = Recipe(
        optimizer=optimizer, learning_rate=rate, muon_learning_rate=rate, batch_size=100,
        weight_decay=2.0, arguments={"dropout": 0.7},
    )  # fmt: skip
    space = built_in_space(recipe)
    assert outside(space, recipe) == []
    assert "arguments.dropout" in {d.key for d in space}
    check_space(space, recipe, classes=2, patch_size=(50, 50), origin="built in")


def test_values_become_a_recipe_and_leave_the_rest() -> None:
    recipe = Recipe(arguments={"dropout": 0.2, "widths": [8, 16]})
    changed = recipe_with(recipe, {"arguments.dropout": 0.1, "batch_size": 32}, name="x")
    assert changed.arguments == {"dropout": 0.1, "widths": [8, 16]}
    assert (changed.batch_size, changed.name, changed.epochs) == (32, "x", recipe.epochs)


def test_what_a_dimension_holds() -> None:
    grid = Dimension("epochs", "int", low=2, high=8, step=2)
    assert grid.holds(4)
    assert not grid.holds(5)
    assert not grid.holds(True)
    assert not grid.holds(None)
    choice = Dimension("arguments.widths", "choice", choices=([8, 16], [4]))
    assert choice.holds([4])
    assert not choice.holds([4, 4])
    assert choice.place([4]) == 1.0
