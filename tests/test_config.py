"""Recipes: what can be said, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from eosin.config import Recipe, make_recipe, read_recipe, recipe_names
from eosin.errors import RecipeError


@pytest.mark.parametrize("name", recipe_names())
def test_built_in_recipes_are_complete_and_come_back_from_toml(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.about
    path = tmp_path / "copy.toml"
    path.write_text(recipe.to_toml(), "utf-8")
    assert read_recipe(str(path)) == recipe


def test_the_tutorials_settings_are_kept() -> None:
    recipe = read_recipe("article")
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (20, 128, 0.001)
    assert (recipe.optimizer, recipe.momentum) == ("sgd", 0.0)
    digits = read_recipe("digits-tutorial")
    assert (digits.epochs, digits.batch_size, digits.normalize) == (10, 64, "half")


def test_settings_change_the_recipe() -> None:
    recipe = read_recipe(
        "compact", ["epochs=3", "optimizer=sgd", "arguments.widths=[8, 16]", "dihedral = false"]
    )
    assert (recipe.epochs, recipe.optimizer, recipe.dihedral) == (3, "sgd", False)
    assert recipe.arguments["widths"] == [8, 16]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("epoch=3", "did you mean epochs"),
        ("epochs", "write key=value"),
        ("epochs=0", "epochs = 0"),
        ("epochs=many", "epochs = 'many'"),
        ("optimizer=adam", "optimizer = 'adam'"),
        ("learning_rate=nan", "learning_rate"),
        ("loss=bce_of_log_softmax", "belong together"),
    ],
)
def test_a_wrong_setting_is_one_sentence(setting: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe("article", [setting])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_recipe_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean"):
        read_recipe("artcle")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("epochs = = 3", "utf-8")
    with pytest.raises(RecipeError, match="not valid TOML"):
        read_recipe(str(tmp_path / "bad.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(str(tmp_path / "bytes.toml"))
    with pytest.raises(RecipeError, match="unknown key 'lr'"):
        make_recipe({"lr": 1})


def test_a_recipe_cannot_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().epochs = 3  # type: ignore[misc]
