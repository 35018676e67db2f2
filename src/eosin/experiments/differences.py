"""Two runs side by side: what differs in recipe, data, environment and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eosin.config import make_recipe
from eosin.experiments.rows import FIGURES, RunRow
from eosin.runs import flattened

#: Keys that differ between any two runs and explain nothing.
_NOT_COMPARED = frozenset(("audit", "marks", "command", "store.path"))


def differences(one: RunRow, other: RunRow) -> dict[str, Any]:
    """Everything in which two runs differ: section -> key -> [of one, of the other].

    A recipe key that a run does not have gets the default of this version, as on reading. Sections:
    recipe, environment (versions, machine, store, start), results; and whether both were measured
    on the same patches (None where one was not measured).
    """
    defaults = flattened(make_recipe({}).model_dump())
    recipes = [{**defaults, **flattened(row.recipe)} if row.recipe else {} for row in (one, other)]
    surroundings = [
        {
            key: value
            for key, value in flattened(row.environment).items()
            if key.split(".")[0] not in _NOT_COMPARED and key not in _NOT_COMPARED
        }
        for row in (one, other)
    ]
    columns = ("status", "epochs", "seconds", "parameters", "part", "patches", *FIGURES)
    results = [{name: row.value(name) for name in columns} for row in (one, other)]
    same = one.measured == other.measured if one.measured and other.measured else None
    return {
        "runs": [one.name, other.name],
        "recipe": _unlike(*recipes),
        "environment": _unlike(*surroundings),
        "results": _unlike(*results),
        "same_patches": same,
    }


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    keys = [*one, *(key for key in other if key not in one)]
    return {key: [one.get(key), other.get(key)] for key in keys if one.get(key) != other.get(key)}
