"""`eosin recipes`: what can be trained, and every setting of a recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from eosin.cli import options, output


def recipes(
    name: Annotated[str | None, typer.Argument()] = None,
    json_: options.Json = False,
) -> None:
    """List the recipes, or show one with the meaning of every key.

    Options:
        name: Show every setting of this recipe (name or .toml file).

    Example: eosin recipes compact
    """
    from eosin.config import Recipe, read_recipe, recipe_names

    if name is None:
        every = [read_recipe(each) for each in recipe_names()]
        output.end_with_json({"recipes": [each.model_dump() for each in every]}, json_=json_)
        output.table("", ["recipe", "purpose"], [[each.name, each.about] for each in every])
        return
    recipe = read_recipe(name)
    values = recipe.model_dump()
    output.end_with_json(values, json_=json_)
    rows = [
        [key, value, Recipe.model_fields[key].description or ""]
        for key, value in values.items()
        if key not in ("name", "about")
    ]
    output.table(recipe.about, ["key", "value", "meaning"], rows)
