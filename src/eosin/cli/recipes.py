"""`eosin recipes`: what can be trained, and every setting of a recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from eosin.cli import output


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Show this recipe (a name or a .toml file) in full.")
    ] = None,
    json_: output.Json = False,
) -> None:
    """List the recipes, or show one with the meaning of every key.

    Example: eosin recipes compact
    """
    output.use_json(json_)
    from eosin.config import Recipe, read_recipe, recipe_names

    if name is None:
        found = [read_recipe(each) for each in recipe_names()]
        if json_:
            output.result({"recipes": [each.model_dump() for each in found]})
        else:
            output.table("", ["recipe", "what for"], [[each.name, each.about] for each in found])
        return
    recipe = read_recipe(name)
    if json_:
        output.result(recipe.model_dump())
        return
    output.table(
        recipe.about,
        ["key", "value", "meaning"],
        [
            [key, value, Recipe.model_fields[key].description or ""]
            for key, value in recipe.model_dump().items()
            if key not in ("name", "about")
        ],
    )
